"""One attempt at a step, and the next ones that `until` and `retries` ask for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from runbook.engine import registers
from runbook.engine.border import border
from runbook.engine.clock import seconds, within
from runbook.engine.ear import Ear
from runbook.engine.params import prepare, secrets_in
from runbook.engine.quiet import silent, undiffed
from runbook.engine.rounds import Record, look_aside, perform
from runbook.errors import StepError, TaskFailed, Unsure
from runbook.events import Failure, Notified, Result
from runbook.host import Host, Overlay
from runbook.host.guard import drive
from runbook.task import Said
from runbook.templates import Condition, render_value
from runbook.unknown import Unknown, first_unknown
from runbook.variables import Variables, folded

if TYPE_CHECKING:
    from runbook.engine.step import StepRun


class Attempt:
    """The attempts at one step, or at one item of its loop, on one host.

    `changes` are those of the last attempt, and what earlier ones have changed in a state; `register` is what is left,
    `changed` how the last one that came to its end ended, `count` how many there were.
    """

    def __init__(self, run: StepRun, item: str | None) -> None:
        self.stage, self.node, self.state, self.step, self.tell = run.stage, run.node, run.state, run.id, run.tell
        self.run, self.item = run, item
        self.changes: list[dict[str, Any]] = []
        self.register: Any = None
        self.count = 0
        self.changed = False

    def until_done(self, view: Variables) -> Result:
        """Try until it is good, or the retries are used up; what counts for its handlers is how the last one ended."""
        try:
            result = self._tried(view)
        except Unsure:
            if self.changed:
                self._notify(view)
            raise
        if result.status == "changed":
            result.notified = self._notify(view)
        return result

    def _tried(self, view: Variables) -> Result:
        """Give the last attempt's result. Ansible's `retries` come on top of the first attempt."""
        effect = self.node.effect
        host = self.stage.host_of(self.state, self.node, view)
        retries = 0
        if effect.until is not None or effect.retries is not None:
            retries = _count(render_value(effect.retries if effect.retries is not None else 3, view))
        while True:
            self.count += 1
            self.changed = False
            result = self._once(view, host)
            self.changed = result.status == "changed"
            if self.count > retries or self._good(result, view):
                return self._exhausted(result, view, retries)
            if not host.sleep(seconds(render_value(effect.delay, view), "delay")):
                raise Unsure("a run would wait and try again")

    def _good(self, result: Result, view: Variables) -> bool:
        if self.node.effect.until is None:
            return result.status != "failed"
        return self._said(self.node.effect.until, view)

    def _exhausted(self, result: Result, view: Variables, retries: int) -> Result:
        effect = self.node.effect
        if effect.until is None or result.status == "failed" or not retries or self._good(result, view):
            return result
        self.register = {**self.register, "failed": True, "attempts": self.count}
        result.data = self.register
        if effect.failed_when is None:  # which otherwise says alone when a step has failed
            result.status = "failed"
            result.error = Failure("TaskFailed", f"`until` was not true after {self.count} attempts")
            self.register.setdefault("msg", result.error.message)
        return result

    def _once(self, view: Variables, host: Host) -> Result:
        """Do it once: params, task, register, and what `changed_when` and `failed_when` make of it."""
        self.stage.check()
        kept = [] if self.node.spec.kind == "action" else [change for change in self.changes if change["applied"]]
        record = Record(kept)
        self.changes = record.changes
        said: Said | None = None
        failure: StepError | None = None
        try:
            said = self._act(view, host, record)
        except StepError as error:
            if self.node.effect.failed_when is None and not self._retried:
                raise
            failure = error
        changed: Any = any(change["applied"] for change in record.changes)
        data = said.data if said else (failure.data if failure else record.data)
        if failure:
            self.register = registers.failed(failure.message, failure.data, changed=changed)
        else:
            known = registers.registered(data, changed=changed, failed=self._doubtful(record), changes=record.changes)
            self.register = registers.labelled(known, f"depends on {self.stage.label(self.node, self.step.name)}")
        if self._retried:
            unknown = first_unknown(self.register) if host.imagined else None
            self.register["attempts"] = self.count if unknown is None else unknown
        return self._judged(view, record, said, failure)

    @property
    def _retried(self) -> bool:
        return self.node.effect.until is not None or self.node.effect.retries is not None

    def _doubtful(self, record: Record) -> Any:
        """Whether it failed is not known yet where failures are ignored and only a run can tell."""
        unknown = isinstance(record.data, dict) and any(isinstance(value, Unknown) for value in record.data.values())
        return Unknown("known after the run") if unknown and self.node.effect.ignore_errors is not False else False

    def _judged(self, view: Variables, record: Record, said: Said | None, failure: StepError | None) -> Result:
        effect, status = self.node.effect, "changed" if self.register["changed"] else "ok"
        if effect.changed_when is not None and (failure is None or effect.failed_when is not None):
            status = "changed" if self._said(effect.changed_when, view) else "ok"
            self.register["changed"] = status == "changed"
        bad = failure is not None
        reason = said.text if said else None
        if effect.failed_when is not None:
            try:
                bad = self._said(effect.failed_when, view)
            except Unsure as unsure:
                if not record.changes:
                    raise
                reason = f"whether it will fail: {unsure.reason}"
            else:
                self.register |= {"failed": bad, "failed_when_result": bad}
        result = Result(self.step, "failed" if bad else status, attempts=self.count, item=self.item)  # type: ignore[arg-type]
        result.changes, result.data, result.reason = record.changes, self.register, reason
        if bad:
            text = "failed_when: " + effect.failed_when.text if effect.failed_when and not failure else "failed"
            result.error = _failure(failure) if failure else Failure("TaskFailed", text)
            self.register.setdefault("msg", result.error.message)
        return result

    def _said(self, condition: Condition, view: Variables) -> bool:
        mine = {self.node.register: self.register} if self.node.register else {}
        try:
            return condition.evaluate(view.over(mine))
        except Unsure as unsure:
            if unsure.reason == f"depends on {self.stage.label(self.node, self.step.name)}":
                raise Unsure(f"only a run can tell whether {condition.text}") from unsure
            raise

    def _notify(self, view: Variables) -> tuple[str, ...]:
        names = tuple(str(render_value(name, view)) for name in self.node.notify)
        if names:
            self.state.notified += [name for name in names if name not in self.state.notified]
            self.tell(Notified(self.state.name, names))
        return names

    def _act(self, view: Variables, host: Host, record: Record) -> Said | None:
        """Call the plugin within the step's limits; whatever it raises fails the step."""
        node, effect = self.node, self.node.effect
        want = node.ready or prepare(node, view)
        for secret in secrets_in(want):
            self.stage.keep_secret(secret)
        limit = None if effect.timeout is None else seconds(render_value(effect.timeout, view), "timeout")
        environment: dict[str, str] = {}
        for part in effect.environment:
            environment |= _environment(render_value(part, view))
        deadline = None if limit is None else time.monotonic() + limit
        label, pending = self.stage.label(node, self.step.name), self.state.machine.host
        if isinstance(pending, Overlay) and pending.imagined and not host.imagined:
            look_aside(node.spec, want, pending.begin(label, deadline=deadline, env=environment))
        listener = Ear(self, silent=silent(node, view), undiffed=undiffed(node, view))
        host = host.begin(label, deadline=deadline, env=environment, listener=listener)
        with border(node.spec, host), listener, self.stage.listening(listener):
            if node.spec.kind == "directive":
                return within(limit, lambda: self._directive(want, view, host), listener.stop)
            within(limit, lambda: perform(node.spec, want, host, record, listener), listener.stop)
        for secret in secrets_in(record.data):  # one that a task has made is known before anything tells of it
            self.stage.keep_secret(secret)
        return None

    def _directive(self, want: Any, view: Variables, host: Host) -> Said:
        said = drive(self.node.spec.name, lambda: self.node.spec.function(want, view), _refuse)
        if not isinstance(said, Said):
            raise TaskFailed(f"{self.node.task} is a directive and must return Said(...), not {type(said).__name__}")
        if said.facts and self.node.spec.use_of("file") == "vars file":
            facts = {name: folded(value) if isinstance(value, dict) else value for name, value in said.facts.items()}
            self.state.new_included.update(facts)
        elif said.facts:
            self.state.new_facts.update(said.facts)
        if said.prompt is not None and host.sleep(0):
            self.stage.prompt(said.prompt, said.wait)
        elif said.wait:
            host.sleep(said.wait)
        return said


def _refuse(change: Any) -> None:
    raise TaskFailed(f"a directive touches no host, and yielded {change!r}")


def _failure(error: StepError) -> Failure:
    return Failure(type(error).__name__, error.message, error.hint)


def _count(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise TaskFailed(f"retries must be a whole number, not {value!r}")


def _environment(value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        return {
            str(name): item if not isinstance(item, int | float | bool) else str(item) for name, item in value.items()
        }
    raise TaskFailed(f"environment must be a mapping of names to texts, not {value!r}")
