"""The journal of a run: its events as JSON lines, durable before a step's first change."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from runbook import events as ev
from runbook.errors import RunbookError
from runbook.report import Key, Report
from runbook.wire import Json, event_from, event_json, result_json

Entry = tuple[ev.StepId, str, list[Json]]


_encoded = json.JSONEncoder(separators=(",", ":")).encode


class Journal:
    """An observer that appends events to a file; RunbookError when that fails, for then nothing may be changed.

    `Planned` with changes is on disk before the call returns, and with it all that came before: how a step was settled
    is durable with the next step's plan, at the latest with the end of the run. Everything else is a plain append,
    which a killed process does not lose. Progress and output are not kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600)
            sync_folder(path.parent)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._owing = False

    def __call__(self, event: ev.Event) -> None:
        if isinstance(event, ev.Progress | ev.Output):
            return
        line = _encoded(event_json(event)).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._fd, line) :]
            if self._must_last(event):
                getattr(os, "fdatasync", os.fsync)(self._fd)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _must_last(self, event: ev.Event) -> bool:
        if isinstance(event, ev.Planned) and event.changes:
            self._owing = True
            return True
        return isinstance(event, ev.RunFinished) and self._owing

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable, where the system has a way to."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def elsewhere(error: OSError) -> str:
    """Say what helps where state cannot be kept."""
    first = "free some space, or " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"{first}keep state in a folder that you may write: --state-dir DIR, or $RUNBOOK_HOME"


def cannot_write(path: Path, error: OSError) -> RunbookError:
    """Say that the record of runs cannot be kept there."""
    return RunbookError(
        f"cannot write {path}: {error.strerror or error}; no run goes without its record",
        hint=elsewhere(error),
    )


def read(path: Path) -> list[ev.Event]:
    """Give the events of a journal; a line that was torn ends it, and a file that is not there has none."""
    events: list[ev.Event] = []
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError:
        return events
    for line in lines:
        try:
            events.append(event_from(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            break
    return events


class AtWork:
    """A fold that keeps what was begun and not finished: each step with its start and its changes so far."""

    def __init__(self) -> None:
        self.steps: dict[Key, Entry] = {}
        self.unsettled: dict[Key, int] = {}

    def __call__(self, event: ev.Event) -> None:
        match event:
            case ev.StepStarted(step, at):
                self.steps[step.index, step.host] = (step, at, [])
            case ev.Planned(step, changes):
                entry = self.steps.setdefault((step.index, step.host), (step, "", []))
                self.unsettled[step.index, step.host] = len(entry[2])
                entry[2].extend({**change, "applied": False} for change in changes)
            case ev.Applied(step, position):
                key = (step.index, step.host)
                self.steps[key][2][self.unsettled[key] + position]["applied"] = True
            case ev.Settled(step):
                self.unsettled.pop((step.index, step.host), None)
            case ev.StepFinished(result):
                self.steps.pop((result.step.index, result.step.host), None)
                self.unsettled.pop((result.step.index, result.step.host), None)

    def results(self, *, certain: bool) -> list[ev.Result]:
        """Give what was at work as failed results.

        The change that was next may have been made, so its `applied` is None; where the machine itself went down (not
        `certain`) so is that of all that follow, for the journal may have lost its last lines.
        """
        for key, base in self.unsettled.items():
            waiting = [change for change in self.steps[key][2][base:] if not change["applied"]]
            for change in waiting[: 1 if certain else None]:
                change["applied"] = None
        return [_crashed_step(*entry) for entry in self.steps.values()]

    def named(self, *, hosts: bool) -> str:
        """Say where the run was: `at step 4 'restart' on a, b and c`; the hosts are named if there are several."""
        by_step: dict[str, list[str]] = {}
        for step, _, _ in self.steps.values():
            by_step.setdefault(f"step {step.index} {step.name!r}", []).append(step.host)
        told = [f"{step} on {_listed(on)}" if hosts else step for step, on in by_step.items()]
        return f"at {_listed(told)}" if told else "between two steps"

    def targets(self) -> list[Json]:
        """Give the changes that may have left something half done."""
        return [change for key, base in self.unsettled.items() for change in self.steps[key][2][base:]]


def _listed(names: list[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _crashed_step(step: ev.StepId, at: str, changes: list[Json]) -> ev.Result:
    done, maybe = (sum(change["applied"] is known for change in changes) for known in (True, None))
    told = f"{done} of {len(changes)} changes made" + (f", {maybe} may have been" if maybe else "")
    message = "the run was killed while this step was at work: " + (told if changes else "it had begun no change")
    failure = ev.Failure("Crashed", message, "run the playbook again; what is done is not done twice")
    return ev.Result(step, "failed", at, changes=changes, error=failure)


def crashed(record: Json | None, events: list[ev.Event], *, ended_at: str, certain: bool) -> tuple[Json, AtWork]:
    """Give the report of a run that was killed, out of its last report and its journal, and what was at work.

    Each of the two may know more finished steps than the other; a journal that tells the end makes it the report of a
    run that ended. ValueError where neither knows how the run started.
    """
    told, at_work = Report(), AtWork()
    for event in events:
        told(event)
        _fold_what_fits(at_work, event)
    if told.finished:
        return told.to_json(), at_work
    known = Report.from_json(record) if record else told
    report = told if told.started and len(told.steps) >= len(known.steps) else known
    finished = Counter(map(_key, report.steps)) - Counter(map(_key, told.steps))
    for result in at_work.results(certain=certain):
        if (result.step.index, result.step.host) not in finished:
            report.add(result_json(result))
    whole: dict[str, Any] = {"status": "crashed", "exit_code": None, "finished_at": ended_at, "duration_s": None}
    return report.to_json() | whole, at_work


def _key(entry: Json) -> Key:
    return entry["index"], entry["host"]


def _fold_what_fits(at_work: AtWork, event: ev.Event) -> None:
    """Leave out what speaks of a list that was not heard of: a journal may have lost its beginning."""
    step = getattr(event, "step", None)
    if isinstance(event, ev.Applied) and (step is None or (step.index, step.host) not in at_work.unsettled):
        return
    at_work(event)
