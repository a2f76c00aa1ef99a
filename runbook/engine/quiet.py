"""What `no_log` and `diff: false` keep out of events, and so out of every output; registers keep it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from runbook.engine.flags import flag
from runbook.errors import StepError, Unsure
from runbook.events import Failure, Result
from runbook.plan.model import StepNode
from runbook.variables import Variables

HIDDEN = "hidden by no_log"
_HINT = "write `no_log: false` to see why, where that is safe"


def silent(node: StepNode, view: Variables) -> bool:
    """Say whether a step's values stay out of output; where the keyword itself cannot be read, they do."""
    try:
        return flag("no_log", node.effect.no_log, view) is True
    except (StepError, Unsure):
        return True


def undiffed(node: StepNode, view: Variables) -> bool:
    """Say whether a step's differences stay out of output."""
    try:
        return flag("diff", node.effect.diff, view) is False
    except (StepError, Unsure):
        return True


def quieted(result: Result, *, silent: bool, undiffed: bool) -> Result:
    """Give a result as it is told."""
    if not silent:
        return (
            replace(result, changes=quiet_changes(result.changes, silent=False, undiffed=True)) if undiffed else result
        )
    error = None if result.error is None else Failure(result.error.type, HIDDEN, _HINT)
    item = None if result.item is None else HIDDEN
    reason = result.reason if result.status in ("skipped", "unsure") else None
    changes = quiet_changes(result.changes, silent=True, undiffed=undiffed)
    return replace(result, data=None, reason=reason, error=error, item=item, changes=changes)


def quiet_changes(changes: Sequence[dict[str, Any]], *, silent: bool, undiffed: bool) -> list[dict[str, Any]]:
    """Give changes without their differences; with `silent`, a command or a request without its words too."""
    if not silent:
        return [{**change, "diff": None} for change in changes] if undiffed else list(changes)
    said = [{**change, "detail": "", "diff": None} for change in changes]
    return [{**change, "target": HIDDEN} if change["kind"] in ("run", "request") else change for change in said]
