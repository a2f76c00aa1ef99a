"""Runs a plan, play by play and batch by batch, and gives the exit code."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from runbook.engine.clock import stamp
from runbook.engine.stage import Stage
from runbook.engine.walk import Walk
from runbook.errors import Bug, RunbookError, Stopped
from runbook.events import Event, PlayStarted, RunFinished, RunStatus
from runbook.plan.model import PlannedPlay


def execute(stage: Stage, opening: Sequence[Event] = ()) -> int:
    """Tell the opening, run every play, and give the exit code; a signal ends the run in good order."""
    began = time.monotonic()
    try:
        for event in opening:
            stage.emit(event)
        for play in stage.plan.plays:
            if not _play(stage, play):
                break
        status, code = _verdict(stage)
    except Stopped as stopped:
        status, code = "interrupted", stopped.exit_code
    except Exception as error:
        with suppress(RunbookError):  # what is raised already says what is wrong
            _end(stage, "failed", getattr(error, "exit_code", Bug.exit_code), began)
        raise
    _end(stage, status, code, began)
    return code


def _end(stage: Stage, status: RunStatus, code: int, began: float) -> None:
    end = RunFinished(status, code, stamp(), round(time.monotonic() - began, 6))
    try:
        stage.emit(end)
    except Stopped:  # everything is done, and the record must say so
        stage.emit(end)


def _verdict(stage: Stage) -> tuple[RunStatus, int]:
    if any(state.failed for state in stage.states.values()):
        return "failed", 1
    if any(state.unreachable for state in stage.states.values()):
        return "unreachable", 3
    return "ok", 0


def _play(stage: Stage, play: PlannedPlay) -> bool:
    """Run a play batch by batch; False stops the run."""
    stage.emit(PlayStarted(play.name, play.hosts))
    for batch in play.batches:
        for state in stage.states.values():
            state.begin()
        states = [state for name in batch if (state := stage.state(name)).active]
        stage.prepare(play, batch)
        walk = Walk(stage, play, states)
        walk.go()
        if walk.ended:
            break
        if states and not any(state.active or (state.over and not state.failed) for state in states):
            return False
    return True
