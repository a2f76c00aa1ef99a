"""Reads a release that may be anybody's: only what its manifest names, only regular files, never more than it says."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import refusing, shown
from runbook.units import human_bytes

from .manifest import LONGEST, MANIFEST, Manifest, Unfit, decode
from .tar import BLOCK, PIECE, Member, exactly, header, members

FOUND = 20  # faults that are told


class Limits(NamedTuple):
    """What an archive may come to: bytes unpacked, and files."""

    size: int
    files: int


class Hashed(io.RawIOBase):
    """A file that is read from its start to its end, and hashed on the way."""

    def __init__(self, file: BinaryIO, advance: Callable[[int], None]) -> None:
        self._file, self._advance = file, advance
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        self._digest.update(piece)
        self._advance(len(piece))
        return len(piece)

    def rest(self) -> str:
        """Read to the end, and give the SHA-256 of all of it."""
        while self.read(PIECE):
            continue
        return self._digest.hexdigest()


Sink = Callable[[Member], Callable[[bytes], object]]


def manifest_of(host: Host, path: Path) -> Manifest:
    """Give the manifest of an archive, reading no more than its beginning."""
    with host.open(path) as file, refusing("read", path), closing(_unpacked(file)) as stream:
        return _manifest(stream, shown(path))


def check(host: Host, path: Path, wanted: str, limits: Limits, sink: Sink | None = None) -> Manifest:
    """Read a whole archive and hold it to its SHA-256 and its manifest; raises Unfit with what is wrong.

    `sink(member)` gives what takes the pieces of a file that is to be kept; nothing it gets is certain before the end.
    """
    stat = host.stat(path)
    name = shown(path)
    with host.open(path) as file, refusing("read", path):
        source = Hashed(file, host.meter(f"reading {name}", stat.size if stat is not None else 0))
        try:
            with closing(_unpacked(source)) as stream:
                manifest = _manifest(stream, name)
                _refuse_large(manifest, limits, name)
                wrong = _compare(stream, manifest, name, sink)
        except TaskFailed:
            _refuse_other(source.rest(), wanted, name)
            raise
        except _broken() as error:
            _pass_on(error)
            _refuse_other(source.rest(), wanted, name)
            raise Unfit(f"{name} cannot be unpacked: {error}") from error
        _refuse_other(source.rest(), wanted, name)
    if wrong:
        more = f" and {len(wrong) - FOUND} more" if len(wrong) > FOUND else ""
        raise Unfit(f"{name} is not what its manifest says: {'; '.join(wrong[:FOUND])}{more}")
    return manifest


def _pass_on(error: Exception) -> None:
    """Raise it again where it is the system that says no, and not the archive that is damaged."""
    if isinstance(error, OSError) and error.errno:
        raise error


def _refuse_other(found: str, wanted: str, name: str) -> None:
    if found != wanted:
        raise Unfit(
            f"{name} is damaged, or another: its SHA-256 is {found}, and the file beside it says {wanted}",
            hint="copy it again from where it was built, or take another release",
        )


def _refuse_large(manifest: Manifest, limits: Limits, name: str) -> None:
    if len(manifest.files) > limits.files:
        raise Unfit(
            f"{name} holds {len(manifest.files)} files, more than {limits.files}",
            hint="if that is meant, allow it with `max_files`",
        )
    if manifest.size > limits.size:
        raise Unfit(
            f"{name} would unpack to {human_bytes(manifest.size)}, more than {human_bytes(limits.size)}",
            hint="if that is meant, allow it with `max_bytes`",
        )


def _compare(stream: Any, manifest: Manifest, name: str, sink: Sink | None) -> list[str]:
    """Say of each file how it differs from the manifest; what the manifest does not name is refused at once."""
    files = {file.path: file for file in manifest.files}
    wrong = []
    for member in members(stream):
        said = files.pop(member.path, None)
        if said is None:
            kind = "twice" if member.path in manifest.sums() else "and its manifest does not name it"
            raise Unfit(f"{name} holds {shown(member.path)}, {kind}; nothing is extracted")
        if member.size != said.size:
            raise Unfit(
                f"{name}: {shown(member.path)} has {member.size} bytes, and {said.size} by its manifest;"
                " nothing is extracted"
            )
        keep = sink(member) if sink is not None else None
        digest = hashlib.sha256()
        for piece in member.pieces:
            digest.update(piece)
            if keep is not None:
                keep(piece)
        if digest.hexdigest() != said.sha256:
            wrong.append(f"{shown(member.path)} has another SHA-256")
    return [*wrong, *(f"{shown(path)} is missing" for path in files)]


def _broken() -> tuple[type[Exception], ...]:
    """Give what is raised while a damaged archive is read."""
    from isal import igzip_lib

    kind: Any = igzip_lib.IsalError  # the library's types take the class for an instance
    return EOFError, OSError, ValueError, tarfile.HeaderError, kind


def _unpacked(file: Any) -> Any:
    from isal import igzip

    return igzip.IGzipFile(fileobj=file, mode="rb")  # type: ignore[no-untyped-call]


def _manifest(stream: Any, name: str) -> Manifest:
    """Read the first member, which has to be the manifest."""
    try:
        info = header(stream)
        if info is None or info.name != MANIFEST or info.size > LONGEST:
            raise ValueError(f"it does not begin with {MANIFEST}")
        data = exactly(stream, info.size)
        exactly(stream, -info.size % BLOCK)
    except _broken() as error:
        _pass_on(error)
        raise Unfit(f"{name} is no release: {error}", hint="releases are built by release.build") from error
    return decode(data, name)
