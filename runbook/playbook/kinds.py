"""The kinds of value that keywords take: each reader gives the value in its one form, or says what to write."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeGuard

from runbook.inputs import NAME, NAME_HINT
from runbook.playbook.model import LoopControl
from runbook.source import KeyPath
from runbook.suggest import suggest
from runbook.units import Duration


class Wrong(Exception):
    """A value is not of its kind: what to write instead, and the path to the fault within the value."""

    def __init__(self, message: str, hint: str, path: KeyPath = (), *, key: bool = False) -> None:
        super().__init__(message)
        self.message, self.hint, self.path, self.key = message, hint, path, key


def is_template(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _text(name: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    written = f' "{value}"' if isinstance(value, int | float) else " something"
    raise Wrong(f"'{name}' takes a text, not {_shown(value)}", f"write `{name}:{written}`")


def _word(name: str, value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        return value
    raise Wrong(f"'{name}' takes one literal word, not {_shown(value)}", "write letters, digits, '.', '_' and '-'")


def _identifier(name: str, value: Any) -> str:
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    raise Wrong(f"'{name}' takes the name of a variable, not {_shown(value)}", NAME_HINT)


def _texts(name: str, value: Any) -> list[str]:
    return [_text(name, value)] if not isinstance(value, list) else [_each(name, i, v) for i, v in enumerate(value)]


def _each(name: str, index: int, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise Wrong(f"'{name}' takes texts, not {_shown(value)}", f"write `{name}: [one, two]`", (index,))


def _patterns(name: str, value: Any) -> list[str]:
    if value in ([], "", None):
        raise Wrong("a play needs hosts", "write `hosts: all`, a group, or `hosts: localhost`")
    return _texts(name, value)


def _tags(name: str, value: Any) -> list[str]:
    tags = [tag.strip() for text in _texts(name, value) for tag in text.split(",")]
    if not all(tags):
        raise Wrong(f"'{name}' holds an empty tag", f"write `{name}: [one, two]`")
    return tags


def _bool(name: str, value: Any) -> bool | str:
    if isinstance(value, bool) or is_template(value):
        return value
    raise Wrong(f"'{name}' takes true or false, not {_shown(value)}", f"write `{name}: true`")


def _count(name: str, value: Any) -> int | str:
    if (type(value) is int and value >= 0) or is_template(value):
        return value
    raise Wrong(f"'{name}' takes a whole number, not {_shown(value)}", f"write for example `{name}: 3`")


def _seconds(name: str, value: Any) -> float | str:
    if isinstance(value, str) and not is_template(value):
        try:
            return float(Duration.parse(value))
        except ValueError as error:
            raise Wrong(f"'{name}' takes a time, not {_shown(value)}", f"write `{name}: 30s`") from error
    if is_template(value):
        return str(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    raise Wrong(f"'{name}' takes a time, not {_shown(value)}", f"write `{name}: 30s`, or a number of seconds")


def _percentage(name: str, value: Any) -> float | str:
    number = value.strip().removesuffix("%") if isinstance(value, str) else value
    if is_template(value):
        return str(value)
    if isinstance(number, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", number):
        number = float(number)
    if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= 100:
        return float(number)
    raise Wrong(f"'{name}' takes a share from 0 to 100, not {_shown(value)}", f"write for example `{name}: 30`")


def _serial(name: str, value: Any) -> list[int | str]:
    sizes = value if isinstance(value, list) else [value]
    for index, size in enumerate(sizes):
        share = isinstance(size, str) and re.fullmatch(r"[0-9]*[1-9][0-9]*%?", size)
        if not (share or is_template(size) or (type(size) is int and size > 0)):
            path = (index,) if isinstance(value, list) else ()
            hint = f"write `{name}: 1`, `{name}: 30%` or `{name}: [1, 30%]`"
            raise Wrong(f"'{name}' takes numbers of hosts or shares of them, not {_shown(size)}", hint, path)
    if not sizes:
        raise Wrong(f"'{name}' is an empty list", f"write `{name}: 1`, or remove it")
    return [int(size) if isinstance(size, str) and size.isdigit() else size for size in sizes]


def _conditions(name: str, value: Any) -> list[str | bool]:
    conditions = value if isinstance(value, list) else [value]
    for index, condition in enumerate(conditions):
        if not isinstance(condition, bool) and not (isinstance(condition, str) and condition.strip()):
            path = (index,) if isinstance(value, list) else ()
            hint = f"write `{name}: x == 1`, or a list of such, all of which must hold"
            raise Wrong(f"'{name}' takes an expression, not {_shown(condition)}", hint, path)
    if not conditions:
        raise Wrong(f"'{name}' is an empty list", "write an expression, or remove it")
    return conditions


def _vars(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong(f"'{name}' takes a mapping, not {_shown(value)}", f"write `{name}: {{colour: blue}}`")
    for key in value:
        if not NAME.fullmatch(key):
            raise Wrong(f"'{key}' is no name for a variable", NAME_HINT, (key,), key=True)
    return value


def _environment(name: str, value: Any) -> dict[str, Any] | str:
    if is_template(value):
        return str(value)
    if not isinstance(value, dict):
        raise Wrong(f"'{name}' takes a mapping, not {_shown(value)}", f"write `{name}: {{OMP_NUM_THREADS: '1'}}`")
    for key, item in value.items():
        if isinstance(item, list | dict) or "=" in key or not key:
            raise Wrong(f"'{key}' cannot stand in an environment", "write NAME: text", (key,), key="=" in key)
    return value


def _items(name: str, value: Any) -> Any:
    if isinstance(value, list) or is_template(value):
        return value
    raise Wrong(f"'{name}' takes a list, not {_shown(value)}", f'write `{name}: [a, b]` or `{name}: "{{{{ items }}}}"`')


def _pairs(name: str, value: Any) -> Any:
    if isinstance(value, dict) or is_template(value):
        return value
    hint = f'write `{name}: {{a: 1}}` or `{name}: "{{{{ mapping }}}}"`'
    raise Wrong(f"'{name}' takes a mapping, not {_shown(value)}", hint)


_LOOP_CONTROL: dict[str, Callable[[str, Any], Any]] = {
    "loop_var": _identifier,
    "index_var": _identifier,
    "label": lambda _name, value: value,
    "pause": _seconds,
    "extended": _bool,
}


def _loop_control(name: str, value: Any) -> LoopControl:
    if not isinstance(value, dict):
        raise Wrong(f"'{name}' takes a mapping, not {_shown(value)}", f"write `{name}: {{loop_var: each}}`")
    read = {}
    for key, item in value.items():
        if key not in _LOOP_CONTROL:
            hint = suggest(key, _LOOP_CONTROL) or f"it has {', '.join(_LOOP_CONTROL)}"
            raise Wrong(f"'{name}' has no '{key}'", hint, (key,), key=True)
        try:
            read[key] = _LOOP_CONTROL[key](key, item)
        except Wrong as wrong:
            raise Wrong(wrong.message, wrong.hint, (key, *wrong.path)) from wrong
    return LoopControl(**read)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else repr(value)


# `inputs`, `steps` and `handlers` are read by the parser, which knows the document.
KINDS: dict[str, Callable[[str, Any], Any]] = {
    "text": _text,
    "word": _word,
    "identifier": _identifier,
    "texts": _texts,
    "patterns": _patterns,
    "tags": _tags,
    "bool": _bool,
    "count": _count,
    "seconds": _seconds,
    "percentage": _percentage,
    "serial": _serial,
    "conditions": _conditions,
    "vars": _vars,
    "environment": _environment,
    "items": _items,
    "pairs": _pairs,
    "loop_control": _loop_control,
}
