"""One step on one host: its condition, its loop, its attempts, and what became of it."""

from __future__ import annotations

import time
from dataclasses import field
from typing import Any

from runbook.engine import registers
from runbook.engine.attempt import Attempt
from runbook.engine.clock import Abandoned, seconds, stamp
from runbook.engine.flags import check_flags, settled_flag
from runbook.engine.hints import with_inputs
from runbook.engine.loops import items_of, label_of, variables_of
from runbook.engine.quiet import quieted, silent, undiffed
from runbook.engine.stage import Stage
from runbook.engine.state import Frame, HostState
from runbook.engine.suspicion import cast
from runbook.errors import StepError, Stopped, TaskFailed, Unsure
from runbook.events import Event, Failure, ItemFinished, Result, Status, StepFinished, StepId, StepStarted
from runbook.plan.model import StepNode
from runbook.plan.names import sets
from runbook.templates import MISSING, render_value
from runbook.unknown import Unknown
from runbook.value import record
from runbook.variables import Variables


@record
class StepRun:
    """A step at work, on a thread of its own perhaps.

    `register` is what it leaves for later steps, `before` what its name held until now, `result` what became of it. One
    that a signal has cut short is `stopped`; `left` behind is one that did not come back then: nobody hears of it any
    more. A step whose plugin was left behind when its time was over is `abandoned`.
    """

    stage: Stage
    node: StepNode
    state: HostState
    frame: Frame
    play: str
    id: StepId = field(init=False)
    register: Any = None
    before: Any = MISSING
    result: Result | None = None
    stopped: Stopped | None = None
    attempt: Attempt | None = None
    began: float = 0.0
    at: str = ""
    told: bool = False
    left: bool = False
    abandoned: bool = False

    def execute(self) -> None:
        """Run the step and tell the observers; never raises for what a task does, and `Stopped` when that is told."""
        self.began, self.at = time.monotonic(), stamp()
        view = self.stage.view(self.state, self.node, self.frame)
        self.before = self.state.facts.get(self.node.register or "", MISSING)
        self.id = self._identify(view)
        self.tell(StepStarted(self.id, self.at))
        try:
            result = self._looped(view) if self.node.loop else self._single(view, None)
        except Unsure as unsure:
            result = self._unsure(unsure, view)
        except StepError as error:
            result = self._failed(error)
        except Stopped as stopped:
            result = self._cut(stopped, [])
        _time(result, self.at, self.began)
        if self.stopped is None:
            if result.items is None:
                self._ignore(result, view)
            self._force(result, view)
            if result.status == "failed":
                self.state.forget()
            self._keep(result)
        with self.stage.telling:
            self.tell(StepFinished(self._told(result, view)))
            self.result = result
        if self.stopped is not None:
            raise self.stopped

    def tell(self, event: Event) -> None:
        """Tell the observers, as long as anybody waits for this step."""
        with self.stage.telling:
            if not self.left:
                self.stage.emit(event)
                self.told = True

    def leave(self, stopped: Stopped) -> None:
        """Tell that a signal has cut the step short, where it was begun and has not come back."""
        with self.stage.telling:
            if self.told and self.result is None:
                result = self._cut(stopped, list(self.attempt.changes) if self.attempt else [])
                _time(result, self.at, self.began)
                self.tell(StepFinished(self._told(result, self.stage.view(self.state, self.node, self.frame))))
            self.left = True

    def _identify(self, view: Variables) -> StepId:
        name = self._named(view)
        name = f"{name} ({self.frame.label})" if self.frame.label else str(name)
        return StepId(self.node.index, self.play, name, self.node.task, self.state.name, self.node.where)

    def _named(self, view: Variables) -> str:
        """Give the step's name; one that cannot be made stays as it is written."""
        written = self.node.name
        if written is None:
            return self.node.task
        try:
            return str(render_value(written, view))
        except (StepError, Unsure):
            return str(getattr(written, "text", written))

    def _single(self, view: Variables, item: str | None) -> Result:
        """Run once, for no item or for one."""
        attempt = self.attempt = Attempt(self, item)
        try:
            check_flags(self.node, view)
            for condition in self.node.effect.when:
                if (false := condition.first_false(view)) is not None:
                    self.register = registers.skipped("Conditional result was False", false)
                    return Result(self.id, "skipped", reason=f"when: {false}", data=self.register, item=item)
            result = attempt.until_done(view)
        except Unsure as unsure:
            result = self._unsure(unsure, view)
            self.register = Unknown(self._reason())
            result.changes, result.item = attempt.changes, item
            return result
        except Stopped as stopped:
            result = self._cut(stopped, attempt.changes)
            result.item, result.attempts = item, attempt.count
            return result
        except StepError as error:
            result = self._failed(error)
            result.changes, result.item, result.attempts = attempt.changes, item, attempt.count
            changed = any(change["applied"] for change in attempt.changes)
            self.register = registers.failed(error.message, error.data, changed=changed)
            result.data = self.register
            if isinstance(error, Abandoned):
                self.abandoned = True
            return result
        self.register = attempt.register
        return result

    def _looped(self, view: Variables) -> Result:
        """Run for each item, also after one failed; the items are rendered once, before the first."""
        items = self._items(view)
        if items is None:
            self.register = registers.skipped("Conditional result was False", None) | {"results": []}
            return Result(self.id, "skipped", reason="the loop list is not defined, and `when` is false", items=[])
        loop, results, kept = self.node.loop, [], []
        assert loop is not None
        for position, value in enumerate(items):
            if position and loop.pause:
                self.stage.host_of(self.state, self.node, view).sleep(seconds(render_value(loop.pause, view), "pause"))
            inner = view.over(variables_of(loop, items, position))
            began, at = time.monotonic(), stamp()
            result = self._single(inner, label_of(loop, value, inner))
            _time(result, at, began)
            kept.append(registers.item_of(self.register, loop.variable, value))
            if self.node.register:
                self.state.new_facts[self.node.register] = kept[-1]
            self._ignore(result, inner)
            results.append(self._told(result, inner))
            self.tell(ItemFinished(results[-1]))
            if self.abandoned or self.stopped:
                break
        self.register = registers.looped(kept)
        return _folded(self.id, results)

    def _items(self, view: Variables) -> list[Any] | None:
        """Give the items of the loop, or None where they cannot be made and `when` does not want them."""
        assert self.node.loop is not None
        try:
            return items_of(self.node.loop, view)
        except TaskFailed:
            if any(condition.first_false(view) is not None for condition in self.node.effect.when):
                return None
            raise

    def _unsure(self, unsure: Unsure, view: Variables) -> Result:
        cast(self, view)
        self.register = Unknown(self._reason())
        self.state.new_facts.update(dict.fromkeys(sets(self.node), self.register))
        data = None if unsure.now is None else {"as_things_are": f"it would fail: {unsure.now}"}
        return Result(self.id, "unsure", reason=unsure.reason, data=data)

    def _failed(self, error: StepError) -> Result:
        self.register = registers.failed(error.message, error.data, changed=False)
        hint = with_inputs(error.hint, self.node, self.stage.plan.inputs)
        failure = Failure(type(error).__name__, error.message, hint)
        return Result(self.id, "failed", error=failure, data=self.register)

    def _cut(self, stopped: Stopped, changes: list[dict[str, Any]]) -> Result:
        """Tell what a signal has cut short."""
        self.stopped = stopped
        done = sum(change["applied"] is True for change in changes)
        how = f"{done} of {len(changes)} changes were made" if changes else "it had begun no change"
        failure = Failure("Stopped", f"the run was ended by {stopped.name} while this step was at work: {how}")
        self.register = registers.failed(failure.message, {}, changed=done > 0)
        return Result(self.id, "failed", error=failure, data=self.register, changes=changes)

    def _reason(self) -> str:
        return f"depends on {self.stage.label(self.node, self.id.name)}"

    def _ignore(self, result: Result, view: Variables) -> None:
        ignored = self.stopped is None and result.status == "failed"
        if ignored and settled_flag("ignore_errors", self.node.effect.ignore_errors, view):
            result.ignored = True

    def _told(self, result: Result, view: Variables) -> Result:
        """Give the result as events tell it."""
        result.data = registers.told(result.data)
        return quieted(result, silent=silent(self.node, view), undiffed=undiffed(self.node, view))

    def _force(self, result: Result, view: Variables) -> None:
        """Mark what was done for real in a check, as `check_mode: false` says."""
        written = self.node.effect.check_mode
        if self.stage.mode == "check" and written is not None and result.status not in ("skipped", "unsure"):
            result.forced = not settled_flag("check_mode", written, view)

    def _keep(self, result: Result) -> None:
        """Register; a skipped step does not overwrite a register that has a value."""
        name = self.node.register
        if name and result.status == "skipped" and self.before is not MISSING:
            self.state.new_facts[name] = self.before
        elif name:
            self.state.new_facts[name] = self.register


def _time(result: Result, at: str, began: float) -> None:
    result.started_at, result.duration_s = at, round(time.monotonic() - began, 6)


def _folded(step: StepId, results: list[Result]) -> Result:
    """Fold the results of the items into the step's."""
    order: tuple[Status, ...] = ("failed", "unsure", "changed", "ok", "skipped")
    statuses = {result.status for result in results}
    status: Status = next((status for status in order if status in statuses), "skipped")
    folded = Result(step, status, items=results, attempts=max((result.attempts for result in results), default=1))
    folded.reason = "the loop list is empty" if not results else None
    if status == "unsure":
        folded.reason = next(result.reason for result in results if result.status == "unsure")
    failed = [result for result in results if result.status == "failed"]
    folded.ignored = bool(failed) and all(result.ignored for result in failed)
    folded.error = next((result.error for result in results if result.error), None)
    folded.notified = tuple(dict.fromkeys(name for result in results for name in result.notified))
    return folded
