"""The live display of a run on a terminal: the lines in colour, and under them what is at work."""

from __future__ import annotations

from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from runbook import events as ev
from runbook.console import PlainConsole
from runbook.lines import clean, listed
from runbook.report import Key
from runbook.units import human_bytes

SAID = 48  # characters of a process's last line that are shown beside its step

STYLES = {
    "head": "bold",
    "ok": "green",
    "changed": "yellow",
    "failed": "bold red",
    "unreachable": "bold red",
    "forgiven": "magenta",
    "unsure": "cyan",
    "skipped": "dim",
    "dim": "dim",
    "hint": "bold",
    "note": "cyan",
    "added": "green",
    "removed": "red",
}


class LiveConsole(PlainConsole):
    """A plain console with colours, a spinner for every step at work, and a bar for what says how far it is.

    Of many hosts there is one bar for the step that they are at: how many are through, and who is at work.
    """

    def __init__(self, stream: TextIO, **told: Any) -> None:
        super().__init__(stream, **told)
        self._rich = Console(file=stream, highlight=False, markup=False, emoji=False)
        utf8 = self._rich.encoding.startswith("utf")
        self._progress = Progress(
            SpinnerColumn("dots" if utf8 else "line"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[far]}", markup=False),
            TimeElapsedColumn(),
            console=self._rich,
            transient=True,
            refresh_per_second=8,
        )
        self._tasks: dict[Key, TaskID] = {}
        self._total = self._hosts = 0
        self._at_work: dict[str, None] = {}

    def __call__(self, event: ev.Event) -> None:
        match event:
            case ev.RunStarted():
                self._total = event.steps
                self._progress.start()
            case ev.PlayStarted(_, hosts):
                self._hosts = len(hosts)
            case ev.StepStarted() | ev.StepFinished() if self._crowd is not None:
                self._count(event)
            case ev.StepStarted(step, _):
                self._work(step)
            case ev.Progress():
                self._far(event)
            case ev.Output(step, _, line) if self._crowd is None and self.verbosity <= 0:
                self._say(step, line)
            case ev.StepFinished(result):
                task = self._tasks.pop((result.step.index, result.step.host), None)
                if task is not None:
                    self._progress.remove_task(task)
            case ev.RunFinished():
                self.close()
        super().__call__(event)

    def emit(self, text: str, style: str) -> None:
        """Show one line above what is at work; it is never wrapped, so it can be copied whole."""
        shown = text.encode(self._rich.encoding, "backslashreplace").decode(self._rich.encoding)
        self._rich.print(Text(shown, style=STYLES.get(style, "")), soft_wrap=True)

    def close(self) -> None:
        """Take the display away and leave the terminal as it was; it may be called again."""
        self._progress.stop()

    def _work(self, step: ev.StepId) -> TaskID:
        key = (step.index, step.host)
        if key not in self._tasks:
            name = clean(f"{step.index}/{max(self._total, step.index)} {step.name}{self._on(step.host)}")
            self._tasks[key] = self._progress.add_task(name, total=None, far="")
        return self._tasks[key]

    def _count(self, event: ev.StepStarted | ev.StepFinished) -> None:
        """Show how far the hosts of a step are."""
        step = event.step if isinstance(event, ev.StepStarted) else event.result.step
        task = self._tasks.get((step.index, ""))
        if task is None:
            while self._tasks:
                self._progress.remove_task(self._tasks.popitem()[1])
            name = clean(f"{step.index}/{max(self._total, step.index)} {step.name}")
            task = self._tasks[step.index, ""] = self._progress.add_task(name, total=self._hosts, far="")
        if isinstance(event, ev.StepStarted):
            self._at_work[step.host] = None
        else:
            self._at_work.pop(step.host, None)
            self._progress.advance(task)
        self._progress.update(task, far=clean(listed([*self._at_work], 3)))

    def _say(self, step: ev.StepId, line: str) -> None:
        """Show what the step's process said last: with -v it has a line of its own instead."""
        said = clean(line.rstrip().rpartition("\r")[2].strip())
        if said:
            self._progress.update(self._work(step), far=said if len(said) <= SAID else f"{said[:SAID]}…")

    def _far(self, event: ev.Progress) -> None:
        if self._crowd is not None:
            return  # the bar counts the hosts
        done, total = (
            human_bytes(int(n)) if event.unit == "B" else f"{n:g}{event.unit}" for n in (event.done, event.total)
        )
        far = clean(f"{done} of {total}, {event.text}" if event.total else f"{done}, {event.text}")
        self._progress.update(self._work(event.step), completed=event.done, total=event.total or None, far=far)
