"""Rotating a log that may be written meanwhile: who writes it, how it is cut off, and the change that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from pathlib import Path
from typing import ClassVar, Literal

from runbook.changes.base import AFTER_THE_RUN, Change, Machine, Outcome
from runbook.changes.values import Exchange, Stat
from runbook.units import human_bytes
from runbook.unknown import Unknown
from runbook.value import sealed

Method = Literal["rename", "reopen", "collapse", "pause", "copytruncate"]
UNFINISHED = ".rotating"  # ends the name of what a rotation has put aside until its archive stands


@sealed
class Writer:
    """A process that has a file open for writing.

    `appends`: each of its writes goes to the end, wherever that is (O_APPEND). `stoppable`: this user may pause it,
    and it is neither runbook itself nor what has started it.
    """

    pid: int
    name: str
    appends: bool
    stoppable: bool

    def __str__(self) -> str:
        return f"{self.name} ({self.pid})"


@sealed
class Custody:
    """Who writes a file, and what it lies on; `unseen` says why there may be writers that are not listed.

    `block` is what the file system allots at a time, in bytes; `file_system` is its name, empty if unknown. `claimed`:
    a run is rotating it at this moment.
    """

    writers: tuple[Writer, ...] = ()
    unseen: str | None = None
    file_system: str = ""
    block: int = 4096
    claimed: bool = False


@sealed
class Signal:
    """Tell processes by a signal that their log has another name."""

    number: int
    pids: tuple[int, ...]


@sealed
class Rotation:
    """How a log is to be cut off.

    `rest` is what an earlier run has put aside, if this finishes its work; `was` is its status then, else the log's.
    `tell` makes the writers open their log anew, which they must have done within `patience` seconds.
    """

    path: Path
    to: Path
    method: Method
    was: Stat
    rest: Path | None = None
    tell: Signal | Exchange | None = None
    patience: float = 10.0
    level: int = 2

    def within(self, at: Callable[[Path], Path]) -> Rotation:
        """Give it with its paths as a host has them."""
        rest = None if self.rest is None else at(self.rest)
        return replace(self, path=at(self.path), to=at(self.to), rest=rest)

    @property
    def aside(self) -> Path:
        """Give where the log stands, under another name, until it is compressed."""
        return self.rest or self.to.with_name(self.to.name.removesuffix(".gz") + UNFINISHED)

    @property
    def pending(self) -> Path:
        """Give where the whole archive stands until what it holds is cut off the log."""
        return self.to.with_name(self.to.name + UNFINISHED)

    @property
    def source(self) -> Path:
        return self.rest or self.path


@sealed
class Rotated:
    """What a rotation has done: `size` is what was archived, `paused_ms` how long writers were stopped."""

    size: int
    split_line: bool = False
    paused_ms: float | None = None


@sealed
class Rotate(Change):
    """Put what a log holds into a gzip archive, and leave the log to its writers; its outcome is a `Rotated`.

    Killed at any instant, nothing is lost: what is unfinished bears a name that ends in `.rotating`, and the next run
    finds out from it and the log what is left to do.
    """

    kind: ClassVar[str] = "rotate"
    rotation: Rotation
    cell: Outcome = field(default_factory=Outcome, compare=False, repr=False)

    @property
    def target(self) -> str:
        return str(self.rotation.source)

    @property
    def outcome(self) -> Unknown:
        return Unknown(AFTER_THE_RUN, self.cell.get)

    def apply(self, host: Machine) -> None:
        self.cell.put(host.rotate(self.rotation))

    def describe(self) -> str:
        size = self.rotation.was.size
        held = "" if isinstance(size, Unknown) else f", {human_bytes(size)}"
        return f"by {self.rotation.method} into {self.rotation.to.name}{held}"
