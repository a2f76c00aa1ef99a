"""From a step's compiled params to the typed values its task is called with."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from runbook.errors import Invalid, TaskFailed, Unsure
from runbook.plan.model import StepNode
from runbook.plan.validate import problems_of
from runbook.task import Params
from runbook.templates import render_value
from runbook.unknown import first_unknown, reason_of
from runbook.variables import Variables


class Omit:
    """What `{{ omit }}` gives: the param is left out, as if it had not been written."""

    def __repr__(self) -> str:
        return "omit"


OMIT = Omit()


def prepare(node: StepNode, view: Variables) -> Params:
    """Render and validate a step's params; a value that is not known yet makes the step unsure."""
    values: dict[str, Any] = {}
    for name, compiled in node.params.items():
        value = compiled if node.spec.use_of(name) == "expression" else render_value(compiled, view)
        if value is not OMIT:
            values[name] = value
    unknown = first_unknown(values)
    if unknown is not None:
        raise Unsure(reason_of(unknown))
    try:
        return node.spec.params.model_validate(values)
    except ValidationError as error:
        found = problems_of(error, node.spec, node.document, node.params_path)
        raise TaskFailed("; ".join(problem.message for problem in found), hint=_places(found)) from error


def _places(problems: list[Invalid]) -> str:
    hints = [problem.hint for problem in problems if problem.hint]
    return hints[0] if hints else f"written at {problems[0].where}"
