"""How large an operand may be, so that a line of playbook text cannot fill the memory."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from runbook.errors import TaskFailed
from runbook.templates.values import LIMIT, too_large
from runbook.unknown import Unknown

BITS = 10_000
"""The most bits that a whole number may grow to."""

_DIGITS = re.compile(r"\d+")
_PERCENT = re.compile(r"%(?:\([^)]*\))?([#0\- +]*(?:\d+|\*)?(?:\.(?:\d+|\*))?)")
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "*": operator.mul,
    "**": operator.pow,
    "%": operator.mod,
}


def operate(symbol: str, left: Any, right: Any) -> Any:
    """Compute `left symbol right`, refusing a result that would be too large; TypeError as Python raises it."""
    if type(left) is not Unknown and type(right) is not Unknown:
        _CHECKS.get(symbol, _nothing)(left, right)
    result = _OPERATORS[symbol](left, right)
    if symbol == "+" and isinstance(result, str | list | tuple) and len(result) > LIMIT:
        raise too_large("the sum")
    return result


def _nothing(_left: Any, _right: Any) -> None:
    """Any operands will do."""


def _product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _bits(left.bit_length() + right.bit_length())
    for items, count in ((left, right), (right, left)):
        if isinstance(items, str | bytes | Sequence) and isinstance(count, int) and len(items) * count > LIMIT:
            raise too_large("the product")


def _power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _bits(left.bit_length() * right)


def _bits(count: int) -> None:
    if count > BITS:
        raise TaskFailed(f"the number would have more than {BITS:,} bits")


def percent(text: Any, _values: Any = None) -> None:
    """Check the widths in a `%` format, which has to write them as digits."""
    if not isinstance(text, str | bytes):
        return
    widths = _PERCENT.findall(text if isinstance(text, str) else text.decode("latin-1"))
    if any("*" in width for width in widths):
        raise TaskFailed("a `%` format with `*` takes its width from a value", hint="write the width as digits")
    _width(*widths)


def spec(text: str) -> None:
    """Check the widths in a `{:...}` format."""
    _width(text)


def _width(*texts: str) -> None:
    if sum(int(digits[:12]) for text in texts for digits in _DIGITS.findall(text)) > LIMIT:
        raise too_large("the formatted text")


_CHECKS: Mapping[str, Callable[[Any, Any], None]] = {"*": _product, "**": _power, "%": percent}


def method(owner: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Check a call of a method of a text or number: widths, and what `join` and `replace` multiply."""
    numbers = [value for value in chain(args, kwargs.values()) if isinstance(value, int)]
    if name == "expandtabs" and isinstance(owner, str):
        numbers = [owner.count("\t") * number for number in numbers or [8]]
    elif name in ("join", "replace") and isinstance(owner, str):
        numbers = [_join(owner, args[0])] if name == "join" and args else [_replace(owner, *args[:2])]
    elif name == "translate":
        raise TaskFailed("`translate` is not available in templates", hint="write `| replace(old, new)`")
    if any(abs(number) > LIMIT for number in numbers):
        raise too_large(f"the result of `{name}`")


def _join(separator: str, items: Any) -> int:
    return len(separator) * len(items) if isinstance(items, list | tuple | str | dict) else 0


def _replace(text: Any, old: Any = "", new: Any = "", *_: Any) -> int:
    if not (isinstance(text, str) and isinstance(old, str) and isinstance(new, str)):
        return 0
    return len(text) + text.count(old) * max(len(new) - len(old), 0)


def _indent(text: Any, width: Any = 4, *_: Any) -> int:
    wide = len(width) if isinstance(width, str) else width
    return (text.count("\n") + 1) * wide if isinstance(text, str) and isinstance(wide, int) else 0


def _first(_value: Any, size: Any = 0, *_: Any) -> int:
    return size if isinstance(size, int) else 0


def _wrap(text: Any, _width: Any = 79, _break: Any = None, wrapstring: Any = None, *_: Any) -> int:
    return (len(text) + 1) * len(wrapstring) if isinstance(text, str) and isinstance(wrapstring, str) else 0


def _round(_value: Any, precision: Any = 0, *_: Any) -> int:
    return LIMIT + 1 if isinstance(precision, int) and abs(precision) > 300 else 0


_SIZES: Mapping[str, tuple[Callable[..., int], tuple[str, ...]]] = {
    "batch": (_first, ("linecount",)),
    "center": (_first, ("width",)),
    "indent": (_indent, ("width",)),
    "join": (lambda items, sep="", *_: _join(sep, items) if isinstance(sep, str) else 0, ("d",)),
    "replace": (_replace, ("old", "new")),
    "round": (_round, ("precision",)),
    "slice": (_first, ("slices",)),
    "to_nice_json": (_first, ("indent",)),
    "to_nice_yaml": (_first, ("indent",)),
    "tojson": (_first, ("indent",)),
    "wordwrap": (_wrap, ("width", "break_long_words", "wrapstring")),
}


def sizes(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Check the arguments of a filter that can make much out of little."""
    if name == "format":
        percent(args[0])
    if name in _SIZES:
        estimate, names = _SIZES[name]
        given = [*args]
        for position, key in enumerate(names, 1):
            if key in kwargs and len(given) == position:
                given.append(kwargs[key])
        if name == "wordwrap" and "wrapstring" in kwargs:
            given = [args[0], 79, True, kwargs["wrapstring"]]
        if estimate(*given) > LIMIT:
            raise too_large(f"the result of the filter {name!r}")
