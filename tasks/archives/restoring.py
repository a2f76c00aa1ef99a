"""Unpacks a release: into a folder that nobody else can reach until it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import refusing, shown
from runbook.units import human_bytes

from .manifest import Manifest, outer
from .tar import Member
from .unpack import Limits, check

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
TOLD = 5


def filler(host: Host, path: Path, sha256: str, limits: Limits) -> Callable[[Path], Manifest]:
    """Give the function that unpacks an archive into an empty folder, and raises where it is not what it was."""

    def fill(folder: Path) -> Manifest:
        opened: list[int] = []

        def close() -> None:
            while opened:
                os.close(opened.pop())

        def sink(member: Member) -> Callable[[bytes], object]:
            close()
            target = folder / outer(member.path)
            with refusing("write", member.path):
                target.parent.mkdir(parents=True, exist_ok=True)
                opened.append(os.open(target, _CREATE, 0o755 if member.runs else 0o644))
            return lambda piece: _write(opened[-1], piece, member.path)

        try:
            return check(host, path, sha256, limits, sink)
        finally:
            close()

    return fill


def _write(descriptor: int, piece: bytes, path: str) -> None:
    rest = memoryview(piece)
    with refusing("write", path):
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def refuse_full(host: Host, dest: Path, manifest: Manifest) -> None:
    """Raise where the disk has no room for it."""
    near = dest.parent
    while host.stat(near) is None:
        near = near.parent
    free = host.usage(near).free
    if manifest.size > free:
        raise TaskFailed(
            f"cannot restore to {shown(dest)}: No space left on device for {human_bytes(manifest.size)},"
            f" {human_bytes(free)} is free",
            hint="free some space, or restore to another file system",
        )


def refuse_other(host: Host, dest: Path, manifest: Manifest) -> None:
    """Raise unless the folder holds every file of the manifest, the same byte for byte."""
    there = host.stat(dest)
    if there is None or not there.is_folder:
        raise TaskFailed(f"{shown(dest)} is there, and is no folder", hint="restore to a path that is not there yet")
    differing = [file.path for file in manifest.files if not _same(host, dest / outer(file.path), file)]
    if differing:
        more = f" and {len(differing) - TOLD} more" if len(differing) > TOLD else ""
        raise TaskFailed(
            f"{shown(dest)} is there, and is not this release: {', '.join(map(shown, differing[:TOLD]))}{more}"
            " is missing or another; nothing is overwritten",
            hint="restore to a path that is not there yet, or move the folder away",
        )


def _same(host: Host, path: Path, file: Any) -> bool:
    found = host.stat(path, follow=False)
    return found is not None and found.is_file and found.size == file.size and host.sha256(path) == file.sha256
