"""Hints speak of a task's params; where a playbook has made inputs of these, they name the inputs too."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from runbook.plan.model import StepNode
from runbook.templates import Template

QUOTED = re.compile(r"`([a-z_]+)(?::[^`]*)?`")


def with_inputs(hint: str | None, node: StepNode, inputs: Collection[str]) -> str | None:
    """Add to a hint by which input each param is given that it speaks of; one of the same name speaks for itself."""
    if hint is None:
        return None
    told: dict[str, str] = {}
    for param in QUOTED.findall(hint):
        made_of = set(_names(node.params.get(param)))
        if len(made_of) == 1 and (name := made_of.pop()) in inputs and name != param:
            told[param] = f"`{param}` is given here by -e {name}=..."
    return f"{hint}; {', '.join(told.values())}" if told else hint


def _names(value: Any) -> Iterator[str]:
    """Yield the variables that a param is made of."""
    if isinstance(value, Template):
        yield from (need.name for need in value.needs)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _names(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _names(item)
