"""Whether a service goes on answering while its model is replaced: asked, and not believed."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from runbook.changes import Exchange, Response, Send
from runbook.errors import StepError, Stopped, TaskFailed
from runbook.host.refusals import shortened
from runbook.task import Params
from runbook.units import Duration

from .answers import content, excerpt, named

Phase = Literal["before", "during", "after"]
PHASES: tuple[Phase, ...] = ("before", "during", "after")
FIRST = 10.0  # seconds that the first answers may take
SAID = 120  # characters of a refusal that are kept of each kind


class Continuity(Params):
    """How the service is watched while its model is replaced, and how many requests may be lost."""

    clients: PositiveInt = Field(2, le=64, description="how many ask at a time")
    every: Duration = Field(Duration.parse("20ms"), description="how long each waits between two requests")
    before: Duration = Field(Duration.parse("300ms"), description="how long they ask before the reload")
    after: Duration = Field(Duration.parse("500ms"), description="how long they ask once the new model is served")
    budget: NonNegativeInt = Field(
        0, description="how many requests may fail, or be answered by the old model too late"
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """A request and its answer: when it began and ended (monotonic), what was wrong with it, and whose it is.

    `phase` is "during" for all that the reload has met.
    """

    phase: Phase
    began: float
    ended: float
    fault: str | None
    mark: str | None


@dataclass(slots=True)
class Watch:
    """What the clients have seen so far; `phase` is what is going on."""

    send: Send
    question: Exchange
    mark: Callable[[Any], str | None]
    phase: Phase = "before"
    over: bool = False
    answers: list[Answer] = field(default_factory=list)

    def ask(self, every: float) -> None:
        """Ask again and again, until it is over or the step is."""
        while not self.over:
            phase, began = self.phase, time.monotonic()
            fault: str | None
            mark: str | None = None
            try:
                answer = self.send(self.question)
            except TaskFailed as error:
                fault = error.message
            except (StepError, Stopped):
                return
            else:
                fault = None if answer.status == HTTPStatus.OK else fault_of(answer)
                mark = self.mark(content(answer)) if fault is None else None
            # What began before the reload and ended in it is of the reload: that is when it was lost.
            met = phase if phase == self.phase else "during"
            self.answers.append(Answer(met, began, time.monotonic(), fault, mark))
            time.sleep(every)


def fault_of(answer: Response) -> str:
    said = shortened(excerpt(answer), SAID)
    return f"{named(answer.status)}{f': {said}' if said else ''}"


@contextmanager
def watching(want: Continuity, watch: Watch) -> Iterator[Watch]:
    """Ask the service for as long as the block lasts; whoever is in it says which phase it is."""
    work = [
        threading.Thread(target=contextvars.copy_context().run, args=(watch.ask, float(want.every)), daemon=True)
        for _ in range(want.clients)
    ]
    for thread in work:
        thread.start()
    try:
        _wait(float(want.before), lambda: len(watch.answers) >= want.clients)
        watch.phase = "during"
        yield watch
        watch.phase = "after"
        enough = len(watch.answers) + want.clients
        _wait(float(want.after), lambda: len(watch.answers) >= enough)
    finally:
        watch.over = True
        for thread in work:
            thread.join(watch.question.timeout)


def _wait(seconds: float, enough: Callable[[], bool]) -> None:
    """Wait that long, and longer for as long as not enough has been seen, within reason."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds or (not enough() and passed < FIRST):
        time.sleep(0.01)


def told(watch: Watch, old: str | None, new: str | None) -> dict[str, Any]:
    """Give what was seen, as `register` gets it; `old` and `new` are what the answers of the two models bear."""
    found = sorted(watch.answers, key=lambda answer: answer.began)
    bad = [answer for answer in found if answer.fault]
    times = sorted(answer.ended - answer.began for answer in found if not answer.fault)
    return {
        "requests": len(found),
        "asked": _by_phase(found),
        "failed": _by_phase(bad),
        "faults": dict(Counter(answer.fault for answer in bad)),
        "backwards": _backwards(found, old, new),
        "median_ms": round(times[len(times) // 2] * 1000, 1) if times else None,
        "longest_ms": round(times[-1] * 1000, 1) if times else None,
    }


def _by_phase(found: list[Answer]) -> dict[Phase, int]:
    return {phase: sum(answer.phase == phase for answer in found) for phase in PHASES}


def _backwards(found: list[Answer], old: str | None, new: str | None) -> int | None:
    """Count the answers of another model to what was asked after the new one had answered; None if they do not say."""
    if old == new or None in (old, new):
        return None
    first = min((answer.ended for answer in found if answer.mark == new), default=None)
    if first is None:
        return None
    return sum(answer.mark not in (None, new) and answer.began > first for answer in found)


def judged(want: Continuity | None, seen: dict[str, Any] | None) -> dict[str, Any] | None:
    """Raise TaskFailed if more was lost than may be.

    Where many requests failed before already, those during the reload are the old model's fault, and count no more. A
    few are no excuse: a share at least half as large must have failed before.
    """
    if want is None or seen is None:
        return None
    failed = seen["failed"]
    faults = ", ".join(f"{count} x {fault}" for fault, count in seen["faults"].items())
    if sum(failed.values()) == seen["requests"]:
        raise TaskFailed(
            f"the model is served, and not one of {seen['requests']} requests was answered, before or after: {faults}",
            hint="is the sample such as the service takes?",
            data={"continuity": seen},
        )
    before, during = (failed[phase] / max(seen["asked"][phase], 1) for phase in ("before", "during"))
    lost = failed["after"] + (0 if 2 * before >= during else failed["during"]) + (seen["backwards"] or 0)
    if lost > want.budget:
        back = f", {seen['backwards']} answered by the old model after the new one" if seen["backwards"] else ""
        raise TaskFailed(
            f"the model is served, and {lost} of {seen['requests']} requests were lost meanwhile, more than"
            f" {want.budget}: {faults or 'none failed'}{back}",
            hint="does the service load the new model beside the old one, and is there one worker behind this address?",
            data={"continuity": seen},
        )
    return seen
