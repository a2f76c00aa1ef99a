"""Changes to files and folders: Write, Remove, Move, MakeFolder, Chmod, Link, Compress, Produce."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from runbook.changes.base import AFTER_THE_RUN, Change, Content, Machine, Outcome, RunCommand, text_diff
from runbook.changes.values import FileRef, Stat
from runbook.errors import TaskFailed
from runbook.units import Mode, Secret, human_bytes
from runbook.unknown import Unknown
from runbook.value import sealed


@sealed
class Write(Change):
    """Give a file this content, whole or not at all.

    `was` is the status it was planned on (None: there is no such file) and `before` its text, for the diff. `mode`
    None keeps the mode of an existing file, and is 0644 less the umask for a new one. `mtime` in ns; None is now.
    `validate` is a command, with `%s` for the file, which must end well before the file is put in its place.
    """

    kind: ClassVar[str] = "write"
    path: Path
    content: Content
    mode: int | None = None
    was: Stat | None = None
    before: bytes | None = field(default=None, repr=False)
    mtime: int | None = None
    validate: str | None = None

    @property
    def target(self) -> str:
        return str(self.path)

    def apply(self, host: Machine) -> None:
        gate = None if self.validate is None else partial(_validated, host, self.validate)
        host.write(self.path, self.content, mode=self.mode, was=self.was, mtime=self.mtime, gate=gate)

    def describe(self) -> str:
        size = "secret content" if isinstance(self.content, Secret) else human_bytes(content_size(self.content))
        verb = "replaced" if self.was else "created"
        return f"{verb}, {size}" + (f", {Mode(self.mode)}" if self.mode is not None else "")

    def diff(self) -> str | None:
        if not isinstance(self.content, bytes) or (self.was and self.before is None):
            return None
        return text_diff(self.before if self.was else None, self.content, str(self.path))


def _validated(host: Machine, command: str, path: Path) -> None:
    """Run the command on a file that has not got its name yet; raises TaskFailed where it says no."""
    argv = tuple(word.replace("%s", str(path)) for word in shlex.split(command))
    done = host.run(RunCommand(argv))
    if not isinstance(done, Unknown) and done.rc != 0:
        said = (done.stderr.strip() or done.stdout.strip()).replace(str(path), "the file")
        raise TaskFailed(
            f"failed to validate: rc:{done.rc} error:{said}",
            hint=f"what was there is unchanged; the command was {command}",
        )


def content_size(content: bytes | FileRef) -> int:
    return content.size if isinstance(content, FileRef) else len(content)


@sealed
class Remove(Change):
    """Delete a file, a link (not what it leads to) or an empty folder, if it is still the one that was planned on.

    `why` is said with it: `16d old`.
    """

    kind: ClassVar[str] = "remove"
    path: Path
    was: Stat
    why: str = ""

    @property
    def target(self) -> str:
        return str(self.path)

    def apply(self, host: Machine) -> None:
        host.remove(self.path, was=self.was)

    def describe(self) -> str:
        why = f": {self.why}" if self.why else ""
        if self.was.kind != "file":
            return f"{self.was.kind} removed{why}"
        return f"removed{'' if isinstance(self.was.size, Unknown) else ', ' + human_bytes(self.was.size)}{why}"


@sealed
class Move(Change):
    """Rename a file or folder; what is at the destination is never overwritten."""

    kind: ClassVar[str] = "move"
    path: Path
    to: Path
    was: Stat

    @property
    def target(self) -> str:
        return str(self.path)

    def apply(self, host: Machine) -> None:
        host.move(self.path, self.to, was=self.was)

    def describe(self) -> str:
        return f"moved to {self.to}"


@sealed
class MakeFolder(Change):
    """Make one folder; its parent exists, or is made by an earlier change. `mode` None is 0755 less the umask."""

    kind: ClassVar[str] = "make folder"
    path: Path
    mode: int | None = None

    @property
    def target(self) -> str:
        return str(self.path)

    def apply(self, host: Machine) -> None:
        host.make_folder(self.path, mode=self.mode)

    def describe(self) -> str:
        return "created" + (f", {Mode(self.mode)}" if self.mode is not None else "")


@sealed
class Chmod(Change):
    """Give a file or folder these permission bits."""

    kind: ClassVar[str] = "chmod"
    path: Path
    mode: int
    was: Stat

    @property
    def target(self) -> str:
        return str(self.path)

    def apply(self, host: Machine) -> None:
        host.chmod(self.path, self.mode, was=self.was)

    def describe(self) -> str:
        return f"{Mode(self.was.mode)} to {Mode(self.mode)}"


@sealed
class Link(Change):
    """Make a link at `path`, symbolic or hard, that leads to `to`.

    An existing link or file there is replaced in one rename.
    """

    kind: ClassVar[str] = "link"
    path: Path
    to: str
    hard: bool = False
    was: Stat | None = None

    @property
    def target(self) -> str:
        return str(self.path)

    def apply(self, host: Machine) -> None:
        host.link(self.path, self.to, hard=self.hard, was=self.was)

    def describe(self) -> str:
        return f"{'hard link' if self.hard else 'link'} to {self.to}"


@sealed
class Compress(Change):
    """Write a file's gzip beside or elsewhere; the archive gets the file's mode and time. The file itself stays.

    `level` is isal's: 0 fastest to 3 smallest.
    """

    kind: ClassVar[str] = "compress"
    path: Path
    to: Path
    was: Stat
    level: int = 2

    @property
    def target(self) -> str:
        return str(self.path)

    def apply(self, host: Machine) -> None:
        host.compress(self.path, self.to, was=self.was, level=self.level)

    def describe(self) -> str:
        return f"into {self.to}"


@sealed
class Produce(Change):
    """Make a file whose content is only known by doing it, or a `folder` that is not there yet.

    `make(temporary)` writes to the path it is given, a sibling of `path`, or fills the folder there, and may raise to
    refuse the result; only then is it renamed into place. What it returns is the `outcome`. It may read through the
    host that the task was given; `host.meter` tells how far it is.
    """

    kind: ClassVar[str] = "produce"
    path: Path
    make: Callable[[Path], Any] = field(compare=False)
    mode: int | None = None
    was: Stat | None = None
    folder: bool = False
    cell: Outcome = field(default_factory=Outcome, compare=False, repr=False)

    @property
    def target(self) -> str:
        return str(self.path)

    @property
    def outcome(self) -> Unknown:
        return Unknown(AFTER_THE_RUN, self.cell.get)

    def apply(self, host: Machine) -> None:
        self.cell.put(host.produce(self.path, self.make, mode=self.mode, was=self.was, folder=self.folder))

    def describe(self) -> str:
        return AFTER_THE_RUN
