"""Files, folders and links as they should be, and old ones pruned."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from runbook.changes import Change, Chmod, Found, Link, MakeFolder, Remove
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.plans import clear, copied, encoded, fill, folders, refuse_roots
from runbook.host.refusals import shown
from runbook.task import Params, Rendered, TemplateFile, task
from runbook.units import Age, Mode, Secret

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MODE = 'the permission bits, as `"0644"`; without it an existing file keeps its own'
PARENTS = "make the folders that are missing above it"

Plan = Generator[Change, None, dict[str, Any]]


class Present(Params):
    """Which file, and what it should hold; with neither `content` nor `src` one is only made where none is."""

    path: Path = Field(description="the file; through a link, what it leads to")
    content: str | Secret | None = Field(None, description="the text it should hold")
    src: Path | None = Field(None, description="a file of the machine that it should be a copy of")
    mode: Mode | None = Field(None, description=MODE)
    parents: bool = Field(default=False, description=PARENTS)
    state: Literal["present", "absent"] = Field("present", description="`absent` is the same as files.absent")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.content is not None and self.src is not None:
            raise ValueError("content and src exclude each other; write one of them")
        return self


@task(returns={"path": "the file"})
def present(want: Present, host: Host) -> Plan:
    """Have a file with this content and mode."""
    if want.state == "absent":
        yield from clear(host, want.path)
    elif want.src is not None:
        yield from copied(host, want.src, want.path, want.mode, parents=want.parents)
    else:
        content = None if want.content is None else encoded(want.content)
        yield from fill(host, want.path, content, want.mode, parents=want.parents)
    return {"path": str(want.path)}


class Absent(Params):
    """What should not be there."""

    path: Path = Field(description="a file, a link, or a folder, which goes with all that is in it")


@task(returns={"path": "what is gone"})
def absent(want: Absent, host: Host) -> Plan:
    """Delete a file, a link or a folder with its content; never what a link leads to, `/` or a mount point."""
    yield from clear(host, want.path)
    return {"path": str(want.path)}


class Directory(Params):
    """Which folder."""

    path: Path = Field(description="the folder")
    mode: Mode | None = Field(None, description="its own permission bits, not those of folders made above it")
    parents: bool = Field(default=True, description=PARENTS)


@task(returns={"path": "the folder"})
def directory(want: Directory, host: Host) -> Plan:
    """Have a folder, with a mode if one is given."""
    was = host.stat(want.path)
    if was is None:
        if want.parents:
            yield from folders(host, want.path.parent)
        yield MakeFolder(want.path, want.mode)
    elif not was.is_folder:
        raise TaskFailed(
            f"{shown(want.path)} is there, and is no folder", hint="if it may go: files.absent before this"
        )
    elif want.mode is not None and was.mode != want.mode:
        yield Chmod(want.path, want.mode, was)
    return {"path": str(want.path)}


class Linked(Params):
    """Which link, and where it leads."""

    path: Path = Field(description="the link")
    to: str = Field(description="what it says; a relative one counts from the link's folder", min_length=1)
    hard: bool = Field(default=False, description="make it a second name of the file `to`")
    force: bool = Field(default=False, description="replace a file, and allow a link that leads nowhere yet")


@task(name="link", returns={"path": "the link"})
def linked(want: Linked, host: Host) -> Plan:
    """Have a link, symbolic or hard; one that leads elsewhere is replaced in one rename."""
    was = host.stat(want.path, follow=False)
    meant = host.stat(Path(want.to) if want.hard else want.path.parent / want.to, follow=not want.hard)
    if meant is None and (want.hard or not want.force):
        hint = "make it first" if want.hard else "make it first, or write `force: true`"
        raise TaskFailed(f"{shown(want.path)} would lead to {shown(want.to)}, which is not there", hint=hint)
    if want.hard:
        done = was is not None and meant is not None and (was.device, was.inode) == (meant.device, meant.inode)
    else:
        done = host.readlink(want.path) == want.to
    if not done:
        if was is not None and not was.is_link and (was.is_folder or not want.force):
            hint = "a folder is never replaced" if was.is_folder else "write `force: true` to replace it"
            raise TaskFailed(f"{shown(want.path)} is there, and is no link", hint=hint)
        yield Link(want.path, want.to, hard=want.hard, was=was)
    return {"path": str(want.path)}


class Copy(Params):
    """What to copy, and where to."""

    src: Path = Field(description="a file of the machine")
    path: Path = Field(alias="dest", description="the copy, or the folder that it goes into")
    mode: Mode | None = Field(None, description='the permission bits, as `"0644"`; a new file has those of `src`')
    parents: bool = Field(default=False, description=PARENTS)


@task(returns={"path": "the copy"})
def copy(want: Copy, host: Host) -> Plan:
    """Have a copy of a file; where the content is the same nothing is done, whatever the times."""
    there = host.stat(want.path)
    path = want.path / want.src.name if there is not None and there.is_folder else want.path
    yield from copied(host, want.src, path, want.mode, parents=want.parents)
    return {"path": str(path)}


class Template(Params):
    """Which template, and the file that is made of it."""

    src: TemplateFile = Field(description="the template, beside the playbook")
    path: Path = Field(alias="dest", description="the file")
    mode: Mode | None = Field(None, description=MODE)
    parents: bool = Field(default=False, description=PARENTS)


@task(returns={"path": "the file"})
def template(want: Template, host: Host) -> Plan:
    """Have a file that holds a rendered template."""
    source: Rendered = want.src
    yield from fill(host, want.path, encoded(source.text), want.mode, parents=want.parents)
    return {"path": str(want.path)}


class Prune(Params):
    """Which files may go: those that fail every rule that is given, one rule at least.

    What a link in the folder leads to stays, along whole chains, and so does a file with a second name (a hard link).
    The external data of a model (`X.data`, `X_data`) goes, and stays, with it.
    """

    directory: Path = Field(description="the folder; those in it are not looked into")
    pattern: str = Field(description="the shell pattern of the names, as `last_*.pt`", pattern=r"^[^/]+$")
    keep: PositiveInt | None = Field(None, description="how many of the newest stay, whatever else goes")
    older_than: Age | None = Field(None, description="the age from which a file may go; alone, also the newest may")
    protect: tuple[str, ...] = Field(("best.pt",), description="names, or patterns of names, that always stay")
    links: tuple[Path, ...] = Field(
        (), description="elsewhere: links, folders of links, or files in use; what they lead to stays"
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.keep is None and self.older_than is None:
            raise ValueError("without a rule every match would go; write keep, older_than or both")
        return self


@task(returns={"removed": "the files that went", "kept": "the matches that stay", "bytes_freed": "in bytes"})
def prune(want: Prune, host: Host) -> Plan:
    """Delete the oldest matches of a pattern, never a protected file, a link, or what a link means."""
    refuse_roots(host, want.directory)
    found = host.find(want.directory)
    groups = _groups(found, want.pattern)
    newest = {group[-1].path for group in groups[-want.keep :]} if want.keep else set()
    meant = _meant(host, found, want)
    now = (host.now - EPOCH) // timedelta(microseconds=1) * 1000
    removed: list[Found] = []
    kept: list[Found] = []
    for group in groups:
        age = now - group[-1].stat.mtime
        young = want.older_than is not None and age < round(want.older_than * 1e6) * 1000
        if group[-1].path in newest or young or any(_spared(file, want.protect, meant) for file in group):
            kept += group
            continue
        removed += group
        for file in group:
            yield Remove(file.path, file.stat, why=f"{age / 86400e9:.0f}d old")
    return {
        "removed": [str(file.path) for file in removed],
        "kept": [str(file.path) for file in kept],
        "bytes_freed": sum(file.stat.size for file in removed),
    }


def _groups(found: Sequence[Found], pattern: str) -> list[list[Found]]:
    """Give the matching files, oldest first, each behind its data: a run killed in between finds the file again."""
    files = {file.path: file for file in found if file.stat.is_file}
    data = {
        path: [files[part] for end in (".data", "_data") if (part := path.with_name(path.name + end)) in files]
        for path in files
    }
    parts = {file.path for group in data.values() for file in group}
    whole = [file for path, file in files.items() if fnmatchcase(path.name, pattern) and path not in parts]
    return [[*data[file.path], file] for file in sorted(whole, key=lambda file: (file.stat.mtime, file.path))]


def _meant(host: Host, found: Sequence[Found], want: Prune) -> set[Path]:
    """Give the files of the folder that links lead to, whole chains of them, as the folder names them."""
    links = [file.path for file in found if file.stat.is_link]
    for path in want.links:
        there = host.stat(path)
        within = host.find(path) if there is not None and there.is_folder else []
        links += [path, *(file.path for file in within if file.stat.is_link)]
    targets = {host.resolve(link) for link in links if host.stat(link) is not None}
    root = host.resolve(want.directory)
    return {want.directory / target.name for target in targets if target.parent == root}


def _spared(file: Found, protect: Sequence[str], meant: set[Path]) -> bool:
    name = file.path.name
    return file.stat.links > 1 or file.path in meant or any(name == p or fnmatchcase(name, p) for p in protect)
