"""Law 3: plan, apply, and, for a state, ask again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import field
from typing import Any, Protocol

from runbook.changes import Change, Produce
from runbook.engine.border import border
from runbook.errors import Moved, NotConverged, StepError, Stopped, TaskFailed, TimedOut, Unsure
from runbook.host import Host, Overlay
from runbook.host.guard import drive
from runbook.task import TaskSpec
from runbook.unknown import resolved
from runbook.value import frozen, record

ROUNDS = 3


@record
class Record:
    """What is known of an attempt, also when it fails half-way.

    `changes` are `Change.to_json()` values with `applied` beside them: first those that were, then those that were not.
    """

    changes: list[dict[str, Any]] = field(default_factory=list)
    data: Any = None


@frozen
class Round:
    """Which round it is, from 1; after the `last` a moved world is a failure."""

    number: int
    last: bool


class Watcher(Protocol):
    """Who is told before the first change, after each, and after the last."""

    def planned(self, changes: list[dict[str, Any]], attempt: int) -> None: ...
    def applied(self, position: int) -> None: ...
    def settled(self, *, ok: bool) -> None: ...


def perform(spec: TaskSpec, want: Any, host: Host, record: Record, watcher: Watcher) -> None:
    """Bring a host to where the task wants nothing more; `record` is filled as it goes."""
    done: set[tuple[str, str]] = set()
    for attempt in range(1, ROUNDS + 2):
        try:
            changes, data = _asked(spec, want, host)
        except Unsure as unsure:
            if not host.imagined:
                raise _own_outcome(spec, unsure) from unsure
            if attempt > 1:
                return  # what was just applied cannot be looked at before the run
            raise
        if attempt == 1:
            record.data = data
        if not changes or leftover(spec, changes, done, host):
            if not changes:  # what was not done any more, for others had done it by then, is no news
                record.changes[:] = [entry for entry in record.changes if entry["applied"] is not False]
            break
        if attempt > ROUNDS:
            raise NotConverged(
                f"{spec.name} was planned and applied {ROUNDS} times, and the machine changes as fast as that",
                hint=f"the last thing still wanted: {changes[0].kind} {changes[0].target}",
            )
        last = attempt == ROUNDS or spec.kind == "action"
        apply(changes, host, record, watcher, Round(attempt, last=last), done)
        if spec.kind == "action":
            break
    try:
        record.data = resolved(record.data)
    except RecursionError:
        raise TaskFailed(f"{spec.name} returned something that contains itself, or is nested too deep") from None


def _own_outcome(spec: TaskSpec, unsure: Unsure) -> TaskFailed:
    return TaskFailed(
        f"{spec.name} looks, while it plans, at what only its own changes will tell: {unsure.reason}",
        hint="return the outcome as it is, or work it out with `then(outcome, function)`; or make it two steps",
    )


def _asked(spec: TaskSpec, want: Any, host: Host) -> tuple[list[Change], Any]:
    """Plan; where the world moves while that is done, plan again."""
    for _ in range(ROUNDS - 1):
        with suppress(Moved):
            return ask(spec, want, host)
    return ask(spec, want, host)


def ask(spec: TaskSpec, want: Any, host: Host) -> tuple[list[Change], Any]:
    """Plan once, on an overlay of its own: every change the task wants, and what it returned."""
    overlay = Overlay(host)
    changes: list[Change] = []

    def take(change: Change) -> None:
        change.apply(overlay)
        changes.append(change)

    data = drive(spec.name, lambda: spec.function(want, overlay), take)
    if changes and spec.kind == "probe":
        raise TaskFailed(
            f"{spec.name} is a probe, which only reads, and wants {changes[0].kind} {changes[0].target}",
            hint='declare it `@task` (a state) or `@task(kind="action")`',
        )
    return changes, data


def look_aside(spec: TaskSpec, want: Any, pending: Overlay) -> None:
    """Raise Unsure where a step that a check runs for real reads what is only pending; other errors are its own."""
    aside = pending.aside()
    with suppress(StepError), border(spec, aside):
        if spec.kind != "directive":
            ask(spec, want, aside)


def leftover(spec: TaskSpec, changes: Sequence[Change], done: set[tuple[str, str]], host: Host) -> bool:
    """Say whether the task has asked for what was just done, in check mode; in a run that is an error."""
    again = next((change for change in changes if (change.kind, change.target) in done), None)
    if again is None:
        return False
    if host.imagined and (again.opaque or host.doubt()):
        return True
    raise NotConverged(
        f"{spec.name} did not converge: after it was applied it still wants {again.kind} {again.target}",
        hint='a state must find nothing to do after its changes; a task that acts every time is `@task(kind="action")`',
    )


def apply(
    changes: Sequence[Change],
    host: Host,
    record: Record,
    watcher: Watcher,
    this: Round,
    done: set[tuple[str, str]],
) -> None:
    """Apply a list in its order. Where the world has moved the rest is left to the next round, if there is one."""
    texts = [change.to_json() for change in changes]
    entries = [{**text, "applied": False} for text in texts]
    record.changes[:] = [entry for entry in record.changes if entry["applied"]] + entries
    watcher.planned(texts, this.number)
    ok, position = False, 0
    try:
        for position, change in enumerate(changes):
            entries[position]["applied"] = None  # while it is at work nobody knows how far it has come
            change.apply(host)
            entries[position]["applied"] = True
            done.add((change.kind, change.target))
            watcher.applied(position)
        ok = True
    except (Stopped, TimedOut) as error:
        undone = error.undone and isinstance(changes[position], Produce)  # of an `Attempt` it is said of its last part
        entries[position]["applied"] = False if undone else None  # it may have ended because it was ended
        raise
    except BaseException as error:
        entries[position]["applied"] = entries[position]["applied"] or False  # it says itself that it was not done
        if this.last or not isinstance(error, Moved):
            raise
    finally:
        host.settle(changes)
        watcher.settled(ok=ok)
