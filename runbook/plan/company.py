"""Inputs that are required unless others are given, or that exclude each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from runbook.errors import Invalid, StepError, Unsure
from runbook.inputs import Input
from runbook.plan.layers import excerpt_of
from runbook.plan.model import Node, flat
from runbook.playbook.model import Play
from runbook.variables import Variables


def check_company(play: Play, nodes: Sequence[Node], views: Iterable[Variables]) -> list[Invalid]:
    """Find inputs none of which was given, and those that were given together and must not be; each once.

    A play of which the tags take no step needs none.
    """
    found: dict[str, Invalid] = {}
    related = any(asked.required_unless or asked.excludes for asked in play.inputs.values())
    if not related or not flat(nodes):
        return []
    for view in views:
        given = {name for name in play.inputs if _value(view, name) is not None}
        for message, asked, hint in _faults(play.inputs, given):
            new = Invalid(message, where=asked.where, hint=hint, excerpt=excerpt_of(play, asked.where))
            found.setdefault(message, new)
    return list(found.values())


def _value(view: Variables, name: str) -> Any:
    try:
        return view.get(name)
    except (StepError, Unsure) as error:  # it is told elsewhere, and was given
        return error


def _faults(inputs: dict[str, Input], given: set[str]) -> Iterator[tuple[str, Input, str]]:
    for name, asked in inputs.items():
        if asked.required_unless and given.isdisjoint({name, *asked.required_unless}):
            names = [each for each in inputs if each == name or each in asked.required_unless]
            yield f"one of the inputs {_joined(names)} is required", asked, _either(names)
        for other in asked.excludes if name in given else ():
            if other in given:
                names = [each for each in inputs if each in {name, other}]
                yield f"the inputs {_joined(names, 'and')} exclude each other", asked, _either(names)


def _joined(names: list[str], word: str = "or") -> str:
    return f"{', '.join(map(repr, names[:-1]))} {word} {names[-1]!r}"


def _either(names: list[str]) -> str:
    return f"pass {' or '.join(f'-e {name}=...' for name in names)}; --help says what they are"
