"""From what is written to what will be run: one step, with its task, its params and its keywords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook.errors import Invalid, Problems, StepError, Unsure
from runbook.plan.context import Context, at, compiled, compiled_vars, environment, joined, texts
from runbook.plan.context import conditions as conditions_of
from runbook.plan.files import load_vars
from runbook.plan.model import Effect, Loop, StepNode
from runbook.plan.validate import check_literals, problems_of
from runbook.playbook.model import Include, Step
from runbook.registry import Registry, plain
from runbook.task import Params, TaskSpec
from runbook.templates import Template, compile_condition, compile_text, compile_value, needs_of, render_value
from runbook.unknown import Unknown, first_unknown
from runbook.variables import OMIT, Variables

META = TaskSpec("meta", "directive", Params, lambda want, view: (want, view), "Steer the run itself.")


def compile_step(
    step: Step, context: Context, registry: Registry, index: int, views: Mapping[str, Variables]
) -> StepNode:
    """Compile a step; raises Problems with everything that is wrong with it."""
    problems: list[Invalid] = []
    spec = _spec(step, registry)
    params, path = _params(step, spec)
    effect, loop = _effect(step, context), loop_of(step)
    values = _compile_params(step, spec, params, path, views, problems)
    dynamic = {name for name, value in values.items() if value is not params.get(name)}
    dynamic = {name for name in dynamic if spec.use_of(name) in (None, "template file", "controller path")}
    literals = {name: value for name, value in values.items() if name not in dynamic}
    ready, found = check_literals(spec, values, dynamic, step.document, path)
    problems += found
    node = StepNode(
        index=index,
        name=_name(step),
        task=plain(step.task),
        spec=spec,
        params=values,
        ready=ready if len(literals) == len(values) else None,
        effect=effect,
        where=step.document.key_where((*step.path, step.task)),
        document=step.document,
        params_path=path,
        loop=loop,
        register=step.register,
        notify=(*context.notify, *texts(step, "notify")),
        listen=tuple(step.listen),
        tags=(*context.tags, *step.tags),
        meta=str(step.params) if spec is META else None,
    )
    if not problems and dynamic:
        problems += _check_values(node, views)
    if problems:
        raise Problems(problems)
    return node


def _spec(step: Step, registry: Registry) -> TaskSpec:
    if plain(step.task) == "meta":
        return META
    try:
        return registry.spec(step.task)
    except Invalid as error:
        if error.where:
            raise
        raise step.document.problem(error.message, (*step.path, step.task), key=True, hint=error.hint) from error


def _params(step: Step, spec: TaskSpec) -> tuple[dict[str, Any], tuple[str | int, ...]]:
    """Give a step's params as a mapping; a bare text stands for the param that the task calls `free`."""
    written, path = step.params, step.params_path
    if spec is META or written is None:
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


def _compile_params(
    step: Step,
    spec: TaskSpec,
    params: Mapping[str, Any],
    path: tuple[str | int, ...],
    views: Mapping[str, Variables],
    problems: list[Invalid],
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in params.items():
        inner = (*path, name) if isinstance(step.params, dict) else path

        def where(rest: tuple[str | int, ...] = (), *, offset: int = 0, inner: tuple[str | int, ...] = inner) -> Any:
            return step.document.where((*inner, *rest), offset=offset)

        try:
            use = spec.use_of(name)
            if use == "conditions":
                values[name] = compile_condition(value, where())
            elif use == "expression":
                values[name] = compile_text("{{ " + str(value) + " }}", where())
            elif use == "vars file":
                values[name] = load_vars(step, value, inner, views)
            else:
                values[name] = compile_value(value, where)
        except Problems as error:
            problems += error.problems
        except Invalid as error:
            problems.append(error)
    return values


def _name(step: Step) -> Any:
    return None if step.name is None else compiled(step, "name", step.name)


def loop_of(step: Step | Include) -> Loop | None:
    """Compile the loop of a step or an include."""
    if step.loop is None:
        return None
    control = step.loop_control
    keyword = step.loop_keyword if isinstance(step, Step) else "loop"
    items = compile_value(step.loop, at(step, keyword))
    if control is None:
        return Loop(items, step.loop_kind)
    return Loop(
        items,
        step.loop_kind,
        control.loop_var,
        control.index_var,
        compiled(step, "loop_control", control.label),
        compiled(step, "loop_control", control.pause) or 0,
    )


def _effect(step: Step, context: Context) -> Effect:
    mine = context.within(step)
    return Effect(
        when=(*context.when, *conditions_of(step, "when")),
        vars=(compiled_vars(step), *context.vars) if step.vars else context.vars,
        environment=(*context.environment, *environment(step)),
        until=joined(step, "until"),
        retries=compiled(step, "retries", step.retries),
        delay=compiled(step, "delay", step.delay) if step.delay is not None else 5,
        failed_when=joined(step, "failed_when"),
        changed_when=joined(step, "changed_when"),
        ignore_errors=mine.flag("ignore_errors", default=False),
        no_log=mine.flag("no_log", default=False),
        check_mode=mine.flag("check_mode", default=None),
        diff=mine.flag("diff", default=None),
        timeout=mine.flag("timeout", default=None),
        delegate_to=mine.flag("delegate_to", default=None),
        run_once=mine.flag("run_once", default=False),
        any_errors_fatal=mine.flag("any_errors_fatal", default=False),
    )


def _check_values(node: StepNode, views: Mapping[str, Variables]) -> list[Invalid]:
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
            if all(view.get(need.name) is not Ellipsis and _there(view, need.name) for need in needs_of(value)):
                problems.append(node.document.problem(error.message, (*node.params_path, name), hint=error.hint))
            continue
        if first_unknown(rendered) is not None or node.spec.use_of(name) == "template file":
            unknown.add(name)
        elif rendered is not OMIT:
            values[name] = rendered
    return values, unknown


def _there(view: Variables, name: str) -> bool:
    return name in set(view.names())


__all__ = ["META", "Template", "compile_step", "loop_of"]
