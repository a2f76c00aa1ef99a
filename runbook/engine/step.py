"""One step on one host: its condition, its loop, its attempts, and what became of it."""

from __future__ import annotations

import time
from dataclasses import field
from typing import TYPE_CHECKING, Any

from runbook.engine import registers
from runbook.engine.attempt import Attempt
from runbook.engine.clock import Abandoned, seconds, stamp
from runbook.engine.state import Frame, HostState
from runbook.errors import StepError, TaskFailed, Unsure
from runbook.events import Failure, ItemFinished, Result, Status, StepFinished, StepId, StepStarted
from runbook.plan.model import StepNode
from runbook.plan.names import sets
from runbook.templates import render_value
from runbook.unknown import Unknown, first_unknown, reason_of
from runbook.value import record
from runbook.variables import Variables

if TYPE_CHECKING:
    from runbook.engine.run import Run


@record
class StepRun:
    """A step at work. `register` is what it leaves for later steps."""

    run: Run
    node: StepNode
    state: HostState
    frame: Frame
    play: str
    id: StepId = field(init=False)
    register: Any = None
    result: Result | None = None

    def execute(self) -> Result:
        """Run the step and tell the observers; never raises for what a task does."""
        began, at = time.monotonic(), stamp()
        view = self.run.view(self.state, self.node, self.frame)
        self.id = self._identify(view)
        self.run.emit(StepStarted(self.id, at))
        try:
            result = self._looped(view) if self.node.loop else self._single(view, None)
        except Unsure as unsure:
            result = self._unsure(unsure)
        except StepError as error:
            result = self._failed(error)
        result.started_at, result.duration_s = at, round(time.monotonic() - began, 6)
        self._ignore(result, view)
        self._keep(result)
        self.run.emit(StepFinished(result))
        return result

    def _identify(self, view: Variables) -> StepId:
        name = render_value(self.node.name, view) if self.node.name is not None else self.node.task
        if first_unknown(name) is not None:
            name = self.node.task
        name = f"{name} ({self.frame.label})" if self.frame.label else str(name)
        return StepId(self.node.index, self.play, name, self.node.task, self.state.name, self.node.where)

    def _single(self, view: Variables, item: str | None) -> Result:
        """Run once, for no item or for one."""
        for condition in self.node.effect.when:
            false = condition.first_false(view)
            if false is not None:
                self.register = registers.skipped("Conditional result was False", false)
                return Result(self.id, "skipped", reason=f"when: {false}", data=self.register, item=item)
        attempt = Attempt(self.run, self.node, self.state, self.id, item)
        try:
            result = attempt.until_done(view)
        except Unsure as unsure:
            result = self._unsure(unsure)
            self.register = Unknown(self._reason())
            result.changes, result.item = attempt.changes, item
            return result
        except StepError as error:
            result = self._failed(error)
            result.changes, result.item, result.attempts = attempt.changes, item, attempt.count
            changed = any(change["applied"] for change in attempt.changes)
            self.register = registers.failed(error.message, error.data, changed=changed)
            result.data = self.register
            if isinstance(error, Abandoned):
                self.state.over = True
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
                self.run.host_of(self.state, self.node, view).sleep(seconds(render_value(loop.pause, view), "pause"))
            inner = view.over(_loop_variables(loop.variable, loop.index, items, position))
            label = render_value(loop.label, inner) if loop.label is not None else value
            result = self._single(inner, _label(label))
            kept.append(registers.item_of(self.register, loop.variable, value))
            if self.node.register:
                self.state.facts[self.node.register] = kept[-1]
            results.append(result)
            self.run.emit(ItemFinished(result))
            if self.state.over:
                break
        self.register = registers.looped(kept)
        return _folded(self.id, results)

    def _items(self, view: Variables) -> list[Any] | None:
        loop = self.node.loop
        assert loop is not None
        try:
            items = render_value(loop.items, view)
        except TaskFailed:
            if any(condition.first_false(view) is not None for condition in self.node.effect.when):
                return None
            raise
        if isinstance(items, Unknown):
            raise Unsure(reason_of(items))
        if loop.kind == "dict" and isinstance(items, dict):
            return [{"key": key, "value": value} for key, value in items.items()]
        if loop.kind == "items" and isinstance(items, list):
            return [part for item in items for part in (item if isinstance(item, list) else [item])]
        if not isinstance(items, list | tuple):
            raise TaskFailed(
                f"loop needs a list, not {type(items).__name__}: {items!r}",
                hint='write a list, or make one: `loop: "{{ name | dict2items }}"`, `loop: "{{ [name] }}"`',
            )
        return list(items)

    def _unsure(self, unsure: Unsure) -> Result:
        self.register = Unknown(self._reason())
        self.state.facts.update(dict.fromkeys(sets(self.node), self.register))
        return Result(self.id, "unsure", reason=unsure.reason)

    def _failed(self, error: StepError) -> Result:
        self.register = registers.failed(error.message, error.data, changed=False)
        failure = Failure(type(error).__name__, error.message, error.hint)
        return Result(self.id, "failed", error=failure, data=self.register)

    def _reason(self) -> str:
        return f"depends on {self.run.label(self.node, self.id.name)}"

    def _ignore(self, result: Result, view: Variables) -> None:
        if result.status == "failed" and render_value(self.node.effect.ignore_errors, view) is True:
            result.ignored = True

    def _keep(self, result: Result) -> None:
        """Register; a skipped step does not overwrite a register that has a value."""
        name = self.node.register
        if name and not (result.status == "skipped" and name in self.state.facts):
            self.state.facts[name] = self.register


def _loop_variables(name: str, index: str | None, items: list[Any], position: int) -> dict[str, Any]:
    extended = {
        "index": position + 1,
        "index0": position,
        "first": position == 0,
        "last": position == len(items) - 1,
        "length": len(items),
        "revindex": len(items) - position,
        "revindex0": len(items) - position - 1,
        "allitems": items,
    }
    if position:
        extended["previtem"] = items[position - 1]
    if position + 1 < len(items):
        extended["nextitem"] = items[position + 1]
    return {name: items[position], "ansible_loop": extended, "ansible_loop_var": name} | (
        {index: position} if index else {}
    )


def _label(value: Any) -> str:
    return "(known after the run)" if first_unknown(value) is not None else str(value)


def _folded(step: StepId, results: list[Result]) -> Result:
    """Fold the results of the items into the step's."""
    order: tuple[Status, ...] = ("failed", "unsure", "changed", "ok", "skipped")
    statuses = {result.status for result in results}
    status: Status = next((status for status in order if status in statuses), "skipped")
    folded = Result(step, status, items=results, attempts=sum(result.attempts for result in results) or 1)
    folded.reason = "the loop list is empty" if not results else None
    if status == "unsure":
        folded.reason = next(result.reason for result in results if result.status == "unsure")
    folded.error = next((result.error for result in results if result.error), None)
    folded.notified = tuple(dict.fromkeys(name for result in results for name in result.notified))
    return folded
