"""From a step's compiled params to the typed values its task is called with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from runbook.errors import Invalid, TaskFailed, Unsure
from runbook.plan.files import beside, label_of
from runbook.plan.model import StepNode
from runbook.plan.validate import problems_of
from runbook.task import Params, Rendered
from runbook.templates import render_text_template, render_value
from runbook.units import Secret
from runbook.unknown import Unknown, first_unknown, reason_of
from runbook.variables import OMIT, Variables


def prepare(node: StepNode, view: Variables) -> Params:
    """Render and validate a step's params; a value that is not known yet makes the step unsure."""
    values: dict[str, Any] = {}
    for name, compiled in node.params.items():
        value = prepared(node, name, compiled, view)
        if value is not OMIT:
            values[name] = value
    # a name of the user's own, which `set_fact` takes, may be given what is not known yet; a declared param may not
    free = node.spec.params.model_config.get("extra") == "allow"
    unknown = first_unknown({name: value for name, value in values.items() if not free or node.spec.field(name)})
    if unknown is not None:
        raise Unsure(reason_of(unknown))
    try:
        want = node.spec.params.model_validate(values)
    except ValidationError as error:
        found = problems_of(error, node.spec, node.document, node.params_path)
        raise TaskFailed("; ".join(problem.message for problem in found), hint=_places(found)) from error
    return want


def prepared(node: StepNode, name: str, compiled: Any, view: Variables) -> Any:
    """Give a param's value as its use asks: as compiled, rendered, or as a file of the controller."""
    use = node.spec.use_of(name)
    if use in ("expression", "conditions", "vars file"):
        return compiled
    value = render_value(compiled, view)
    if value is OMIT or not isinstance(value, str):
        return value
    if use == "controller path":
        path = os.path.abspath(beside(node.document, value, "files"))
        return f"{path}/" if value.endswith("/") else path  # which says that a folder's content is meant
    return _rendered(node, value, view) if use == "template file" else value


def _rendered(node: StepNode, name: str, view: Variables) -> Any:
    path = beside(node.document, name, "templates")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskFailed(f"cannot read the template {path}: {error}") from error
    rendered = render_text_template(text, label_of(path), view)
    return rendered if isinstance(rendered, Unknown) else Rendered(str(path), rendered)


def secrets_in(value: Any) -> Iterator[Secret]:
    """Yield the secrets within params, so that no output shows them."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Params):
        for item in vars(value).values():
            yield from secrets_in(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from secrets_in(item)


def _places(problems: list[Invalid]) -> str:
    hints = [problem.hint for problem in problems if problem.hint]
    return hints[0] if hints else f"written at {problems[0].where}"
