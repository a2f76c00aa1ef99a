"""What a release says of itself: MANIFEST.json, with path, size and SHA-256 of every file, and VERSION.txt."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from runbook.errors import TaskFailed
from runbook.host.refusals import shown

SCHEMA = "runbook.release/1"
MANIFEST, VERSION = "MANIFEST.json", "VERSION.txt"
LONGEST = 16 * 2**20  # bytes of a manifest
BLANK = "0" * 64
STAMP = "%Y-%m-%dT%H:%M:%SZ"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Unfit(TaskFailed):
    """An archive, or what stands beside it, is not what it should be; one that cannot be read at all is not this."""


class File(NamedTuple):
    """A file of a release: its path in there, its size in bytes, and its SHA-256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`created` is the time inside, in UTC; `model` is the path of the one that is to be served."""

    created: str
    git: str | None
    version: str | None
    model: str
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def sums(self) -> dict[str, str]:
        """Give the SHA-256 of each file by its path."""
        return {file.path: file.sha256 for file in self.files}

    def content(self) -> tuple[Any, ...]:
        """Give what two releases of the same content have in common: all but the time, and what bears it."""
        return self.git, self.version, self.model, tuple(file for file in self.files if file.path != VERSION)

    def encode(self) -> bytes:
        """Write it as JSON, files sorted; how long that is does not depend on the hashes."""
        files = [file._asdict() for file in sorted(self.files)]
        head = {"schema": SCHEMA, "created": self.created, "git": self.git, "version": self.version}
        return (json.dumps({**head, "model": self.model, "files": files}, indent=1) + "\n").encode()

    def with_sums(self, sums: dict[str, str]) -> Manifest:
        """Give it with these hashes."""
        return replace(self, files=tuple(file._replace(sha256=sums[file.path]) for file in self.files))


def version_text(created: str, git: str | None, version: str | None) -> bytes:
    lines = [f"utc: {created}", f"git: {git or 'nogit'}", *([f"version: {version}"] if version else [])]
    return ("\n".join(lines) + "\n").encode()


def stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(STAMP)


def decode(data: bytes, where: str) -> Manifest:
    """Read a manifest of anybody's; raises Unfit where it is none, or names what nobody may extract."""
    try:
        said = json.loads(data)
        if said["schema"] != SCHEMA:
            raise Unfit(
                f"{where}: its manifest is {shown(str(said['schema']))}, and {SCHEMA!r} is what is read here",
                hint="was it built by another version of runbook?",
            )
        files = tuple(sorted(_file(entry) for entry in said["files"]))
        git, version = (None if said[name] is None else _text(said[name]) for name in ("git", "version"))
        manifest = Manifest(_text(said["created"]), git, version, _text(said["model"]), files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unfit(f"{where}: its manifest is damaged: {type(error).__name__}: {error}") from error
    _refuse_unsafe(manifest, where)
    return manifest


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:80]!r} is no text")
    return value


def _file(entry: Any) -> File:
    file = File(_text(entry["path"]), entry["size"], _text(entry["sha256"]))
    if type(file.size) is not int or file.size < 0 or not _SHA256.fullmatch(file.sha256):
        raise ValueError(f"{str(entry)[:80]} is no file with its size and SHA-256")
    return file


def _refuse_unsafe(manifest: Manifest, where: str) -> None:
    paths = [file.path for file in manifest.files]
    for path in paths:
        reason = unsafe(path)
        if reason:
            raise Unfit(f"{where}: its manifest names {shown(path)}: {reason}; nothing is extracted")
    known = set(paths)
    if len(known) != len(paths) or MANIFEST in known:
        twice = next(path for path in [*paths, MANIFEST] if path == MANIFEST or paths.count(path) > 1)
        raise Unfit(f"{where}: its manifest names {shown(twice)} twice")
    for path in paths:
        above = next((str(p) for p in PurePosixPath(path).parents if str(p) in known), None)
        if above is not None:
            raise Unfit(f"{where}: its manifest names {shown(above)} as a file, and as the folder of another")
    if manifest.model not in known:
        raise Unfit(f"{where}: its model {shown(manifest.model)} is not among its files")


def inner(path: str) -> str:
    """Give the name that a path of this machine has in a release: UTF-8, whatever the locale takes it for."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def outer(name: str) -> str:
    """Give the path on this machine of a name in a release."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))


def unsafe(path: str) -> str | None:
    """Say why a name may not be extracted."""
    parts = path.split("/")
    if path.startswith("/"):
        return "it is absolute"
    if ".." in parts:
        return "it leads out of its folder"
    if "" in parts or "." in parts:
        return "it is not written plainly"
    if (
        "\0" in path
        or "\\" in path
        or any(0xD800 <= ord(char) < 0xDC80 or 0xDCFF < ord(char) < 0xE000 for char in path)
    ):
        return "it holds a character that no name may hold"
    raw = path.encode("utf-8", "surrogateescape")
    if len(raw) > 4000 or any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts):
        return "it is too long"
    return None
