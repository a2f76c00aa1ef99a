"""Handlers: which of them were notified, and running them until none is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runbook.engine.state import Frame, HostState
from runbook.errors import StepError, Unsure
from runbook.events import Failure, Note
from runbook.plan.model import PlannedPlay, StepNode
from runbook.templates import render_value
from runbook.variables import Variables

Frames = Mapping[str, Frame]
Step = Callable[[StepNode, Sequence[HostState], Frames], None]


class Handlers:
    """The handlers of a play; `step` runs one on hosts, `view` gives a host's variables."""

    def __init__(
        self, play: PlannedPlay, view: Callable[[HostState], Variables], step: Step, tell: Callable[[Note], None]
    ) -> None:
        self.play, self._view, self._step, self._tell = play, view, step, tell
        self._due: set[tuple[int, str]] = set()

    def flush(self, states: Sequence[HostState], *, last: bool = False) -> None:
        """Run the notified handlers in the order they stand in; those that they notify run too, earlier ones after.

        A host that has failed loses its own, unless `force_handlers`. One on which a handler fails runs no more of them
        now; they wait for its rescue, or the end of its steps, and there, at the `last`, are lost.
        """
        passes = len(self.play.handlers) + 1
        broken: set[str] = set()
        while self._any_due(states, broken):
            passes -= 1
            if passes < 0:
                self._endless(states)
                break
            for position, handler in enumerate(self.play.handlers):
                due = [state for state in states if state.name not in broken and self._is_due(position, state)]
                self._due -= {(position, state.name) for state in due}
                broken |= self._run(handler, due)
        if last and broken:
            for state in states:
                state.broken = state.broken or state.name in broken
            self.flush(states)  # which says what they have lost

    def _is_due(self, position: int, state: HostState) -> bool:
        self._take_in(state)
        return (position, state.name) in self._due

    def _any_due(self, states: Sequence[HostState], broken: set[str]) -> bool:
        for state in states:
            self._take_in(state)
        names = {state.name for state in states} - broken
        return any(name in names for _, name in self._due)

    def _take_in(self, state: HostState) -> None:
        """Find out whom the names mean that were notified on a host."""
        if not state.notified:
            return
        names, state.notified = set(state.notified), []
        for position, handler in enumerate(self.play.handlers):
            if not names.isdisjoint((self._name(handler, state), *handler.listen)):
                self._due.add((position, state.name))

    def _run(self, handler: StepNode, states: Sequence[HostState]) -> set[str]:
        """Run a handler on those that may, and give the names of those on which it failed."""
        kept = {state.name: state.failed for state in states if self._may_run(handler, state)}
        able = [state for state in states if state.name in kept]
        if not able:
            return set()
        for state in able:
            state.failed = None
        self._step(handler, able, {state.name: Frame() for state in able})  # wherever the flush stands
        broken = {state.name for state in able if state.failed}
        for state in able:
            state.failed = kept[state.name] or state.failed
        return broken

    def _may_run(self, handler: StepNode, state: HostState) -> bool:
        lost = state.failed and not self.play.force_handlers
        if not (state.over or state.unreachable or state.broken or lost):
            return True
        self._tell(Note(f"notified and not run on {state.name}: {self._name(handler, state)}", handler.where))
        return False

    def _endless(self, states: Sequence[HostState]) -> None:
        names = ", ".join(sorted({str(self.play.handlers[position].name) for position, _ in self._due}))
        self._due.clear()
        for state in states:
            state.failed = state.failed or Failure("TaskFailed", f"handlers notify each other without end: {names}")

    def _name(self, handler: StepNode, state: HostState) -> str:
        if handler.name is None:
            return handler.task
        try:
            return str(render_value(handler.name, self._view(state)))
        except (StepError, Unsure):  # its own step says so, if it is ever run
            return handler.task
