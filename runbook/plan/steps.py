"""From what is written to what will be run: one step, with its task, its params and its keywords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook.errors import Invalid
from runbook.plan.context import Context, at, compiled, compiled_vars, environment, joined, texts
from runbook.plan.context import conditions as conditions_of
from runbook.plan.extras import refuse_lacking
from runbook.plan.model import Effect, Loop, StepNode
from runbook.plan.params import check_values, compile_params, written_params
from runbook.plan.validate import check_literals
from runbook.playbook.model import Include, Step
from runbook.registry import Registry, plain
from runbook.task import Params, TaskSpec
from runbook.templates import (
    compile_value,
)
from runbook.variables import Variables

META = TaskSpec("meta", "directive", Params, lambda want, view: (want, view), "Steer the run itself.")


def compile_step(
    step: Step,
    context: Context,
    registry: Registry,
    index: int,
    views: Mapping[str, Variables],
    problems: list[Invalid],
) -> StepNode:
    """Compile a step; what is wrong with its params is added to `problems`, what is wrong with the rest is raised."""
    spec = _spec(step, registry)
    refuse_lacking(spec, step)
    written, path = ({}, step.params_path) if spec is META else written_params(step, spec)
    before = len(problems)
    params = compile_params(step, spec, written, path, views, problems)
    ready, found = check_literals(spec, params.values, params.dynamic, step.document, path)
    problems += found
    node = StepNode(
        index=index,
        name=_name(step),
        task=plain(step.task),
        spec=spec,
        params=params.values,
        ready=ready,
        effect=_effect(step, context),
        where=step.document.key_where((*step.path, step.task)),
        document=step.document,
        params_path=path,
        loop=loop_of(step),
        register=step.register,
        notify=(*context.notify, *texts(step, "notify")),
        listen=tuple(step.listen),
        tags=(*context.tags, *step.tags),
        needs=params.needs,
        meta=str(step.params) if spec is META else None,
    )
    if len(problems) == before and params.dynamic:
        problems += check_values(node, views)
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
        throttle=mine.flag("throttle", default=0),
        run_once=mine.flag("run_once", default=False),
        any_errors_fatal=mine.flag("any_errors_fatal", default=False),
    )


__all__ = ["META", "compile_step", "loop_of"]
