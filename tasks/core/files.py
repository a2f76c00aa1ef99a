"""Tasks about what a path is: `file` and `tempfile`."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from runbook.changes import Change, Chmod, Link, MakeFolder, Remove, Stat, Write
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.modes import MODE, ModeChange, Permissions, mode_bits
from runbook.host.plans import folders
from runbook.task import Params, task
from runbook.units import Mode

from .describing import STATES, described
from .lacking import FILE

State = Literal["file", "directory", "link", "hard", "touch", "absent"]


def _written(value: Any) -> Any:
    if value == "":  # as a Path it would mean the working folder
        raise ValueError("the path is empty; is a variable in it empty?")
    return value


class Entry(Params):
    """What a path is to be."""

    lacks = FILE
    path: Annotated[Path, BeforeValidator(_written)] = Field(
        validation_alias=AliasChoices("path", "dest", "name"), description="the path"
    )
    state: State | None = Field(
        None,
        description="`directory` makes a folder with its parents, `touch` an empty file where there is none, `link` "
        "and `hard` a link to `src`; `absent` removes a file, a link, or a folder with all that is in it; `file` makes "
        "nothing and fails where nothing is; without it, what is there stays what it is",
    )
    src: str | None = Field(None, description="what a `link` says, or the file that a `hard` link is another name of")
    mode: Permissions | None = Field(None, description=MODE)
    recurse: bool = Field(default=False, description="give the mode to all that is in a `directory`, too")
    force: bool = Field(
        default=False,
        description="for links: replace a file or an empty folder, and allow a `src` that does not exist",
    )
    follow: bool = Field(default=True, description="where the path is a link, mean what it leads to")
    modification_time: Literal["preserve"] = Field("preserve", description="existing files keep their time")
    access_time: Literal["preserve"] = Field("preserve", description="existing files keep their time")

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        linking = self.state in {"link", "hard"}
        if linking and not self.src:
            raise ValueError(f"`state: {self.state}` needs `src`: what it leads to")
        if self.src is not None and not linking:
            raise ValueError("`src` is for links; write `state: link` or `state: hard`, or use `copy`")
        if self.recurse and self.state not in {"directory", None}:
            raise ValueError("`recurse` is for folders; write `state: directory`")
        if self.mode is not None and self.state in {"link", "absent"}:
            raise ValueError(f"`mode` means nothing with `state: {self.state}`; leave it out")
        return self


class Temporary(Params):
    """Where, and what."""

    state: Literal["file", "directory"] = Field("file", description="what to make")
    path: Path | None = Field(None, description="the folder to make it in; $TMPDIR or /tmp without it")
    prefix: str = Field("runbook.", description="what its name begins with", pattern=r"^[^/]*$")
    suffix: str = Field("", description="what its name ends with", pattern=r"^[^/]*$")


@task(
    returns={
        "path": "the path",
        "dest": "the same, of a link",
        "src": "what a link leads to",
        "state": "what is there: file, hard (a file of several names), directory, link or absent",
        "mode": 'the permission bits, as "0644"',
        "size": "in bytes",
        "uid": "the owner's number",
        "gid": "the group's number",
        "owner": "the owner's name",
        "group": "the group's name",
    }
)
def file(want: Entry, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Make a path a folder, a link, an empty file, or nothing; and give it a mode.

    A removal never goes through a link, and refuses `/`, a mount point, and a folder that the run works in.
    """
    path = want.path
    if want.state in {"link", "hard"}:
        yield from _linked(want, host)
    elif want.state == "absent":
        yield from _absent(path, host)
    else:
        path = host.resolve(path) if want.follow else path
        yield from _standing(want, path, host)
    linked = {"dest": str(want.path), "src": want.src} if want.src else {}
    return {"path": str(want.path), **described(want.path, host, follow=False)} | linked


@task(kind="action", returns={"path": "where it is", "state": "file or directory", "mode": "its mode"})
def tempfile(want: Temporary, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Make an empty file or folder of a name of its own, which only this user may read.

    Nothing removes it again: a `file` step with `state: absent`, in an `always`, does.
    """
    folder = want.path or Path(host.env.get("TMPDIR") or "/tmp")  # noqa: S108 - made with O_EXCL by a name of its own
    if host.stat(folder) is None:
        raise TaskFailed(f"there is no folder {folder} to make it in", hint=f"make it before: file: path={folder}")
    path = _free(folder, want, host)
    yield Write(path, b"", mode=0o600) if want.state == "file" else MakeFolder(path, mode=0o700)
    return {"path": str(path), **described(path, host, follow=False)}


def _free(folder: Path, want: Temporary, host: Host) -> Path:
    while True:
        path = folder / f"{want.prefix}{secrets.token_hex(4)}{want.suffix}"
        if host.stat(path, follow=False) is None:
            return path


def _standing(want: Entry, path: Path, host: Host) -> Iterator[Change]:
    """Make a file or folder what it is to be, where it is none yet, and see to its mode."""
    found = host.stat(path, follow=False)
    state = want.state or ("directory" if want.recurse else STATES[found.kind] if found else "file")
    if found is None:
        if state == "directory":
            yield from folders(host, path, mode_bits(want.mode, None, umask=host.umask, folder=True))
        elif state == "touch":
            yield Write(path, b"", mode=mode_bits(want.mode, None, umask=host.umask))
        else:
            raise TaskFailed(
                f"there is no file {path}, and `state: file` makes none",
                hint="`state: touch` makes an empty one, `state: directory` a folder; `copy` makes one with content",
            )
        return
    if found.is_folder != (state == "directory") and state != "touch":
        raise TaskFailed(
            f"{path} is there, but is a {STATES[found.kind]} and no {state}",
            hint="remove it in a step before this one, if it may go: `state: absent`",
        )
    if want.mode is None:
        return
    yield from _moded(path, found, want.mode, host)
    if want.recurse and found.is_folder:
        for below in host.find(path, recursive=True):
            if not below.stat.is_link:
                yield from _moded(below.path, below.stat, want.mode, host)


def _moded(path: Path, found: Stat, mode: Mode | ModeChange, host: Host) -> Iterator[Change]:
    bits = mode_bits(mode, found.mode, umask=host.umask, folder=found.is_folder)
    if bits is not None and found.mode != bits and not found.is_link:
        yield Chmod(path, bits, was=found)


def _absent(path: Path, host: Host) -> Iterator[Change]:
    found = host.stat(path, follow=False)
    if found is None:
        return
    if not found.is_folder:
        yield Remove(path, was=found)
        return
    real = host.resolve(path)
    if real == Path(real.anchor) or host.resolve(host.cwd).is_relative_to(real):
        raise TaskFailed(f"{path} is not removed: the run works within it", hint="write the path of what is to go")
    inside = [mount for mount in host.mounts() if mount.is_relative_to(real)]
    if inside:
        raise TaskFailed(f"{path} is not removed: {inside[0]} is a mount point", hint=f"umount {inside[0]} first")
    yield from _emptied(path, found, host)


def _emptied(path: Path, found: Stat, host: Host) -> Iterator[Change]:
    for entry in host.find(path):
        if entry.stat.is_folder:
            yield from _emptied(entry.path, entry.stat, host)
        else:
            yield Remove(entry.path, was=entry.stat)
    yield Remove(path, was=found)


def _linked(want: Entry, host: Host) -> Iterator[Change]:
    """Make a link, symbolic or hard, in the place of what may be replaced."""
    assert want.src is not None
    hard, path = want.state == "hard", want.path
    source = host.stat(path.parent / want.src if not hard else Path(want.src))
    if source is None and (hard or not want.force):
        hint = "make it first" if hard else "make it first, or write `force: true` if it is to come later"
        raise TaskFailed(f"there is no {want.src} to link {path} to", hint=hint)
    found = host.stat(path, follow=False)
    if found is not None and found.is_folder and hard:
        path = path / Path(want.src).name
        found = host.stat(path, follow=False)
    if found is None or not _leads(want, path, found, source, host):
        yield from _replaced(want, path, found, hard=hard)
    if want.mode is not None and hard:
        now = host.stat(path, follow=False)
        assert now is not None
        yield from _moded(path, now, want.mode, host)


def _leads(want: Entry, path: Path, found: Stat, source: Stat | None, host: Host) -> bool:
    if want.state == "link":
        return host.readlink(path) == want.src
    return source is not None and (found.device, found.inode) == (source.device, source.inode)


def _replaced(want: Entry, path: Path, found: Stat | None, *, hard: bool) -> Iterator[Change]:
    assert want.src is not None
    if found is not None and not found.is_link and not want.force:
        raise TaskFailed(
            f"{path} is a {STATES[found.kind]}, which a link would replace",
            hint="write `force: true` if it may be lost" + ("; a folder must be empty" if found.is_folder else ""),
        )
    if found is not None and found.is_folder:
        yield Remove(path, was=found)
        found = None
    yield Link(path, want.src, hard=hard, was=found)
