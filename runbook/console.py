"""What is shown of a run: plain lines, JSON lines, or a live display; the one place that prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TextIO

from runbook import events as ev
from runbook.crowd import Crowd
from runbook.lines import DEEP, MANY, Line, clean, play_lines, recap_lines, run_line, step_lines
from runbook.report import Counts, Key
from runbook.wire import event_json

QUIET = -1


def say(text: str, stream: TextIO) -> None:
    """Print a line; what the stream's encoding lacks is escaped. BrokenPipeError is the caller's."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


class PlainConsole:
    """An observer that tells a run in plain lines, never wrapped and without colour.

    `verbosity` -1 is quiet: nothing unless the run fails, and then the failures, the counts and the report's path, told
    at the end, for a failure may yet be rescued. 0 tells steps and changes, 1 and more also output and returned data.
    Of many hosts 0 tells a few a step, and every failure.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        verbosity: int = 0,
        mode: ev.Mode = "run",
        diff: bool = False,
        report: str | None = None,
    ) -> None:
        self.stream = stream
        self.verbosity = verbosity
        self.mode = mode
        self.diff = diff
        self.report = report
        self.counts = Counts()
        self._started: ev.RunStarted | None = None
        self._failed: dict[Key, ev.Result] = {}
        self._crowd: Crowd | None = None
        self._items: dict[Key, list[ev.Result]] = {}

    def __call__(self, event: ev.Event) -> None:
        for text, style in self._quietly(event) if self.verbosity <= QUIET else self._lines(event):
            self.emit(clean(text), style)

    def emit(self, text: str, style: str) -> None:  # noqa: ARG002 - a live display has colours for the styles
        """Show one line."""
        say(text, self.stream)

    def close(self) -> None:
        """Leave the terminal as it was."""

    def _lines(self, event: ev.Event) -> Iterator[Line]:
        crowd = self._crowd
        if crowd is not None and crowd.ends(event):
            yield from crowd.lines()
        match event:
            case ev.RunStarted():
                self._begin(event)
                yield run_line(event)
            case ev.PlayStarted():
                yield from play_lines(event)
            case ev.ItemFinished():
                self._collect(event.result)
            case ev.StepFinished():
                result = self._finish(event.result)
                if crowd is None or crowd.shows(result):
                    yield from self._step(result)
            case ev.Rescued(step) if crowd is not None:
                self._rescue(step)
                crowd.rescue(step)
            case ev.Rescued(step):
                self._rescue(step)
                yield f"{DEEP}rescued: {step.index} {step.name}{self._on(step.host)}", "forgiven"
            case ev.Output(step, _, line) if self.verbosity > 0:
                yield f"{DEEP}| {self._of(step.host)}{line.rstrip().rpartition(chr(13))[2]}", "dim"
            case ev.Note(text, where):
                yield f"note: {text}" + (f" ({where})" if where else ""), "note"
            case ev.RunFinished():
                yield from recap_lines(self.counts, event, self.mode, self.report, self._failed.values())

    def _quietly(self, event: ev.Event) -> Iterator[Line]:
        match event:
            case ev.RunStarted():
                self._begin(event)
            case ev.ItemFinished():
                self._collect(event.result)
            case ev.StepFinished():
                self._finish(event.result)
            case ev.Rescued(step):
                self._rescue(step)
            case ev.RunFinished() if event.status != "ok":
                if self._started:
                    yield run_line(self._started)
                for result in self._failed.values():
                    yield from self._step(result)
                yield from recap_lines(self.counts, event, self.mode, self.report, self._failed.values())

    def _begin(self, event: ev.RunStarted) -> None:
        self._started, self.mode, self.counts = event, event.mode, Counts(event.hosts)
        self._crowd = Crowd(event.mode) if len(event.hosts) > MANY and self.verbosity <= 0 else None

    def _collect(self, item: ev.Result) -> None:
        self._items.setdefault((item.step.index, item.step.host), []).append(item)

    def _finish(self, result: ev.Result) -> ev.Result:
        items = self._items.pop((result.step.index, result.step.host), None)
        whole = result if result.items is not None or items is None else replace(result, items=items, entry=None)
        self.counts.add(whole)
        if whole.status in {"failed", "unreachable"} and not (whole.ignored or whole.rescued):
            self._failed[whole.step.index, whole.step.host] = whole
        return whole

    def _rescue(self, step: ev.StepId) -> None:
        self.counts.rescue(step)
        self._failed.pop((step.index, step.host), None)

    def _step(self, result: ev.Result) -> Iterator[Line]:
        many = self._started is not None and len(self._started.hosts) > 1
        return step_lines(result, mode=self.mode, verbosity=self.verbosity, diff=self.diff, host=many)

    def _on(self, host: str) -> str:
        return f" on {host}" if self._started and len(self._started.hosts) > 1 else ""

    def _of(self, host: str) -> str:
        return f"{host}: " if self._started and len(self._started.hosts) > 1 else ""


class JsonLines:
    """An observer that prints every event as one JSON object on a line of its own, and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __call__(self, event: ev.Event) -> None:
        say(json.dumps(event_json(event), separators=(",", ":")), self.stream)

    def close(self) -> None:
        """There is nothing to put back."""
