"""What a step may change of which only a run can tell what it does: later steps of a check are unsure of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runbook.engine.params import prepared
from runbook.errors import StepError, Unsure
from runbook.host import Overlay
from runbook.host.imagined.imagining import suspect
from runbook.units import revealed
from runbook.variables import Variables

if TYPE_CHECKING:
    from runbook.engine.step import StepRun


def cast(run: StepRun, view: Variables) -> None:
    """Doubt, on the host of a check, what an unsure step says that it affects; everything, where it does not say."""
    if run.node.spec.affects is None:
        return
    host, places = run.state.machine.host, None
    with suppress(StepError, Unsure):  # which machine it is about is not known, or what the step would be told
        host = run.stage.host_of(run.state, run.node, view)
        named = [_named(run, param, view) for param in run.node.spec.affects]
        if named and None not in named:
            places = tuple(place for each in named for place in each or ())
    if isinstance(host, Overlay) and host.imagined:
        suspect(host.begin(run.stage.label(run.node, run.id.name)), places)


def _named(run: StepRun, param: str, view: Variables) -> list[str] | None:
    """Give the URLs and paths of a param; None if it is not given, or not known yet."""
    value: Any = prepared(run.node, param, run.node.params[param], view) if param in run.node.params else None
    found = [revealed(each) for each in (value if isinstance(value, list | tuple) else [value])]
    return found if all(isinstance(each, str) for each in found) else None
