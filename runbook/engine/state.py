"""What the engine knows of a host while a play runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from runbook.events import Failure
from runbook.host import Host
from runbook.value import frozen, record


@record
class Machine:
    """A machine as the run sees it: `host` is where steps act, in check mode an overlay of `real`.

    `stop` ends what goes on on it, from another thread; it takes the number of the signal that ended the run.
    """

    host: Host
    real: Host
    stop: Callable[[int], None] = field(default=lambda number: None)  # noqa: ARG005 - there is nothing to end


@record
class HostState:
    """One inventory host within a play.

    `facts` are what `set_fact` and `register` have set, `included` what `include_vars` has. What the step at work sets
    is in `new_facts` and `new_included`: other hosts see it when all of them are through with that step. `failed` takes
    the host out of the play until a rescue clears it; it is `lost` where no rescue waits for it, and `broken` where it
    was a handler that failed, at the end of its steps. `over` takes it out for good (`meta: end_host`, an abandoned
    plugin).
    """

    name: str
    machine: Machine
    facts: dict[str, Any] = field(default_factory=dict)
    included: dict[str, Any] = field(default_factory=dict)
    new_facts: dict[str, Any] = field(default_factory=dict)
    new_included: dict[str, Any] = field(default_factory=dict)
    failed: Failure | None = None
    unreachable: bool = False
    over: bool = False
    lost: bool = False
    broken: bool = False
    notified: list[str] = field(default_factory=list)

    @property
    def active(self) -> bool:
        return self.failed is None and not self.unreachable and not self.over

    def fail(self, failure: Failure, *, rescue: bool) -> None:
        """Take the host out of what it is in; `rescue` says whether a rescue waits for it."""
        self.failed, self.lost = failure, not rescue

    def begin(self) -> None:
        """Make ready for the next batch of hosts: of what has become of this one, only a failure lasts."""
        self.over, self.broken, self.lost = False, False, self.failed is not None

    def publish(self) -> None:
        """Let the other hosts see what the step at work has set."""
        self.facts.update(self.new_facts)
        self.included.update(self.new_included)
        self.forget()

    def forget(self) -> None:
        """Leave what the step at work has set unset, as of one that has failed."""
        self.new_facts.clear()
        self.new_included.clear()


@frozen
class Frame:
    """What surrounds a step at run time: variables of an include and the items of its loop, the highest first."""

    layers: tuple[Mapping[str, Any], ...] = ()
    label: str = ""
