"""Keywords that are true or false, which may be templates."""

from __future__ import annotations

from typing import Any

from runbook.errors import StepError, TaskFailed, Unsure
from runbook.plan.model import StepNode
from runbook.templates import render_value
from runbook.unknown import Unknown, reason_of
from runbook.variables import Variables

FLAGS = ("run_once", "any_errors_fatal", "ignore_errors", "no_log", "check_mode", "diff")


def flag(name: str, compiled: Any, view: Variables) -> bool | None:
    """Give a flag's value, None where it is not written; raises TaskFailed for what is neither true nor false."""
    if compiled is None or isinstance(compiled, bool):
        return compiled
    value = render_value(compiled, view)
    if isinstance(value, Unknown):
        raise Unsure(reason_of(value))
    if isinstance(value, bool):
        return value
    raise TaskFailed(f"{name} must be true or false, not {value!r}", hint=f"write `| bool` in the template of {name}")


def settled_flag(name: str, compiled: Any, view: Variables) -> bool:
    """Give a flag where its own error is told elsewhere: by the step, which `check_flags` fails."""
    try:
        return flag(name, compiled, view) is True
    except (StepError, Unsure):
        return False


def check_flags(node: StepNode, view: Variables) -> None:
    """Raise what is wrong with any flag of a step, or with its `throttle`; TaskFailed or Unsure."""
    for name in FLAGS:
        flag(name, getattr(node.effect, name), view)
    if node.effect.throttle:
        _throttle(node, view)


def settled_throttle(node: StepNode, view: Variables) -> int:
    """Give how many hosts may be at a step at once, 0 for as many as there are; where that is not known, one."""
    try:
        return _throttle(node, view) if node.effect.throttle else 0
    except (StepError, Unsure):
        return 1


def _throttle(node: StepNode, view: Variables) -> int:
    value = render_value(node.effect.throttle, view)
    if isinstance(value, Unknown):
        raise Unsure(reason_of(value))
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise TaskFailed(f"throttle must be a whole number of hosts, not {value!r}", hint="write for example `throttle: 1`")
