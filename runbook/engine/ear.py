"""What a step's changes do and say, told as events of that step while it is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from runbook.engine.quiet import HIDDEN, quiet_changes
from runbook.errors import Stopped, TimedOut
from runbook.events import Applied, Event, Output, Planned, Progress, Settled

if TYPE_CHECKING:
    from runbook.engine.attempt import Attempt


class Ear:
    """Hears one attempt, while it is entered.

    A plugin that was left behind, or works on a thread when a signal comes, finds it over and changes nothing more.
    """

    def __init__(self, attempt: Attempt, *, silent: bool, undiffed: bool) -> None:
        self._attempt, self._silent, self._undiffed = attempt, silent, undiffed
        self._over: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._attempt.stage.telling:
            self._over = self._over or TimedOut("the step is over")

    def stop(self, stopped: Stopped) -> None:
        """End what the step waits for, from another thread."""
        self._over = stopped
        self._attempt.stage.halt(stopped)

    def planned(self, changes: list[dict[str, Any]], attempt: int) -> None:
        told = quiet_changes(changes, silent=self._silent, undiffed=self._undiffed)
        item = HIDDEN if self._silent and self._attempt.item is not None else self._attempt.item
        self._must_tell(Planned(self._attempt.step, told, item, attempt))

    def applied(self, position: int) -> None:
        self._must_tell(Applied(self._attempt.step, position))

    def settled(self, *, ok: bool) -> None:
        self._tell(Settled(self._attempt.step, ok))

    def output(self, stream: Any, line: str) -> None:
        if not self._silent:
            self._tell(Output(self._attempt.step, stream, line))

    def progress(self, text: str, done: float, total: float, unit: str = "B") -> None:
        self._tell(Progress(self._attempt.step, text, done, total, unit))

    def _must_tell(self, event: Event) -> None:
        """Tell it, or raise: without being heard nothing may be changed."""
        if not self._tell(event):
            raise self._over or Stopped(0)

    def _tell(self, event: Event) -> bool:
        """Tell it and say so, unless the step is over or was left behind."""
        with self._attempt.stage.telling:
            if self._over is not None or self._attempt.run.left:
                return False
            self._attempt.tell(event)
            return True
