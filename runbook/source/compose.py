"""Text to YAML nodes: libyaml's composer with our own reading of scalars, and its errors in our words."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from runbook.source.place import lines_of
from runbook.source.plain import kind_of
from runbook.value import frozen

DEEPEST = 100
# What YAML allows in a stream; libyaml gives no position for the rest.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BARE_TEMPLATE = re.compile(r"(?:^|[:\-,\[])\s+(\{\{.*)$|^\s*(\{\{.*)$")
_TAB_INDENT = re.compile(r"^ *\t")


@frozen
class Fault:
    """Something refused: `line` and `column` count from 0."""

    line: int
    column: int
    message: str
    hint: str | None


class SyntaxProblem(Exception):
    """The text is no YAML."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Reading:
    """The resolver's part of a loader: a node's tag is the kind of its value; depth is bounded."""

    def __init__(self, text: str) -> None:
        super().__init__(text)  # type: ignore[call-arg] # the loader that this is mixed into takes the text
        self._kinds: dict[str, str] = {}
        self._depth = 0

    def resolve(self, kind: type, value: Any, implicit: Any) -> str:
        if kind is not yaml.ScalarNode:
            return "map" if kind is yaml.MappingNode else "list"
        if not implicit[0]:
            return "str"
        known = self._kinds.get(value)
        if known is None:
            known = self._kinds[value] = kind_of(value)
        return known

    def descend_resolver(self, parent: yaml.Node | None, _index: Any) -> None:
        self._depth += 1
        if self._depth > DEEPEST and parent is not None:  # libyaml's composer recurses on the C stack
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=parent.start_mark)

    def ascend_resolver(self) -> None:
        self._depth -= 1


class _Pure(_Reading, yaml.SafeLoader):
    """The loader where libyaml is absent: slower, otherwise the same."""


_fast: type[yaml.SafeLoader] = _Pure
if yaml.__with_libyaml__:

    class _Fast(_Reading, yaml.CSafeLoader):
        """The loader over libyaml."""

    _fast = _Fast  # type: ignore[assignment] # the two loaders share no ancestor that has `get_single_node`


@contextmanager
def uncollected() -> Iterator[None]:
    """Hold the garbage collector while many small objects are made: four times faster for a large file."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def compose(text: str, *, pure: bool = False) -> yaml.Node | None:
    """Give the root node, or None where there is only white space; raises SyntaxProblem."""
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        before = text[: unprintable.start()]
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
        hint = 'write it as an escape in double quotes: "\\x..."'
        raise SyntaxProblem(Fault(line, column, f"the character {unprintable[0]!r} cannot stand in YAML", hint))
    loader = (_Pure if pure else _fast)(text)
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise SyntaxProblem(_in_our_words(error, text)) from error
    finally:
        loader.dispose()


def _in_our_words(error: yaml.MarkedYAMLError, text: str) -> Fault:
    problem, mark = error.problem or "", error.problem_mark or error.context_mark
    assert mark is not None
    line, column = mark.line, mark.column
    lines = lines_of(text)
    here = lines[min(line, len(lines) - 1)]
    if _TAB_INDENT.match(here):
        return Fault(line, here.index("\t"), "a tab cannot indent YAML", "indent with spaces")
    bare = _bare_template(lines, line)
    if bare is not None:
        at, start, template = bare
        return Fault(at, start, "a template must be quoted", f"write {quoted(template)}")
    unclosed = "end of stream" in problem or "expected ','" in problem
    if unclosed and error.context_mark is not None:  # where it opens says more than where it was missed
        line, column = error.context_mark.line, error.context_mark.column
    for known, message, hint in _KNOWN:
        if known in problem or known in (error.context or ""):
            return Fault(line, column, message, hint)
    told = f"{problem} {error.context}" if error.context else problem
    return Fault(line, column, f"this is no YAML: {told}", None)


def _bare_template(lines: list[str], line: int) -> tuple[int, int, str] | None:
    """Find an unquoted template at or right above the line: its line, column and text."""
    for at in range(min(line, len(lines) - 1), max(line - 2, -1), -1):
        match = _BARE_TEMPLATE.search(lines[at])
        if match:
            group = 1 if match[1] else 2
            return at, match.start(group), match[group]
    return None


def quoted(template: str) -> str:
    """Write text as a YAML scalar in quotes that it does not hold itself."""
    template = template.strip()
    if '"' not in template and "\\" not in template:
        return f'"{template}"'
    return "'" + template.replace("'", "''") + "'"


_INDENT = "line it up with its neighbours; a text that holds ': ' or ' #' needs quotes"
_KNOWN = (
    ("nested too deeply", f"lists and mappings nest deeper than {DEEPEST} levels", "flatten it"),
    ("found another document", "a second document starts here", "keep one document per file: remove this '---'"),
    ("undefined alias", "this alias has no anchor", "a text that starts with * needs quotes"),
    ("duplicate anchor", "this anchor is already taken", "give it another name"),
    ("end of stream", "this quote is never closed", "close it"),
    ("unknown escape", "this is no escape in double quotes", "write \\\\ for a backslash, or use single quotes"),
    ("mapping values are not allowed", "a ':' is out of place here", _INDENT),
    ("could not find expected ':'", "a key without its ':'", "write `key: value`"),
    ("expected ',' or ']'", "this list is never closed, or lacks a comma", "write `[a, b]`"),
    ("expected ',' or '}'", "this mapping is never closed, or lacks a comma", "write `{a: 1, b: 2}`"),
    ("cannot start any token", "this character cannot start a value", "put the value in quotes"),
    ("expected key", "this is no key of the mapping above it", _INDENT),
    ("expected '-' indicator", "this is no item of the list above it", _INDENT),
    ("expected <block end>", "this does not belong to what is above it", _INDENT),
)
