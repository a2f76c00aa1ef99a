"""One pass of the watch: what it does, and, once that is done, what it came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from runbook.changes.messages import Attempt, Attempted
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.leaks import Leaks
from runbook.host.refusals import shown
from runbook.units import Secret

from .logic import News, Result, Rules, settle
from .sending import delivered
from .state import Watched
from .words import TITLES, line_of


@dataclass(frozen=True, slots=True)
class Pass:
    """What was decided, and the attempts whose outcomes are known once they are made.

    `refused` are restarts that could not even be planned; `damage` says what was wrong with the state that was found.
    """

    state: Watched
    rules: Rules
    results: Mapping[str, Result]
    news: Sequence[News]
    now: datetime
    damage: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    restarts: Mapping[str, Attempt] = field(default_factory=dict)
    posts: Mapping[tuple[str, str], Attempt] = field(default_factory=dict)
    secrets: Sequence[Secret] = ()
    log: Path | None = None

    @property
    def attempts(self) -> list[Attempt]:
        return [*self.restarts.values(), *self.posts.values()]

    def outcomes(self) -> dict[str, str | None]:
        """Give for each restart why it failed, or None; raises Unsure where that is not known yet."""
        made = {name: _result(attempt).error for name, attempt in self.restarts.items()}
        return {name: error and discreet(error, self.secrets) for name, error in {**self.refused, **made}.items()}

    def undelivered(self) -> dict[str, str]:
        """Give for each letter and channel that it could not be sent by, in words, why."""
        results = ((attempt.what, _result(attempt).error) for attempt in self.posts.values())
        return {what: error for what, error in results if error is not None}

    def final(self) -> Watched:
        """Give what is known when everything has been tried."""
        taken = {key: _result(attempt).error is None for key, attempt in self.posts.items()}
        state = settle(self.state, self.outcomes(), self.rules)
        return replace(state, outbox=delivered(state.outbox, taken))

    def problems(self) -> list[str]:
        """Say what keeps this pass from being well; nothing, if nothing does."""
        return list(self._problems())

    def line(self) -> bytes:
        """Write it on one line of the log."""
        told = [TITLES[each.kind].format(each.target) for each in self.news]
        failed = [what.removeprefix("tell ") for what in self.undelivered()]
        well = not self.problems()
        outcomes = self.outcomes()
        return line_of(self.final(), self.now, well=well, restarted=outcomes, told=told, undelivered=failed)

    def judged(self) -> dict[str, Any]:
        """Give what the task returns, or raise TaskFailed with all that is not well."""
        data = {
            **self.planned(),
            "healthy": all(target.state == "up" for target in self.state.targets.values()),
            "restarts_failed": {name: error for name, error in self.outcomes().items() if error},
            "waiting": [each.letter.title for each in self.final().outbox],
        }
        if problems := self.problems():
            hint = None if self.log is None else f"{shown(self.log)} tells how it came to this"
            raise TaskFailed("; ".join(problems), hint=hint, data=data | {"healthy": False})
        return data

    def planned(self) -> dict[str, Any]:
        """Give what is known before anything is done."""
        told = [TITLES[each.kind].format(each.target) for each in self.news]
        restarted = [*self.restarts, *self.refused]
        return {
            "targets": {name: self._target(name) for name in self.state.targets},
            "restarted": restarted,
            "told": told,
            "msg": "; ".join([*(f"restart of {name}" for name in restarted), *told]),
        }

    def _target(self, name: str) -> dict[str, Any]:
        target, result = self.state.targets[name], self.results[name]
        return {
            "state": target.state,
            "since": target.since,
            "failures": target.failures,
            "reason": result.reason,
            "elapsed_ms": result.elapsed_ms,
        }

    def _problems(self) -> Iterator[str]:
        if self.damage is not None:
            yield f"what the watch knew could not be read: {self.damage}"
        for name, target in self.state.targets.items():
            if target.incident is not None and target.incident.told is not None:
                what = "comes and goes" if target.flapping else "is down"
                reason = f": {target.reason}" if target.reason else ""
                yield f"{name} {what} since {target.incident.since:%Y-%m-%d %H:%M:%S} UTC{reason}"
        for name, error in self.outcomes().items():
            if error is not None:
                yield f"{name} could not be restarted: {error}"
        for what, error in self.undelivered().items():
            yield f"could not {what}: {error}"


def _result(attempt: Attempt) -> Attempted:
    made: Attempted = attempt.cell.get()
    return made


def discreet(text: str, secrets: Sequence[Secret]) -> str:
    """Give a text that is about to be kept or sent, unless it holds one of the run's secrets."""
    leak = Leaks(secrets).feed(text.encode("utf-8", "surrogateescape"))
    return text if leak is None else "what was said of it holds a secret, and is not repeated"


def reasons_of(results: Mapping[str, Result], host: Host) -> dict[str, Result]:
    """Give results whose reasons may be kept and sent."""
    return {name: each._replace(reason=discreet(each.reason, host.secrets)) for name, each in results.items()}
