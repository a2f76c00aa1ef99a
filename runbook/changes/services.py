"""Changes to processes that outlive a run: Start one, Stop one."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, ClassVar

from runbook.changes.base import AFTER_THE_RUN, Change, Machine, Outcome
from runbook.changes.values import Stat
from runbook.unknown import Unknown
from runbook.value import sealed

_PID_FILE = re.compile(r"(\d{1,10})\nstarted (\d{1,20}) boot ([\w-]*)\n")


@sealed
class Process:
    """A process that no other is ever taken for: its id, when it started, and in which boot of the machine.

    `started` is in the system's own count (clock ticks since the boot on Linux).
    """

    pid: int
    started: int
    boot: str = ""

    @property
    def text(self) -> str:
        """Give what a pid file holds: the id on a line of its own, as others read it, and the rest on the next."""
        return f"{self.pid}\nstarted {self.started} boot {self.boot}\n"

    @classmethod
    def parse(cls, text: str) -> Process | None:
        """Read a pid file; None where it says less than that."""
        found = _PID_FILE.fullmatch(text)
        return None if found is None or int(found[1]) < 2 else cls(int(found[1]), int(found[2]), found[3])


@sealed
class Daemon:
    """What is to be started in a session of its own, and to live on after the run.

    The file `pid_file` says who it is, by a line with its id and one with the rest of its `Process`; `was` is that
    file's status, as with `Write`. What it prints is added to `log`, or thrown away. It counts as started when it has
    lived for `stay` seconds. `env` may hold secrets; `argv` never does.
    """

    argv: tuple[str, ...]
    pid_file: Path
    was: Stat | None = None
    log: Path | None = None
    cwd: Path | None = None
    env: Mapping[str, Any] = field(default_factory=dict)
    stay: float = 0.5


@sealed
class Start(Change):
    """Start a daemon; its outcome is its `Process`."""

    kind: ClassVar[str] = "start"
    daemon: Daemon
    cell: Outcome = field(default_factory=Outcome, compare=False, repr=False)

    @property
    def target(self) -> str:
        return shlex.join(self.daemon.argv)

    @property
    def opaque(self) -> bool:
        return True

    @property
    def outcome(self) -> Unknown:
        return Unknown(AFTER_THE_RUN, self.cell.get)

    def apply(self, host: Machine) -> None:
        self.cell.put(host.start(self.daemon))

    def describe(self) -> str:
        return f"pid file {self.daemon.pid_file}"


@sealed
class Stop(Change):
    """End a process and what is left of its session: a signal, a wait of `patience` seconds, then SIGKILL.

    Its outcome is the name of the signal that ended it, or `gone` where it had ended by itself.
    """

    kind: ClassVar[str] = "stop"
    process: Process
    signal: int = signal.SIGTERM
    patience: float = 10.0
    cell: Outcome = field(default_factory=Outcome, compare=False, repr=False)

    @property
    def target(self) -> str:
        return f"process {self.process.pid}"

    @property
    def opaque(self) -> bool:
        return True

    @property
    def outcome(self) -> Unknown:
        return Unknown(AFTER_THE_RUN, self.cell.get)

    def apply(self, host: Machine) -> None:
        self.cell.put(host.end(self.process, signal=self.signal, patience=self.patience))

    def describe(self) -> str:
        return f"by {signal.Signals(self.signal).name}, after {self.patience:g} s by SIGKILL"
