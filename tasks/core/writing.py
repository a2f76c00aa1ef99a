"""Tasks that give files content: `copy` and `template`."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from runbook.changes import Change, Chmod, Content, FileRef, Remove, Stat, Write
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.modes import MODE, ModeChange, Permissions, mode_bits, read_mode
from runbook.host.plans import LARGE, folders
from runbook.task import ControllerPath, Params, Rendered, TemplateFile, task
from runbook.units import Mode, Secret

from .describing import described
from .editing import VALIDATE, Validator, encoded
from .lacking import COPY, TEMPLATE

CONTROLLER = get_args(ControllerPath)[1]
RETURNS = {
    "dest": "the file, or the folder that a folder was copied into",
    "src": "what it was made of",
    "checksum": "SHA-1 of the content; not of a secret or a folder, nor of more than 1 MB, which has a `sha256`",
    "mode": 'the permission bits, as "0644"',
    "state": "`file`, of `size` bytes",
    "uid": "the owner's number",
    "gid": "the group's number",
    "owner": "the owner's name",
    "group": "the group's name",
    "backup_file": "where the former content is, if `backup` kept it",
}


def _mode(value: Any) -> Any:
    return value if value == "preserve" else read_mode(value)


class Target(Params):
    """Where the content goes, and how."""

    dest: str = Field(
        min_length=1,
        description="the file; or, with a `/` at its end or where it is one, the folder that the file goes into",
    )
    directory_mode: Permissions | None = Field(None, description="the permission bits of folders that are made")
    force: bool = Field(default=True, description="replace an existing file of other content")
    backup: bool = Field(default=False, description="keep the former content beside it, under a name with the time")
    follow: bool = Field(
        default=False, description="where `dest` is a link, write what it leads to; else replace the link"
    )
    validate_: Validator | None = Field(None, alias="validate", description=VALIDATE)


class Copy(Target):
    """What to copy: one of `src` and `content`."""

    lacks = COPY
    src: Annotated[str | None, CONTROLLER] = Field(
        None, description="a file, or a folder: with a `/` at its end what is in it, without one the folder itself"
    )
    content: Any = Field(None, description="the text itself; a list or mapping is written as JSON")
    mode: Annotated[Literal["preserve"] | Mode | ModeChange | None, BeforeValidator(_mode)] = Field(
        None, description=f"{MODE}; `preserve` takes those of `src`"
    )
    remote_src: bool = Field(default=False, description="`src` is a path of the host, not of the controller")

    @property
    def given_mode(self) -> Mode | ModeChange | None:
        return None if isinstance(self.mode, str) else self.mode

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.src is None) == (self.content is None):
            raise ValueError("write one of `src` (a file or folder) and `content` (a text)")
        if self.content is not None and self.dest.endswith("/"):
            raise ValueError("`content` needs the name of a file in `dest`, which ends in `/`")
        if self.content is not None and self.mode == "preserve":
            raise ValueError("`mode: preserve` is for `src`: content has no mode to keep")
        return self


class Template(Target):
    """Which template to render."""

    lacks = TEMPLATE
    src: TemplateFile = Field(description="the template, beside the playbook or in `templates/` there")
    mode: Permissions | None = Field(None, description=MODE)


@dataclass(frozen=True, slots=True)
class Piece:
    """One file to be written: what it is to hold, and how it is told apart from what is there."""

    content: Content
    mode: Mode | ModeChange | int | None
    enforced: bool
    size: int


@task(returns=RETURNS)
def copy(want: Copy, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Give a file its content: a text, or that of another file; or copy a folder.

    A folder is copied with all that is in it, links in it as what they lead to; what else is in `dest` stays. A file is
    written whole or not at all.
    """
    if want.src is None:
        path = _file(want, "", host)
        return (yield from _placed(path, _piece(encoded(want.content), want.given_mode), want, host))
    source = Path(want.src)
    found = host.stat(source)
    if found is None:
        raise TaskFailed(f"there is no {source} to copy", hint="`src` is looked up beside the playbook, then in files/")
    if found.is_folder:
        dest = Path(want.dest) if want.src.endswith("/") else Path(want.dest) / source.name
        yield from _tree(source, dest, want, host, above=())
        return {"dest": want.dest, "src": want.src}
    path = _file(want, source.name, host)
    data = yield from _placed(path, _copied(source, found, want, host), want, host)
    return {**data, "src": want.src}


@task(returns=RETURNS)
def template(want: Template, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Write a file out of a template of the controller.

    The template sees the step's variables. Its last newline is kept, and the newline after a `{% %}` is dropped.
    """
    rendered: Rendered = want.src
    path = _file(want, Path(rendered.path).name, host)
    data = yield from _placed(path, _piece(encoded(rendered.text), want.mode), want, host)
    return {**data, "src": rendered.path}


def _file(want: Target, name: str, host: Host) -> Path:
    """Give the file that `dest` means, given the name it gets in a folder."""
    path = Path(want.dest)
    found = host.stat(path)
    if not want.dest.endswith("/") and (found is None or not found.is_folder):
        return path
    if not name:
        raise TaskFailed(f"{path} is a folder; write the name of a file in it, where `content` is to go")
    return path / name


def _placed(path: Path, piece: Piece, want: Target, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Bring one file to its content and mode, and say what it is then."""
    found = host.stat(path, follow=False)
    if found is not None and found.is_link and want.follow:
        path = host.resolve(path)
        found = host.stat(path, follow=False)
    data: dict[str, Any] = {"dest": str(path)}
    if found is None or want.force:
        if want.dest.endswith("/"):
            yield from folders(host, path.parent, _folder_mode(want, host))
        if host.stat(path.parent) is None:
            raise TaskFailed(f"there is no folder {path.parent}", hint="make it before: `file` with `state: directory`")
        kept = yield from _written_to(path, piece, found, want, host)
        data |= {"backup_file": kept} if kept else {}
    if isinstance(piece.content, FileRef):
        data["sha256"] = piece.content.sha256
    elif isinstance(piece.content, bytes):
        data["checksum"] = hashlib.sha1(piece.content, usedforsecurity=False).hexdigest()
    return data | described(path, host)


def _written_to(
    path: Path, piece: Piece, found: Stat | None, want: Target, host: Host
) -> Generator[Change, None, str | None]:
    kept = None
    if found is None or not found.is_file or _differs(path, piece, found, host):
        if found is not None and want.backup and found.is_file:
            kept = f"{path}.{host.now:%Y-%m-%d@%H:%M:%S}~"
            yield Write(Path(kept), _whole(path, found, host), mode=found.mode, was=host.stat(Path(kept), follow=False))
        if found is not None and found.is_link:
            yield Remove(path, was=found)
            found = None
        before = host.read(path) if found is not None and found.is_file and found.size <= LARGE else None
        mode = mode_bits(piece.mode, found.mode if found else None, umask=host.umask)
        yield Write(path, piece.content, mode=mode, was=found, before=before, validate=want.validate_)
        return kept
    mode = mode_bits(piece.mode, found.mode, umask=host.umask)
    if piece.enforced and mode is not None and found.mode != mode:
        yield Chmod(path, mode, was=found)
    return kept


def _differs(path: Path, piece: Piece, found: Stat, host: Host) -> bool:
    if found.size != piece.size:
        return True
    if isinstance(piece.content, FileRef):
        return host.sha256(path) != piece.content.sha256
    content = piece.content
    wanted = content.reveal().encode("utf-8", "surrogateescape") if isinstance(content, Secret) else content
    return host.read(path, limit=max(LARGE, len(wanted))) != wanted


def _piece(content: bytes | Secret, mode: Mode | ModeChange | None) -> Piece:
    plain = content.reveal().encode("utf-8", "surrogateescape") if isinstance(content, Secret) else content
    return Piece(content, mode, enforced=mode is not None, size=len(plain))


def _copied(source: Path, found: Stat, want: Copy, host: Host) -> Piece:
    """Give what is to be written for a file: what is larger than 1 MB stays where it is until it is copied."""
    preserved = want.mode == "preserve" or (want.remote_src and want.mode is None)
    mode = found.mode if preserved else want.given_mode
    return Piece(_whole(source, found, host), mode, enforced=want.mode is not None, size=found.size)


def _whole(path: Path, found: Stat, host: Host) -> bytes | FileRef:
    if found.size > LARGE:
        return FileRef(host.resolve(path), found.size, host.sha256(path))
    return host.read(path)


def _tree(source: Path, dest: Path, want: Copy, host: Host, *, above: tuple[Path, ...]) -> Iterator[Change]:
    """Copy what is in a folder into another, which is made if it is missing."""
    real = host.resolve(source)
    if real in above:
        raise TaskFailed(f"{source} leads back to {real}, which it is in: a link there leads upwards")
    yield from folders(host, dest, _folder_mode(want, host))
    for entry in host.find(source):
        found = host.stat(entry.path)
        if found is None:
            raise TaskFailed(f"{entry.path} is a link that leads nowhere, and cannot be copied")
        if found.is_folder:
            yield from _tree(entry.path, dest / entry.path.name, want, host, above=(*above, real))
        elif found.is_file:
            piece = _copied(entry.path, found, want, host)
            yield from _placed(dest / entry.path.name, piece, want, host)
        else:
            raise TaskFailed(f"{entry.path} is neither a file nor a folder, and cannot be copied")


def _folder_mode(want: Target, host: Host) -> int | None:
    return mode_bits(want.directory_mode, None, umask=host.umask, folder=True)
