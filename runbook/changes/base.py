"""What a change is: a frozen value that says what would be done, and does it when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from runbook.changes.values import Completed, Exchange, FileRef, Response, Stat
from runbook.errors import Unsure
from runbook.units import Secret
from runbook.unknown import Unknown, then
from runbook.value import sealed

if TYPE_CHECKING:
    from runbook.changes.messages import Parcel
    from runbook.changes.rotation import Rotated, Rotation
    from runbook.changes.services import Daemon, Process

Content = bytes | Secret | FileRef
Send = Callable[[Exchange], Response]
Gate = Callable[[Path], None]  # given what was written, under its temporary name; raises to refuse it
AFTER_THE_RUN = "known after the run"


class Machine(Protocol):
    """The mutators of a Host: what changes call, and nothing else may.

    Each raises `TaskFailed` when it cannot be done and `Moved` when what it was planned on is no longer so. On an
    overlay the same call only remembers.
    """

    def write(
        self,
        path: Path,
        content: Content,
        *,
        mode: int | None,
        was: Stat | None,
        mtime: int | None = None,
        gate: Gate | None = None,
    ) -> None: ...
    def append(self, path: Path, content: bytes | Unknown) -> None: ...
    def remove(self, path: Path, *, was: Stat) -> None: ...
    def move(self, path: Path, to: Path, *, was: Stat) -> None: ...
    def make_folder(self, path: Path, *, mode: int | None) -> None: ...
    def chmod(self, path: Path, mode: int, *, was: Stat) -> None: ...
    def link(self, path: Path, to: str, *, hard: bool, was: Stat | None) -> None: ...
    def compress(self, path: Path, to: Path, *, was: Stat, level: int) -> None: ...
    def produce(
        self, path: Path, make: Callable[[Path], Any], *, mode: int | None, was: Stat | None, folder: bool = False
    ) -> Any: ...
    def rotate(self, rotation: Rotation) -> Rotated | Unknown: ...
    def run(self, command: RunCommand) -> Completed | Unknown: ...
    def start(self, daemon: Daemon) -> Process | Unknown: ...
    def end(self, process: Process, *, signal: int, patience: float) -> str | Unknown: ...
    def deliver(self, parcel: Parcel) -> Any: ...
    def request(
        self, exchange: Exchange, *, affects: tuple[str, ...] | None, conduct: Callable[[Send], Any] | None = None
    ) -> Any: ...


@sealed
class RunCommand:
    """A process to start. `argv` is never given to a shell unless `shell`; secrets go by `env` or `stdin`."""

    argv: tuple[str, ...]
    shell: bool = False
    cwd: Path | None = None
    env: Mapping[str, Any] = field(default_factory=dict)
    stdin: str | Secret | None = None
    timeout: float | None = None
    executable: str | None = None
    affects: tuple[str, ...] | None = None


class Outcome:
    """The cell that a change's result is put into when it is applied."""

    __slots__ = ("filled", "value")

    def __init__(self) -> None:
        self.filled = False
        self.value: Any = None

    def put(self, value: Any) -> None:
        """Keep what the machine gave; an overlay gives an Unknown, which is not kept."""
        if not isinstance(value, Unknown):
            self.filled, self.value = True, value

    def get(self) -> Any:
        if not self.filled:
            raise Unsure(AFTER_THE_RUN)
        return self.value


@sealed
class Change:
    """One thing to be done to a machine.

    `kind` and `target` identify it: a state that is asked again must not want the same pair twice.
    """

    kind: ClassVar[str]

    @property
    def target(self) -> str:
        """Name what is changed: a path, a command, an URL."""
        raise TypeError(f"{type(self).__name__} does not say its target")

    def apply(self, host: Machine) -> None:
        """Do it; on an overlay the same call only remembers."""
        raise TypeError(f"{type(self).__name__} cannot be applied to {host}")

    def describe(self) -> str:
        """Say in a few words what is done to the target, for the console and the report."""
        return ""

    def diff(self) -> str | None:
        """Give a unified diff of text, where there is one to give."""
        return None

    @property
    def opaque(self) -> bool:
        """Say whether applying it has effects that an overlay cannot know."""
        return False

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "target": self.target, "detail": self.describe(), "diff": self.diff()}


def after(change: Change | None, judge: Callable[[Any], Any]) -> Any:
    """Give, in what a task returns, a value that is found once its changes are applied: `judge` gets the outcome.

    It gets None of a change that has no outcome. It may raise `TaskFailed`, which fails the step and keeps its changes.
    """
    outcome = getattr(change, "outcome", None)
    return then(outcome, judge) if isinstance(outcome, Unknown) else Unknown(AFTER_THE_RUN, lambda: judge(None))


def text_diff(before: bytes | None, after: bytes | None, name: str, limit: int = 200_000) -> str | None:
    """Give the unified diff of two texts; None for binary, equal or very large contents."""
    if len(before or b"") > limit or len(after or b"") > limit:
        return None
    try:
        old, new = (before or b"").decode(), (after or b"").decode()
    except UnicodeDecodeError:
        return None
    if "\0" in old or "\0" in new:
        return None
    import difflib

    lines = difflib.unified_diff(
        old.splitlines(keepends=True),
        new.splitlines(keepends=True),
        "/dev/null" if before is None else name,
        "/dev/null" if after is None else name,
    )
    ended = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return "".join(ended) or None
