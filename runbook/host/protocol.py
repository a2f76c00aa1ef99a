"""What a task may ask of a machine: files, processes that read, requests that read, the clock and the facts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol

from runbook.changes import Change, Completed, Exchange, Found, Machine, Response, Stat, Usage
from runbook.units import Secret

if TYPE_CHECKING:
    from runbook.changes.rotation import Custody
    from runbook.changes.services import Process

# Given the head of an answer (its body is empty), gives what takes each piece of the body; None leaves it unread.
Taker = Callable[[Response], Callable[[bytes], object] | None]


class Listener(Protocol):
    """Who is told of what long changes say while they are at it."""

    def output(self, stream: Literal["stdout", "stderr"], line: str) -> None:
        """Take a line that a process printed, without its newline."""
        ...

    def progress(self, text: str, done: float, total: float, unit: str = "B") -> None:
        """Take how far a long change is; `total` 0 is unknown."""
        ...


class Host(Machine, Protocol):
    """One machine, real or imagined; the mutators it inherits are for changes only.

    Reads raise `TaskFailed` for what the system refuses, saying path and reason, and `Unsure` where an overlay holds
    a change whose effect is not known. Relative paths are taken from `cwd`.
    """

    @property
    def now(self) -> datetime:
        """The run's only clock, aware and in UTC, frozen when the run starts."""
        ...

    @property
    def cwd(self) -> Path:
        """The folder that relative paths start from: absolute."""
        ...

    @property
    def umask(self) -> int:
        """The bits that new files and folders are made without, where no mode is given."""
        ...

    @property
    def label(self) -> str:
        """The step that is at work, as doubts name it: `step 4 'restart the API'`."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that children get and lookups see."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """`os`, `hostname`, `python`, `user`, `cpus`, `cpu`, `memory` (bytes), each found when first read."""
        ...

    @property
    def secrets(self) -> Sequence[Secret]:
        """The secrets that the run knows by now, for a task that must not publish one: see `runbook.host.leaks`."""
        ...

    def meter(self, text: str, total: int) -> Callable[[int], None]:
        """Give the function that a long `make` tells the bytes of each piece: it shows progress, minds the deadline."""
        ...

    def stat(self, path: Path, *, follow: bool = True) -> Stat | None:
        """Give the status, or None where nothing is (with `follow`, also for a link that leads nowhere)."""
        ...

    def find(self, directory: Path, pattern: str = "*", *, recursive: bool = False) -> list[Found]:
        """Give what matches the shell pattern by name in the folder, sorted by path, links not followed.

        A folder that does not exist has no matches. Half-written temporaries of runbook are never shown.
        """
        ...

    def read(self, path: Path, *, limit: int = 64 * 2**20) -> bytes:
        """Give the content of a regular file of at most `limit` bytes. FIFOs and devices are refused, not opened."""
        ...

    def open(self, path: Path) -> BinaryIO:
        """Open a regular file for reading in pieces."""
        ...

    def sha256(self, path: Path) -> str:
        """Give the SHA-256 of a regular file in hex, read in pieces."""
        ...

    def custody(self, path: Path) -> Custody:
        """Say who has a file, or a link itself, open for writing, and what it lies on."""
        ...

    def born(self, path: Path) -> int | None:
        """Give when a file was made, in ns since the epoch; None where its file system does not remember that."""
        ...

    def readlink(self, path: Path) -> str | None:
        """Give what a link says, or None where there is no link."""
        ...

    def resolve(self, path: Path) -> Path:
        """Give the absolute path with every link in it followed, as far as it exists; a loop is an error."""
        ...

    def writable(self, folder: Path) -> bool:
        """Say whether entries may be made and removed in the folder."""
        ...

    def mounts(self) -> Sequence[Path]:
        """Give the mount points, which destructive tasks refuse."""
        ...

    def usage(self, path: Path) -> Usage:
        """Give the space of the file system that the path is on."""
        ...

    def probe(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        stdin: str | None = None,
        timeout: float | None = None,
    ) -> Completed:
        """Run a process that only reads; the caller vouches for it.

        What it says on stderr is the step's output; its stdout is the answer, which the caller alone gets.
        """
        ...

    def ask(self, exchange: Exchange, take: Taker | None = None) -> Response:
        """Send a request that only reads, whatever its verb; the caller vouches for it.

        With `take` the body is not kept but handed on in pieces, however large it is; the timeout is then of each wait.
        """
        ...

    def dial(
        self,
        address: str,
        port: int,
        *,
        timeout: float,
        listen: float = 0.0,
        enough: Callable[[bytes], object] = bool,
    ) -> bytes | None:
        """Connect by TCP and hang up; None where that fails within `timeout` seconds.

        With `listen`, read for so many seconds at most, until the port hangs up or what was read is `enough`.
        """
        ...

    def connections(self, port: int, *, address: str, states: Collection[str], without: Collection[str] = ()) -> int:
        """Count the TCP connections to a port of the machine at an address, in these states; not those of `without`."""
        ...

    def alive(self, process: Process) -> bool:
        """Say whether this very process is running: not one that has got its id since."""
        ...

    def client(self, name: str) -> Any:
        """Open the client of a service that the task declared with `@task(reads=...)`."""
        ...

    def sleep(self, seconds: float) -> bool:
        """Wait, and say whether time has passed: in check mode nothing waits."""
        ...

    def doubt(self) -> str | None:
        """Say why what is read now may not be what a run would read: `depends on step 4 'restart the API'`."""
        ...

    @property
    def imagined(self) -> bool:
        """Say whether what is here may differ from what a run would find: True for an overlay that is rehearsed on."""
        ...

    def check_deadline(self) -> None:
        """Raise `TimedOut` when the step's time is over."""
        ...

    def begin(
        self,
        label: str,
        *,
        deadline: float | None = None,
        env: Mapping[str, str] | None = None,
        listener: Listener | None = None,
    ) -> Host:
        """Give the machine as one step has it; several may be at work on it at the same time.

        That is: the step's label for doubts, its monotonic deadline, what the environment of its children has beside
        the machine's own, and who hears what its changes say.
        """
        ...

    def settle(self, changes: Sequence[Change] = ()) -> None:
        """End a step's changes: flush every folder that has got or lost an entry."""
        ...
