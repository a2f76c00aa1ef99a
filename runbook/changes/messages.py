"""Changes that reach people: Deliver a parcel; and Attempt, which goes on where a change cannot be made."""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar, Literal

from runbook.changes.base import AFTER_THE_RUN, Change, Machine, Outcome
from runbook.errors import TaskFailed, TimedOut
from runbook.units import Secret
from runbook.unknown import Unknown, resolved, then
from runbook.value import sealed


@sealed
class Words:
    """A text for whoever watches the run."""

    text: str

    @property
    def address(self) -> str:
        return "console"


@sealed
class Packet:
    """Bytes for an address: `udp://HOST:PORT`, `tcp://HOST:PORT`, or `unix:/PATH` of a datagram or stream socket.

    A stream is closed after them; a stream socket of a path gets a NUL at the end, as syslog daemons want it.
    """

    address: str
    data: bytes
    timeout: float = 10.0


@sealed
class Mail:
    """A message, headers and all, for an SMTP server.

    `security`: `tls` from the first byte, `starttls` before anything else is said, or `none`.
    """

    server: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    security: Literal["tls", "starttls", "none"] = "starttls"
    user: str | None = None
    password: Secret | None = None
    verify: bool = True
    timeout: float = 30.0

    @property
    def address(self) -> str:
        return f"smtp://{self.server}:{self.port}"


Parcel = Words | Packet | Mail


@sealed
class Deliver(Change):
    """Hand something over that nobody here will see again; its outcome is what the other side is known to have taken.

    That is the addresses that a mail server accepted, and for a packet nothing but its own address: UDP tells no more.
    """

    kind: ClassVar[str] = "deliver"
    parcel: Parcel
    detail: str = ""
    cell: Outcome = field(default_factory=Outcome, compare=False, repr=False)

    @property
    def target(self) -> str:
        return self.parcel.address

    @property
    def opaque(self) -> bool:
        return True

    @property
    def outcome(self) -> Unknown:
        return Unknown(AFTER_THE_RUN, self.cell.get)

    def apply(self, host: Machine) -> None:
        self.cell.put(host.deliver(self.parcel))

    def describe(self) -> str:
        return self.detail


@sealed
class Attempted:
    """What became of an attempt: the last change's outcome, or why it failed."""

    outcome: Any = None
    error: str | None = None


@sealed
class Attempt(Change):
    """Make changes in their order, and go on with the step where one of them fails: its outcome is an `Attempted`.

    For what must be tried whatever becomes of it, where a later change writes down how it went. The last of the
    changes has an outcome.
    """

    kind: ClassVar[str] = "attempt"
    what: str
    changes: tuple[Change, ...]
    cell: Outcome = field(default_factory=Outcome, compare=False, repr=False)

    @property
    def target(self) -> str:
        return self.what

    @property
    def opaque(self) -> bool:
        return True

    @property
    def outcome(self) -> Unknown:
        return Unknown(AFTER_THE_RUN, self.cell.get)

    def apply(self, host: Machine) -> None:
        try:
            for change in self.changes:
                change.apply(host)
        except (TaskFailed, TimedOut) as error:  # where the step's own time is over, the next change says so
            self.cell.put(Attempted(error=error.message))
        else:
            self.cell.put(resolved(then(getattr(self.changes[-1], "outcome", None), Attempted)))

    def describe(self) -> str:
        if len(self.changes) == 1:
            detail = self.changes[0].describe()
            return f"{self.changes[0].kind} {self.changes[0].target}" + (f": {detail}" if detail else "")
        return ", then ".join(f"{change.kind} {change.target}" for change in self.changes)
