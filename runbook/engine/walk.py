"""The way through a play's tree of steps: blocks with their rescue and always, includes, handlers, `meta`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbook.engine import registers
from runbook.engine.failing import fail_all, share, too_many
from runbook.engine.flags import settled_flag, settled_throttle
from runbook.engine.handlers import Handlers
from runbook.engine.loops import items_of, label_of, variables_of
from runbook.engine.stage import Stage
from runbook.engine.state import Frame, HostState
from runbook.engine.step import StepRun
from runbook.errors import StepError, Stopped, Unsure
from runbook.events import Failure, Note, Rescued, Result, Status, StepFinished, StepId
from runbook.plan.model import BlockNode, Node, PlannedPlay, StepNode, flat
from runbook.plan.names import sets
from runbook.unknown import Unknown

Frames = Mapping[str, Frame]


class Walk:
    """One batch of hosts on its way through a play, step by step, all hosts at each."""

    def __init__(self, stage: Stage, play: PlannedPlay, states: Sequence[HostState]) -> None:
        self.stage, self.play, self.states = stage, play, states
        self.ended = False
        self._handlers = Handlers(play, lambda state: stage.view(state, None, Frame()), self._step, stage.emit)
        self._rescued = 0  # how many blocks around the step at work have a rescue
        self._open: list[set[str]] = []  # the hosts in the blocks around the step at work that rescue, or always run
        self._failures: dict[str, list[tuple[StepId, object]]] = {state.name: [] for state in states}

    def go(self) -> None:
        frames = {state.name: Frame() for state in self.states}
        for section in self.play.sections:
            self.nodes(section, self.states, frames)
            if self.ended:
                break
            self._handlers.flush(self.states, last=True)

    def nodes(self, nodes: Sequence[Node], states: Sequence[HostState], frames: Frames) -> None:
        for node in nodes:
            live = [state for state in states if state.active]
            if not live:
                return
            if isinstance(node, BlockNode):
                self._block(node, live, frames)
            elif node.meta:
                self._meta(node, live, frames)
            else:
                self._step(node, live, frames)

    def _step(self, node: StepNode, live: Sequence[HostState], frames: Frames) -> None:
        """Run a step on every host; what one failure means for the others is settled when all are through."""
        first = self.stage.view(live[0], node, frames[live[0].name])
        once = node.spec.once or settled_flag("run_once", node.effect.run_once, first)
        self._run(node, live[:1] if once else live, frames, settled_throttle(node, first))
        if once:
            share(node, live[0], self.states)
        failed = [state.name for state in live if state.failed]
        if not failed:
            return
        fatal = self.play.any_errors_fatal or settled_flag("any_errors_fatal", node.effect.any_errors_fatal, first)
        told = None
        if fatal or once:
            rule = "any_errors_fatal" if fatal else "run_once"
            told = fail_all(self.states, f"another host failed ({rule}): {failed[0]}", rescue=self._rescued > 0)
        elif not self._rescued and too_many(self.states, self.play.max_fail_percentage):
            told = fail_all(self.states, "more hosts have failed than max_fail_percentage allows", rescue=False)
        if told and not self._rescued:  # in a block that is rescued they go on there
            self.stage.emit(Note(told, node.where))

    def _run(self, node: StepNode, live: Sequence[HostState], frames: Frames, throttle: int) -> None:
        """Run a step on hosts, as many at once as may be; other hosts see what it sets when all are through."""
        runs = [StepRun(self.stage, node, state, frames[state.name], self.play.name) for state in live]
        at_once = min(len(runs), self.stage.forks, throttle or self.stage.forks)
        if at_once == 1:
            for run in runs:
                run.execute()
        else:
            self._together(runs, at_once)
        for run in runs:
            self._take(run)

    def _together(self, runs: Sequence[StepRun], at_once: int) -> None:
        from runbook.engine.together import together

        try:
            together([run.execute for run in runs], at_once, self.stage.halt)
        except Stopped as stopped:
            for run in runs:
                run.leave(stopped)
            raise

    def _take(self, run: StepRun) -> None:
        """Let what a step has set be seen, and take its host out of the play if it has failed."""
        result, state = run.result, run.state
        assert result is not None
        state.publish()
        state.over = state.over or run.abandoned
        if result.status == "failed" and not result.ignored:
            self._fail(state, result.error or Failure("TaskFailed", "failed"), run.id, run.register)

    def _fail(self, state: HostState, failure: Failure, step: StepId, register: object) -> None:
        state.fail(failure, rescue=self._rescued > 0)
        self._failures[state.name].append((step, register))

    def _block(self, node: BlockNode, live: Sequence[HostState], frames: Frames) -> None:
        once = settled_flag("run_once", node.run_once, self.stage.view(live[0], None, frames[live[0].name]))
        live = [state for state in (live[:1] if once else live) if node.hosts is None or state.name in node.hosts]
        for states, inner in self._entries(node, live, frames):
            self._once(node, [state for state in states if state.active], inner)

    def _once(self, node: BlockNode, live: Sequence[HostState], frames: Frames) -> None:
        """Run a block once: rescue what failed in it, and always run what always runs."""
        if not live:
            return
        before = {state.name: len(self._failures[state.name]) for state in live}
        self._open.append({state.name for state in live if node.rescue or node.always})
        self._rescued += bool(node.rescue)
        self.nodes(node.block, live, frames)
        self._rescued -= bool(node.rescue)
        failed = [state for state in live if state.failed and not state.over]
        if node.rescue and failed:
            self._rescue(node, failed, frames, before)
        self._open.pop()
        if node.always:
            kept = {state.name: state.failed for state in live}
            for state in live:
                state.failed = None
            self.nodes(node.always, live, frames)
            for state in live:
                state.failed = state.failed or kept[state.name]

    def _rescue(self, node: BlockNode, failed: Sequence[HostState], frames: Frames, before: Mapping[str, int]) -> None:
        """Run a rescue; where it ends well, or its host leaves the play, all failures since `before` are made good."""
        for state in failed:
            state.failed = None
            if causes := self._failures[state.name][before[state.name] :]:
                step, register = causes[-1]
                state.facts["ansible_failed_task"] = {"name": step.name, "action": step.task}
                state.facts["ansible_failed_result"] = register
        self.nodes(node.rescue, failed, frames)
        for state in failed:
            if not state.failed:
                made_good = self._failures[state.name][before[state.name] :]
                del self._failures[state.name][before[state.name] :]
                for step, _ in made_good:
                    self.stage.emit(Rescued(step))

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
        """Give the frames an include is run with on a host; where its condition is false, none: each step says so."""
        view = self.stage.view(state, None, frame)
        loop, frames, false = node.loop, [], None
        try:
            items = [None] if loop is None else items_of(loop, view)
            for position in range(len(items)):
                brought = {} if loop is None else variables_of(loop, items, position)
                inner = view.over(node.vars, brought)
                false = next((text for each in node.when if (text := each.first_false(inner)) is not None), None)
                if false is None:
                    label = "" if loop is None else label_of(loop, items[position], inner)
                    frames.append(Frame((brought, node.vars, *frame.layers), f"{frame.label} {label}".strip()))
        except Unsure as unsure:
            return self._passed(node, state, "unsure", unsure.reason)
        except StepError as error:
            return self._passed(node, state, "failed", error.message, error.hint)
        if frames:
            return frames
        return self._passed(node, state, "skipped", f"when: {false}" if items else "the loop list is empty")

    def _passed(
        self, node: BlockNode, state: HostState, status: Status, reason: str, hint: str | None = None
    ) -> list[Frame]:
        """Say of each step of a block that is not entered why it was not; of a failure, of the first."""
        for step in flat([node]):
            identity = self._identity(step, state)
            failure = Failure("TaskFailed", reason, hint) if status == "failed" else None
            self.stage.emit(StepFinished(Result(identity, status, reason=reason, error=failure)))
            if failure:
                self._fail(state, failure, identity, registers.failed(reason, {}, changed=False))
                break
            if status == "unsure":
                state.facts |= dict.fromkeys(sets(step), Unknown(reason))
        return []

    def _identity(self, step: StepNode, state: HostState) -> StepId:
        name = step.task if step.name is None else getattr(step.name, "text", step.name)
        return StepId(step.index, self.play.name, name, step.task, state.name, step.where)

    def _meta(self, node: StepNode, live: Sequence[HostState], frames: Frames) -> None:
        """Steer the run: what is about the play as a whole is asked on the first host."""
        asked = live[:1] if node.meta in ("end_play", "clear_host_errors") else live
        wanted = [state for state in asked if self._wanted(node, state, frames[state.name])]
        if not wanted:
            return
        if node.meta == "clear_host_errors":
            self._clear()
        elif node.meta == "flush_handlers":
            self._handlers.flush(wanted)
        else:
            self._end(node.meta or "", wanted)

    def _end(self, meta: str, wanted: Sequence[HostState]) -> None:
        """Have hosts leave the play: one that leaves in a rescue has been rescued."""
        self.ended = meta == "end_play"
        if meta in ("end_host", "end_play"):
            for state in self.states if self.ended else wanted:
                state.over = True

    def _wanted(self, node: StepNode, state: HostState, frame: Frame) -> bool:
        """Ask the condition of a `meta`; one that cannot be answered is told as the step's result."""
        view = self.stage.view(state, node, frame)
        try:
            return all(condition.evaluate(view) for condition in node.effect.when)
        except Unsure as unsure:
            result = Result(self._identity(node, state), "unsure", reason=unsure.reason)
        except StepError as error:
            failure = Failure(type(error).__name__, error.message, error.hint)
            result = Result(self._identity(node, state), "failed", error=failure)
            self._fail(state, failure, result.step, registers.failed(error.message, {}, changed=False))
        self.stage.emit(StepFinished(result))
        return False

    def _clear(self) -> None:
        """Forget the errors of the hosts that are out of the play: the next one has them back."""
        waiting = {name for names in self._open for name in names}  # for their rescue, or for what always runs
        for state in self.states:
            if state.name not in waiting:
                state.over = state.over or not state.active
                state.failed, state.unreachable = None, False
