"""The params of a step: compiled, checked where they are literal, and on each host as far as that is possible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runbook.errors import Invalid, Problems, StepError, Unsure, Where
from runbook.plan.files import beside, label_of, load_vars
from runbook.plan.model import StepNode
from runbook.plan.validate import problems_of
from runbook.playbook.model import Step
from runbook.task import Asked, TaskSpec
from runbook.templates import (
    MISSING,
    Need,
    Template,
    compile_condition,
    compile_text,
    compile_value,
    needs_of,
    render_value,
    text_template_needs,
)
from runbook.unknown import Unknown, first_unknown
from runbook.value import frozen
from runbook.variables import OMIT, Lazy, Variables


@frozen
class Compiled:
    """A step's compiled params; `dynamic` are those whose values are worked out in the run."""

    values: dict[str, Any]
    dynamic: set[str]
    needs: tuple[Need, ...]


def written_params(step: Step, spec: TaskSpec) -> tuple[dict[str, Any], tuple[str | int, ...]]:
    """Give a step's params as a mapping; a bare text stands for the param that the task calls `free`."""
    written, path = step.params, step.params_path
    if written is None:
        return {}, path
    if isinstance(written, dict):
        return written, path
    if spec.free:
        return {spec.free: written}, path
    raise step.document.problem(
        f"the params of {spec.name} must be a mapping, not {written!r}",
        path,
        hint=f"write `{step.task}: {{param: value}}`; `runbook tasks {spec.name}` lists the params",
    )


def compile_params(
    step: Step,
    spec: TaskSpec,
    params: Mapping[str, Any],
    path: tuple[str | int, ...],
    views: Mapping[str, Variables],
    problems: list[Invalid],
) -> Compiled:
    """Compile params, each as its use asks; syntax errors and missing files are added to `problems`."""
    values: dict[str, Any] = {}
    dynamic: set[str] = set()
    needs: tuple[Need, ...] = ()
    for name, value in params.items():
        inner = (*path, name) if isinstance(step.params, dict) else path

        def where(rest: tuple[str | int, ...] = (), *, offset: int = 0, inner: tuple[str | int, ...] = inner) -> Any:
            return step.document.where((*inner, *rest), offset=offset)

        try:
            use = spec.use_of(name)
            if use == "conditions":
                values[name] = compile_condition(value, where())
            elif use == "expression":
                values[name] = _expression(value, where())
            elif use == "vars file":
                values[name] = load_vars(step, value, inner, views)
            else:
                values[name] = compile_value(value, where)
                if values[name] is not value or use is not None:
                    dynamic.add(name)
                if use == "template file" and isinstance(value, str):
                    needs += _file_needs(step, values[name], inner)
        except Problems as error:
            problems += error.problems
            dynamic.add(name)
        except Invalid as error:
            problems.append(error)
            dynamic.add(name)
    return Compiled(values, dynamic, needs)


def _file_needs(step: Step, name: Any, path: tuple[str | int, ...]) -> tuple[Need, ...]:
    """Give the variables that a template file needs, where its name is written literally."""
    if not isinstance(name, str):
        return ()
    file = beside(step.document, name, "templates")
    try:
        return text_template_needs(file.read_text(encoding="utf-8"), label_of(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise step.document.problem(f"the template {label_of(file)}: {reason.lower()}", path) from error


def _expression(value: Any, where: Where) -> Asked:
    """Compile an expression that is written without braces; its places are those of the text as written."""
    if not isinstance(value, str):
        raise Invalid(f"an expression is a text, not {value!r}", where=where, hint="write a variable's name, in quotes")
    compiled_text = compile_text("{{ " + value + " }}", replace(where, column=where.column - len("{{ ")))
    assert isinstance(compiled_text, Template)
    return Asked(value, compiled_text)


def check_values(node: StepNode, views: Mapping[str, Variables]) -> list[Invalid]:
    """Validate templated params on each host, as far as their values are known before the run."""
    from pydantic import ValidationError

    problems: list[Invalid] = []
    for view in views.values():
        inner = view.over(*node.effect.vars)
        if node.loop:
            inner = inner.over({node.loop.variable: Unknown("the loop's item"), "ansible_loop": Unknown("the loop")})
        if not _may_run(node, inner):
            continue
        values, unknown = _known(node, inner, problems)
        try:
            node.spec.params.model_validate(values)
        except ValidationError as error:
            problems += problems_of(error, node.spec, node.document, node.params_path, unknown)
    return problems


def _may_run(node: StepNode, view: Variables) -> bool:
    try:
        return all(condition.first_false(view) is None for condition in node.effect.when)
    except Unsure:
        return not node.effect.when  # guarded by something that only the run can tell
    except StepError:
        return False  # the condition's own fault is found when it is met, or by its undefined names


def _known(node: StepNode, view: Variables, problems: list[Invalid]) -> tuple[dict[str, Any], set[str]]:
    values: dict[str, Any] = {}
    unknown: set[str] = set()
    for name, value in node.params.items():
        if node.spec.use_of(name) in ("expression", "conditions", "vars file"):
            values[name] = value
            continue
        try:
            rendered = render_value(value, view)
        except StepError as error:
            unknown.add(name)
            if all(_there(view, need.name) for need in needs_of(value)):
                problems.append(node.document.problem(error.message, (*node.params_path, name), hint=error.hint))
            continue
        if first_unknown(rendered) is not None or node.spec.use_of(name) == "template file":
            unknown.add(name)
        elif rendered is not OMIT:
            values[name] = rendered
    return values, unknown


def _there(view: Variables, name: str, seen: frozenset[str] = frozenset()) -> bool:
    """Say whether a variable is known before the run, and all that it is made of."""
    value = next((layer[name] for layer in view.layers if name in layer), MISSING)
    inner = needs_of(value.compiled) if isinstance(value, Lazy) else ()
    return value is not MISSING and all(_there(view, n.name, seen | {name}) for n in inner if n.name not in seen)
