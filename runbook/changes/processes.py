"""Changes by what is started or asked: Run a process, send a Request."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

from runbook.changes.base import AFTER_THE_RUN, Change, Machine, Outcome, RunCommand, Send
from runbook.changes.values import Exchange
from runbook.errors import TaskFailed
from runbook.unknown import Unknown
from runbook.value import sealed


@sealed
class Run(Change):
    """Start a process and wait for it; its outcome is a `Completed`.

    Without `affects` in the command, everything read after it is uncertain in check mode. `expect` are the exit
    statuses that are no failure; None leaves that to whoever looks at the outcome. `detail` says in words what it
    does, and `shows` is its diff where that is known.
    """

    kind: ClassVar[str] = "run"
    command: RunCommand
    expect: tuple[int, ...] | None = None
    detail: str = ""
    shows: str | None = None
    cell: Outcome = field(default_factory=Outcome, compare=False, repr=False)

    @property
    def target(self) -> str:
        return self.command.argv[0] if self.command.shell else shlex.join(self.command.argv)

    @property
    def opaque(self) -> bool:
        return True

    @property
    def outcome(self) -> Unknown:
        return Unknown(AFTER_THE_RUN, self.cell.get)

    def apply(self, host: Machine) -> None:
        done = host.run(self.command)
        self.cell.put(done)
        if self.expect is not None and not isinstance(done, Unknown) and done.rc not in self.expect:
            raise TaskFailed(f"`{self.target}` {done.last_words()}")

    def describe(self) -> str:
        return self.detail or (f"in {self.command.cwd}" if self.command.cwd else "")

    def diff(self) -> str | None:
        return self.shows


@sealed
class Request(Change):
    """Send an HTTP request that changes something; its outcome is a `Response`.

    `affects` names the origins or URL prefixes that it changes; None: anything may be changed by it. Where more belongs
    to it than one exchange, `conduct` is called in a run instead, with what sends one: it sends this one and whatever
    proves that it took effect, raises `TaskFailed` if it did not, and what it gives is the outcome.
    """

    kind: ClassVar[str] = "request"
    exchange: Exchange
    affects: tuple[str, ...] | None = None
    detail: str = ""
    cell: Outcome = field(default_factory=Outcome, compare=False, repr=False)
    conduct: Callable[[Send], Any] | None = field(default=None, compare=False, repr=False)

    @property
    def target(self) -> str:
        return f"{self.exchange.method} {self.exchange.url}"

    @property
    def opaque(self) -> bool:
        return True

    @property
    def outcome(self) -> Unknown:
        return Unknown(AFTER_THE_RUN, self.cell.get)

    def apply(self, host: Machine) -> None:
        self.cell.put(host.request(self.exchange, affects=self.affects, conduct=self.conduct))

    def describe(self) -> str:
        return self.detail
