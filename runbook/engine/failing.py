"""What the failure of one host means for the others of its batch, and what a step done once gives them."""

from __future__ import annotations

from collections.abc import Sequence

from runbook.engine.state import HostState
from runbook.events import Failure
from runbook.plan.model import StepNode
from runbook.plan.names import sets

NAMED = 5  # hosts, in a line that says which go no further


def too_many(states: Sequence[HostState], limit: float | None) -> bool:
    """Say whether a larger share of a batch has failed than `max_fail_percentage` allows."""
    failed = sum(1 for state in states if state.failed)
    return limit is not None and 100 * failed / len(states) > limit


def fail_all(states: Sequence[HostState], why: str, *, rescue: bool) -> str | None:
    """Fail the hosts that have not, also those that have left the play: none goes on to the next one.

    Gives a line that says which did not fail by themselves; None where there are none.
    """
    stopped = [state.name for state in states if state.active]
    for state in states:
        if state.failed is None and not state.unreachable:
            state.fail(Failure("TaskFailed", why), rescue=rescue)
    if not stopped:
        return None
    named = ", ".join(stopped[:NAMED]) + (f" and {len(stopped) - NAMED} more" if len(stopped) > NAMED else "")
    return f"no further step on {named}: {why}"


def share(node: StepNode, done: HostState, states: Sequence[HostState]) -> None:
    """Give all hosts, also those that wait for their rescue, what a step that ran once has set."""
    for name in sets(node):
        for state in states:
            for mine, theirs in ((done.facts, state.facts), (done.included, state.included)):
                if name in mine:
                    theirs[name] = mine[name]
