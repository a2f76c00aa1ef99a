"""The changes that bring one path to what is wanted: what file tasks are built of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runbook.changes import Change, Chmod, Content, FileRef, MakeFolder, Remove, Stat, Write
from runbook.errors import TaskFailed
from runbook.host.protocol import Host
from runbook.host.refusals import shown
from runbook.units import Secret

LARGE = 10**6  # bytes; what is larger is referred to, not held in a change


def encoded(text: str | Secret) -> bytes | Secret:
    """Give the bytes of a text; a secret stays one until it is written."""
    return text if isinstance(text, Secret) else text.encode("utf-8", "surrogateescape")


def fill(host: Host, path: Path, content: Content | None, mode: int | None, *, parents: bool) -> Iterator[Change]:
    """Yield what gives a file its content (None: whatever it has) and mode (None: its own), through links."""
    was = host.stat(path)
    if was is None:
        if parents:
            yield from folders(host, path.parent)
        yield Write(path, b"" if content is None else content, mode=mode)
        return
    if not was.is_file:
        raise TaskFailed(
            f"{shown(path)} is there, and is no regular file",
            hint=f"write the file's own name: {shown(path)}/NAME" if was.is_folder else None,
        )
    if content is not None and _differs(host, path, was, content):
        shows = was.size <= LARGE and not isinstance(content, Secret)
        yield Write(path, content, mode=mode, was=was, before=host.read(path) if shows else None)
    elif mode is not None and was.mode != mode:
        yield Chmod(path, mode, was)


def _differs(host: Host, path: Path, was: Stat, content: Content) -> bool:
    if isinstance(content, FileRef):
        return bool(was.size != content.size) or host.sha256(path) != content.sha256
    data = content.reveal().encode("utf-8", "surrogateescape") if isinstance(content, Secret) else content
    return was.size != len(data) or host.read(path, limit=len(data)) != data


def copied(host: Host, source: Path, path: Path, mode: int | None, *, parents: bool) -> Iterator[Change]:
    """Yield what makes a file a copy of another; a new one gets the mode of the original unless one is given."""
    found = host.stat(source)
    if found is None:
        raise TaskFailed(f"there is no {shown(source)} to copy")
    if not found.is_file:
        raise TaskFailed(f"{shown(source)} is no regular file; only single files are copied")
    if host.stat(path) is None and mode is None:
        mode = found.mode
    content: Content
    if found.size > LARGE:
        content = FileRef(host.resolve(source), found.size, host.sha256(source))
    else:
        content = host.read(source)
    yield from fill(host, path, content, mode, parents=parents)


def folders(host: Host, path: Path, mode: int | None = None) -> Iterator[Change]:
    """Yield what makes a folder and those above it, as far as they are missing, all of one mode."""
    missing = [path]
    while host.stat(missing[-1]) is None:
        missing.append(missing[-1].parent)
    for folder in reversed(missing[:-1]):
        yield MakeFolder(folder, mode)


def clear(host: Host, path: Path) -> Iterator[Change]:
    """Yield what removes a file, a link, or a folder with all that is in it; nothing is done through links."""
    refuse_roots(host, path, follow=False)
    was = host.stat(path, follow=False)
    if was is None:
        return
    if was.is_folder:
        root = host.resolve(path)
        inside = next((mount for mount in host.mounts() if mount.is_relative_to(root)), None)
        if inside is not None:
            raise TaskFailed(f"{shown(path)} is not removed: {shown(inside)} in it is a mount point")
        for found in reversed(host.find(path, recursive=True)):  # what is in a folder goes before it
            yield Remove(found.path, found.stat)
    yield Remove(path, was)


def refuse_roots(host: Host, path: Path, *, follow: bool = True) -> None:
    """Raise `TaskFailed` for a path at which nothing may be deleted: none at all, `/`, or a mount point."""
    if path.name in {"", ".."}:
        said = "an empty path or the working folder" if path == Path() else shown(path)
        raise TaskFailed(
            f"refused: {said} is nothing to delete in", hint="is a variable in it empty? write the folder by its name"
        )
    real = host.resolve(path) if follow else host.resolve(path.parent) / path.name
    if real == Path(real.anchor) or real in host.mounts():
        raise TaskFailed(f"refused: {shown(path)} is {'a mount point' if real.name else 'the root'}")
