"""A value that only a run can tell: it flows through variables, and refuses to be looked at."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NoReturn

from runbook.errors import Unsure

# What an Unknown in a mapping turns out to be whose name is then not there at all.
ABSENT = object()
_KNOWN = frozenset({str, int, float, bool, type(None), bytes})


class Unknown:
    """What stands in a value's place until it is known.

    Operators, attributes and items give another Unknown; anything that must look at the value (bool, str,
    iteration, comparison, hash, a C function) raises `Unsure`. A soft stand-in would be silently wrong.
    """

    __slots__ = ("_get", "_why")

    def __init__(self, why: str, get: Callable[[], Any] | None = None) -> None:
        object.__setattr__(self, "_why", why)
        object.__setattr__(self, "_get", get)

    def __getattr__(self, name: str) -> Unknown:
        if name.startswith("__"):  # protocols probed by the interpreter (copy, pickle, numpy) must not succeed
            raise AttributeError(name)
        return _derived(self, lambda value: _member(value, name))

    def __getitem__(self, key: Any) -> Unknown:
        return _derived(self, lambda value: value[key])

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("an unknown value cannot be changed")

    def __call__(self, *args: Any, **kwargs: Any) -> Unknown:
        return _derived(self, lambda value: value(*args, **kwargs))


def _member(value: Any, name: str) -> Any:
    """Jinja's dot: an attribute, else an item."""
    if isinstance(value, dict) and name in value:
        return value[name]
    return getattr(value, name)


def _derived(unknown: Unknown, step: Callable[[Any], Any]) -> Unknown:
    get = object.__getattribute__(unknown, "_get")
    return Unknown(reason_of(unknown), (lambda: step(get())) if get else None)


def reason_of(unknown: Unknown) -> str:
    """Say what the value depends on."""
    reason: str = object.__getattribute__(unknown, "_why")
    return reason


def then(value: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to a value now, or as soon as it is known."""
    return _derived(value, function) if isinstance(value, Unknown) else function(value)


def force(unknown: Unknown) -> NoReturn:
    raise Unsure(reason_of(unknown))


def _forced(name: str) -> Callable[..., NoReturn]:
    def method(self: Unknown, *_: Any) -> NoReturn:
        force(self)

    method.__name__ = name
    return method


def _operator(function: Callable[..., Any], *, swapped: bool = False) -> Callable[..., Unknown]:
    def method(self: Unknown, *args: Any) -> Unknown:
        if swapped:
            return _derived(self, lambda value: function(resolved(args[0]), value))
        return _derived(self, lambda value: function(value, *map(resolved, args)))

    return method


for _name in (
    *("bool", "str", "repr", "format", "bytes", "iter", "len", "hash", "int", "float", "complex", "index"),
    *("contains", "reversed", "round", "fspath", "eq", "ne", "lt", "le", "gt", "ge"),
):
    setattr(Unknown, f"__{_name}__", _forced(f"__{_name}__"))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"):
    _function = getattr(operator, f"__{_name}__")
    setattr(Unknown, f"__{_name}__", _operator(_function))
    setattr(Unknown, f"__r{_name}__", _operator(_function, swapped=True))
for _name in ("neg", "pos", "abs"):
    setattr(Unknown, f"__{_name}__", _operator(getattr(operator, f"__{_name}__")))


def unknowns(value: Any) -> Iterator[Unknown]:
    """Yield every Unknown within a value, however deep in lists, dicts and dataclasses."""
    if isinstance(value, Unknown):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            for item in pair:
                if type(item) not in _KNOWN:
                    yield from unknowns(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            if type(item) not in _KNOWN:
                yield from unknowns(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from unknowns(getattr(value, field.name))


def first_unknown(value: Any) -> Unknown | None:
    if type(value) in _KNOWN:
        return None
    if type(value) is dict:  # the usual case, without a generator for each value
        value = [item for pair in value.items() for item in pair if type(item) not in _KNOWN]
        if not value:
            return None
    return next(unknowns(value), None)


def resolved(value: Any) -> Any:
    """Give the value with each Unknown replaced by what it stood for, where that is known by now."""
    if isinstance(value, Unknown):
        get = object.__getattribute__(value, "_get")
        if get is None:
            return value
        try:
            return resolved(get())
        except Unsure:
            return value
    if isinstance(value, dict | list | tuple) and first_unknown(value) is None:
        return value
    if isinstance(value, dict):
        known = {key: resolved(item) for key, item in value.items()}
        return {key: item for key, item in known.items() if item is not ABSENT}
    if isinstance(value, list | tuple):
        return type(value)(resolved(item) for item in value)
    return value
