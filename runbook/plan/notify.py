"""Handlers before the run: every name that is notified means one, and each has a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook.errors import Invalid, StepError, Unsure
from runbook.plan.model import PlannedPlay, StepNode, flat
from runbook.plan.tree import name_of_handler
from runbook.suggest import suggest
from runbook.templates import render_value
from runbook.unknown import first_unknown
from runbook.variables import Variables


def check_handlers(play: PlannedPlay, views: Mapping[str, Variables]) -> list[Invalid]:
    """Find notified handlers that do not exist, and handlers whose names are not known or not their own."""
    problems: list[Invalid] = []
    for view in views.values():
        there = {topic for handler in play.handlers for topic in handler.listen}
        for handler in play.handlers:
            try:
                name = name_of_handler(handler, view)
            except (StepError, Unsure):
                hint = "make it from inputs, inventory and vars"
                problems.append(_of_name(handler, "the handler's name is not known before the run", hint))
                continue
            if name in there and handler.name is not None:
                hint = "give each a name of its own; `listen:` is for several that are told together"
                problems.append(_of_name(handler, f"the name {name!r} of this handler is taken", hint))
            there.add(name)
        for step in (*flat(play.nodes), *play.handlers):
            for position, wanted in enumerate(step.notify):
                found = _notified(step, position, wanted, there, view)
                problems += [] if found is None else [found]
    return problems


def _of_name(handler: StepNode, message: str, hint: str) -> Invalid:
    return handler.document.problem(message, (*handler.params_path[:-1], "name"), hint=hint)


def _notified(step: StepNode, position: int, wanted: Any, there: set[str], view: Variables) -> Invalid | None:
    path = (*step.params_path[:-1], "notify")
    if isinstance(step.document.get(path), list):
        path = (*path, position)
    try:
        name = render_value(wanted, view.over(*step.effect.vars))
    except StepError as error:
        return step.document.problem(error.message, path, hint=error.hint)
    if first_unknown(name) is not None:
        hint = "make it from inputs, inventory and vars"
        return step.document.problem("the handler's name is not known before the run", path, hint=hint)
    if name in there:
        return None
    hint = suggest(str(name), there) or f"the handlers of this play: {', '.join(sorted(there)) or 'none'}"
    return step.document.problem(f"there is no handler {name!r}", path, hint=hint)
