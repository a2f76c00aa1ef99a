"""Conditions: `when`, `failed_when`, `changed_when`, `until`, and what `assert` is given."""

from __future__ import annotations

import re
from typing import Any

from runbook.errors import Invalid, Problems, TaskFailed, Unsure, Where
from runbook.templates.program import Program, condition_program
from runbook.templates.scope import KeyPath, Locate, Scope, Spot, failure
from runbook.templates.template import Need, placed, prepared
from runbook.templates.values import shown
from runbook.unknown import Unknown, reason_of
from runbook.value import frozen

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)


@frozen
class _Part:
    """One condition: a literal boolean, or an expression at its place."""

    text: str
    value: bool | Program
    spot: Spot

    def evaluate(self, scope: Scope) -> bool:
        if isinstance(self.value, bool):
            return self.value
        value = self.value.render(scope, self.spot)
        if value is True or value is False:
            return bool(value)
        if isinstance(value, Unknown):
            raise Unsure(reason_of(value))
        raise self._refused(value)

    def _refused(self, value: Any) -> TaskFailed:
        kind = type(value).__name__
        text = self.text if re.fullmatch(r"[\w.\[\]'\"]+", self.text) else f"({self.text})"
        if isinstance(value, list | dict | tuple):
            hint = f"ask what you mean: `{text} | length > 0`"
        elif value is None:
            hint = f"ask what you mean: `{text} is not none`, or `{text} | default(false, true)`"
        elif isinstance(value, int | float):
            hint = f"compare it: `{text} > 0`; or, for 0 and 1, `{text} | bool`"
        else:
            hint = f"write `{text} | bool` for a text such as 'yes', or compare it: `{text} == 'text'`"
        message = f"the condition `{self.text}` gives {shown(value)} ({kind}), neither true nor false"
        return failure(message, where=self.spot.at(self.text), hint=hint)


@frozen
class Condition:
    """One expression or several, all of which must be true; the first false one ends the asking."""

    parts: tuple[_Part, ...]

    @property
    def text(self) -> str:
        return " and ".join(part.text for part in self.parts) or "true"

    @property
    def needs(self) -> tuple[Need, ...]:
        """The variables that must be defined to ask; what an earlier part has made certain is left out."""
        known: frozenset[str] = frozenset()
        found: dict[str, Need] = {}
        for part in self.parts:
            if isinstance(part.value, Program):
                for need in placed(part.value, part.spot):
                    if need.name not in known:
                        found.setdefault(need.name, need)
                known |= part.value.defines
        return tuple(found.values())

    @property
    def defines(self) -> frozenset[str]:
        """The names that are certainly defined when it is true."""
        return frozenset().union(*(part.value.defines for part in self.parts if isinstance(part.value, Program)))

    def evaluate(self, scope: Scope) -> bool:
        """Say whether it holds. Raises TaskFailed for what is no boolean, Unsure where it depends on a run."""
        return self.first_false(scope) is None

    def first_false(self, scope: Scope) -> str | None:
        """Give the text of the first part that is false, None if it holds; raises as `evaluate` does."""
        return next((part.text for part in self.parts if not part.evaluate(scope)), None)


def compile_condition(value: Any, where: Where | Locate | None = None, path: KeyPath = ()) -> Condition:
    """Compile a boolean, an expression without braces, or a list of them. Raises Invalid, or Problems with all."""
    if not isinstance(value, list):
        return Condition((_part(value, Spot(where, path)),))
    parts: list[_Part] = []
    problems: list[Invalid] = []
    for index, item in enumerate(value):
        try:
            parts.append(_part(item, Spot(where, (*path, index))))
        except Problems as found:
            problems += found.problems
        except Invalid as found:
            problems.append(found)
    if problems:
        raise Problems(problems)
    return Condition(tuple(parts))


def _part(value: Any, spot: Spot) -> _Part:
    if isinstance(value, bool):
        return _Part(str(value).lower(), value, spot)
    if not isinstance(value, str):
        raise Invalid(
            f"a condition is an expression, true or false, not {shown(value)}",
            where=spot.at(""),
            hint='write it in quotes if it is an expression: "count > 0"',
        )
    text = value.strip()
    bare = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), value)
    if "{{" in bare or "{%" in bare:
        inner = re.fullmatch(r"\{\{\s*(.*?)\s*\}\}", text, re.DOTALL)
        hint = f"write the expression without braces: {inner[1]}" if inner else "write the expression without braces"
        raise Invalid(f"a condition is an expression already: {text}", where=spot.at(value), hint=hint)
    if not text:
        raise Invalid("the condition is empty", where=spot.at(value), hint="write an expression, or leave it out")
    return _Part(text, prepared(condition_program, text, spot), spot)
