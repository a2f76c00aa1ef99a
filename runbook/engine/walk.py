"""The way through a play's tree of steps: blocks with their rescue and always, includes, handlers, `meta`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from runbook.engine.state import Frame, HostState
from runbook.engine.step import StepRun
from runbook.errors import StepError, Unsure
from runbook.events import Failure, Rescued, Result, StepFinished, StepId
from runbook.plan.model import BlockNode, Node, PlannedPlay, StepNode
from runbook.templates import render_value
from runbook.unknown import Unknown, reason_of
from runbook.variables import Lazy

if TYPE_CHECKING:
    from runbook.engine.run import Run

Frames = Mapping[str, Frame]


class Ended(Exception):
    """`meta: end_play` was met."""


class Walk:
    """One batch of hosts on its way through a play, step by step, all hosts at each."""

    def __init__(self, run: Run, play: PlannedPlay, states: Sequence[HostState]) -> None:
        self.run, self.play, self.states = run, play, states
        self.ended = self.too_many = False
        self._last: dict[str, tuple[StepId, Result, object]] = {}

    def go(self) -> None:
        frames = {state.name: Frame() for state in self.states}
        try:
            self.nodes(self.play.nodes, self.states, frames)
            self.flush(frames)
        except Ended:
            self.ended = True

    def nodes(self, nodes: Sequence[Node], states: Sequence[HostState], frames: Frames) -> None:
        for node in nodes:
            live = [state for state in states if state.active]
            if not live or self.too_many:
                return
            if isinstance(node, BlockNode):
                self._block(node, live, frames)
            elif node.meta:
                self._meta(node, live, frames)
            else:
                self._step(node, live, frames)

    def _step(self, node: StepNode, live: Sequence[HostState], frames: Frames) -> None:
        """Run a step on every host; what one failure means for the others is settled when all are through."""
        first = self.run.view(live[0], node, frames[live[0].name])
        once = render_value(node.effect.run_once, first) is True
        for state in live[:1] if once else live:
            step = self.run.step(self.play, node, state, frames[state.name])
            self._take(step, state)
            if once:
                self._share(step, state, live[1:])
        failed = [state for state in self.states if state.failed]
        fatal = self.play.any_errors_fatal or render_value(node.effect.any_errors_fatal, first) is True
        if failed and (fatal or (once and live[0].failed)):
            for state in live:
                state.failed = state.failed or Failure("TaskFailed", f"another host failed: {failed[0].name}")
        limit = self.play.max_fail_percentage
        if failed and limit is not None and 100 * len(failed) / len(self.states) > limit:
            self.too_many = True

    def _take(self, step: StepRun, state: HostState) -> None:
        result = step.result
        assert result is not None
        if result.status == "failed" and not result.ignored:
            state.failed = result.error or Failure("TaskFailed", "failed")
            self._last[state.name] = (step.id, result, step.register)

    def _share(self, step: StepRun, done: HostState, others: Sequence[HostState]) -> None:
        if step.node.register:
            for state in others:
                state.facts[step.node.register] = done.facts.get(step.node.register)

    def _block(self, node: BlockNode, live: Sequence[HostState], frames: Frames) -> None:
        if node.hosts is not None:
            live = [state for state in live if state.name in node.hosts]
        for states, inner in self._entries(node, live, frames):
            self._once(node, [state for state in states if state.active], inner)

    def _once(self, node: BlockNode, live: Sequence[HostState], frames: Frames) -> None:
        """Run a block once: rescue what failed in it, and always run what always runs."""
        if not live:
            return
        self.nodes(node.block, live, frames)
        failed = [state for state in live if state.failed]
        if node.rescue and failed:
            self._rescue(node, failed, frames)
        if node.always:
            kept = {state.name: state.failed for state in live}
            for state in live:
                state.failed = None
            self.nodes(node.always, live, frames)
            for state in live:
                state.failed = state.failed or kept[state.name]

    def _rescue(self, node: BlockNode, failed: Sequence[HostState], frames: Frames) -> None:
        saved = [self._last[state.name] for state in failed if state.name in self._last]
        for state in failed:
            state.failed = None
            if state.name in self._last:
                step, _, register = self._last[state.name]
                state.facts.setdefault("ansible_failed_task", {"name": step.name, "action": step.task})
                state.facts.setdefault("ansible_failed_result", register)
        self.nodes(node.rescue, failed, frames)
        by_host = {step.host: step for step, _, _ in saved}
        for state in failed:
            if not state.failed and state.name in by_host:
                self.run.emit(Rescued(by_host[state.name]))

    def _entries(
        self, node: BlockNode, live: Sequence[HostState], frames: Frames
    ) -> list[tuple[list[HostState], Frames]]:
        """Give each time a block is run: once, or for an include as its condition and its loop say, host by host."""
        if not (node.when or node.loop or node.vars):
            return [(list(live), frames)]
        rounds: dict[int, tuple[list[HostState], dict[str, Frame]]] = {}
        for state in live:
            for turn, frame in enumerate(self._frames(node, state, frames[state.name])):
                states, inner = rounds.setdefault(turn, ([], {}))
                states.append(state)
                inner[state.name] = frame
        return [rounds[turn] for turn in sorted(rounds)]

    def _frames(self, node: BlockNode, state: HostState, frame: Frame) -> list[Frame]:
        """Give the frames an include is run with on a host; a false condition gives none, and says so of every step."""
        view = self.run.view(state, None, frame)
        try:
            for condition in node.when:
                if (false := condition.first_false(view)) is not None:
                    return self._passed(node, state, frame, "skipped", f"when: {false}")
            if not node.loop:
                return [Frame((node.vars, *frame.layers), frame.label)]
            items = render_value(node.loop.items, view)
            if isinstance(items, Unknown):
                return self._passed(node, state, frame, "unsure", reason_of(items))
        except Unsure as unsure:
            return self._passed(node, state, frame, "unsure", unsure.reason)
        except StepError as error:
            state.failed = Failure(type(error).__name__, error.message, error.hint)
            return self._passed(node, state, frame, "failed", error.message)
        name = node.loop.variable
        return [Frame(({name: item}, node.vars, *frame.layers), f"{frame.label} {item}".strip()) for item in items]

    def _passed(self, node: BlockNode, state: HostState, frame: Frame, status: str, reason: str) -> list[Frame]:
        """Say of each step of a block that is not entered why it was not."""
        for step in _steps(node):
            identity = StepId(
                step.index, self.play.name, str(step.name or step.task), step.task, state.name, step.where
            )
            failure = Failure("TaskFailed", reason) if status == "failed" else None
            self.run.emit(StepFinished(Result(identity, status, reason=reason, error=failure)))  # type: ignore[arg-type]
            if step.register and status == "unsure":
                state.facts[step.register] = Unknown(reason)
            if failure:
                break
        del frame
        return []

    def _meta(self, node: StepNode, live: Sequence[HostState], frames: Frames) -> None:
        for state in live:
            view = self.run.view(state, node, frames[state.name])
            if any(condition.first_false(view) is not None for condition in node.effect.when):
                continue
            if node.meta == "end_play":
                raise Ended
            if node.meta == "end_host":
                state.over = True
            elif node.meta == "clear_host_errors":
                for other in self.states:
                    other.failed, other.unreachable = None, False
            elif node.meta == "flush_handlers":
                self.flush(frames, [state])

    def flush(self, frames: Frames, states: Sequence[HostState] | None = None) -> None:
        """Run the notified handlers, in the order they stand in; one may notify those that come after it."""
        for handler in self.play.handlers:
            for state in states or self.states:
                wanted = {self._name(handler, state), *handler.listen}
                if not wanted.intersection(state.notified):
                    continue
                failed = state.failed
                if (failed and not self.play.force_handlers) or state.over:
                    continue
                state.failed = None
                state.notified = [name for name in state.notified if name != self._name(handler, state)]
                self._take(self.run.step(self.play, handler, state, frames[state.name]), state)
                state.failed = failed or state.failed
        for state in states or self.states:
            state.notified = []

    def _name(self, handler: StepNode, state: HostState) -> str:
        return str(render_value(handler.name, self.run.view(state, None, Frame())) if handler.name else handler.task)


def _steps(node: BlockNode) -> list[StepNode]:
    from runbook.plan.model import flat

    return flat(node.block)


__all__ = ["Lazy", "Walk"]
