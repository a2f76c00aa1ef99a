"""Templates that only name variables, `{{ a.b[0] }}` between literal parts, rendered without Jinja."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runbook.templates.scope import MISSING, Scope
from runbook.templates.values import joined
from runbook.unknown import Unknown
from runbook.value import frozen

GLOBALS = frozenset({"dict", "lookup", "namespace", "q", "query", "range"})
"""The functions that every template has; a variable of the same name wins."""

_WORDS = frozenset({"true", "false", "none", "True", "False", "None"})
_WORDS |= {"and", "or", "not", "in", "is", "if", "else", "loop", "self", "caller", "varargs", "kwargs"}

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_STEP = r"\.[A-Za-z][A-Za-z0-9_]*|\[\d{1,9}\]|\['[\w.\- ]*'\]|\[\"[\w.\- ]*\"\]"
_DOTTED = rf"{_NAME}(?:{_STEP})*"
_EXPRESSION = re.compile(rf"\{{\{{\s*({_DOTTED})\s*\}}\}}", re.ASCII)
_CONDITION = re.compile(rf"\s*(not\s+)?({_DOTTED})(?:\s+is\s+(not\s+)?(defined|undefined))?\s*", re.ASCII)
_STEPS = re.compile(_STEP, re.ASCII)
_BRACE = re.compile(r"\{[{%#]")


class _Slow:
    """What cannot be said here without Jinja."""


SLOW = _Slow()


@frozen
class Path:
    """A variable and the way into it; `offset` is where it stands in its text."""

    root: str
    steps: tuple[str | int, ...]
    offset: int

    def get(self, scope: Scope) -> Any:
        """Give the value, MISSING for a variable that is not defined, SLOW where Jinja has to decide."""
        value = scope.get(self.root)
        for step in self.steps:
            value = _step(value, step)
            if value is SLOW:
                return SLOW
        return value


def _step(value: Any, step: str | int) -> Any:
    kind = type(value)
    if kind is dict or isinstance(value, Mapping):
        return value.get(step, SLOW)
    if kind is list and isinstance(step, int):
        return value[step] if step < len(value) else SLOW
    if kind is Unknown:
        return getattr(value, step) if isinstance(step, str) and step.isidentifier() else value[step]
    return SLOW


@frozen
class PlainText:
    """A text of literal parts and paths; a path with nothing around it keeps its value's type."""

    parts: tuple[str | Path, ...]
    single: Path | None

    def render(self, scope: Scope) -> Any:
        """Give the value, or SLOW."""
        if self.single is not None:
            value = self.single.get(scope)
            return SLOW if value is MISSING else value
        values: list[Any] = []
        for part in self.parts:
            value = part if isinstance(part, str) else part.get(scope)
            if value is MISSING or value is SLOW:
                return SLOW
            values.append(value)
        return joined(values)


@frozen
class PlainCondition:
    """`name`, `not name`, `name is defined` and `name is not defined`."""

    path: Path
    negated: bool
    asks: bool

    def render(self, scope: Scope) -> Any:
        """Give a boolean, or SLOW."""
        value = self.path.get(scope)
        if self.asks and value is not SLOW and not isinstance(value, Unknown):
            return (value is not MISSING) is not self.negated
        if value is True or value is False:
            return value is not self.negated
        return SLOW


def plain_text(text: str) -> PlainText | None:
    """Parse a template that only names variables; None if it does more."""
    pieces = _EXPRESSION.split(text)
    if len(pieces) == 1 or "\r" in text:
        return None
    parts: list[str | Path] = []
    offset = 0
    for match in _EXPRESSION.finditer(text):
        parts += [text[offset : match.start()], _path(match[1], match.start(1))]
        offset = match.end()
    parts.append(text[offset:])
    literal = [part for part in parts if isinstance(part, str)]
    paths = [part for part in parts if isinstance(part, Path)]
    # A brace before an expression would be read with it: `{{{ a }}}` is a dict.
    if any(_BRACE.search(part) or part.endswith("{") for part in literal) or any(map(_reserved, paths)):
        return None
    single = paths[0] if len(paths) == 1 and not "".join(literal) else None
    return PlainText(tuple(part for part in parts if part != ""), single)


def plain_condition(text: str) -> PlainCondition | None:
    """Parse a condition that only asks for a variable; None if it does more."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        return None
    path = _path(match[2], match.start(2))
    if _reserved(path):
        return None
    negated = bool(match[1]) ^ bool(match[3]) ^ (match[4] == "undefined")
    return PlainCondition(path, negated, match[4] is not None)


def _reserved(path: Path) -> bool:
    return path.root in _WORDS or path.root in GLOBALS


def _path(text: str, offset: int) -> Path:
    root, found = text, _STEPS.search(text)
    if found is not None:
        root = text[: found.start()]
    steps = [step[1:] if step[0] == "." else step[1:-1] for step in _STEPS.findall(text)]
    return Path(root, tuple(int(step) if step.isdigit() else step.strip("'\"") for step in steps), offset)
