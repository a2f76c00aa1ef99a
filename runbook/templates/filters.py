"""Filters over lists, mappings and what may be absent; `OURS` is all that playbooks have beside Jinja's own."""

# ruff: noqa: FBT001, FBT002 - playbooks may pass these by position, as they do to Ansible's

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product, zip_longest
from math import prod
from typing import Any

from jinja2.environment import Environment
from jinja2.filters import do_unique
from jinja2.runtime import Undefined
from jinja2.utils import pass_environment

from runbook.errors import TaskFailed
from runbook.templates import formats, text
from runbook.templates.values import LIMIT, too_large

_MERGES = ("replace", "keep", "append", "prepend", "append_rp", "prepend_rp")


def default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """Give another value for one that is not defined; with `boolean`, for one that is empty or false too."""
    return default_value if isinstance(value, Undefined) or (boolean and not value) else value


def mandatory(value: Any, msg: str | None = None) -> Any:
    """Refuse a value that is not defined, with a message."""
    if isinstance(value, Undefined):
        if msg is not None:
            raise TaskFailed(str(msg))
        str(value)
    return value


def combine(*mappings: Any, recursive: bool = False, list_merge: str = "replace") -> dict[Any, Any]:
    """Merge mappings, later ones over earlier ones; `recursive` merges within, `list_merge` says how lists go."""
    if list_merge not in _MERGES:
        raise ValueError(f"there is no list_merge {list_merge!r}; write one of {', '.join(_MERGES)}")
    merged: dict[Any, Any] = {}
    for mapping in (part for given in mappings for part in (given if isinstance(given, list) else [given])):
        if not isinstance(mapping, Mapping):
            raise TypeError(f"combine takes mappings, not {type(mapping).__name__}")
        merged = _merged(merged, mapping, list_merge, recursive=recursive)
    return merged


def _merged(low: Mapping[Any, Any], high: Mapping[Any, Any], list_merge: str, *, recursive: bool) -> dict[Any, Any]:
    merged = dict(low)
    for key, value in high.items():
        old = merged.get(key)
        if recursive and isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(old, value, list_merge, recursive=True)
        elif isinstance(old, list) and isinstance(value, list):
            merged[key] = _lists(old, value, list_merge)
        else:
            merged[key] = value
    return merged


def _lists(old: list[Any], new: list[Any], how: str) -> list[Any]:
    if how in ("replace", "keep"):
        return new if how == "replace" else old
    if how == "append":
        return old + new
    if how == "prepend":
        return new + old
    rest = [item for item in old if item not in new]
    return rest + new if how == "append_rp" else new + rest


def dict2items(value: Any, key_name: str = "key", value_name: str = "value") -> list[dict[str, Any]]:
    """Give a mapping as a list of `{key, value}`."""
    if not isinstance(value, Mapping):
        raise TypeError(f"dict2items takes a mapping, not {type(value).__name__}")
    return [{key_name: key, value_name: item} for key, item in value.items()]


def items2dict(value: Any, key_name: str = "key", value_name: str = "value") -> dict[Any, Any]:
    """Give a list of `{key, value}` as a mapping."""
    if not isinstance(value, list):
        raise TypeError(f"items2dict takes a list, not {type(value).__name__}")
    try:
        return {item[key_name]: item[value_name] for item in value}
    except (KeyError, TypeError) as error:
        raise ValueError(f"each item needs {key_name!r} and {value_name!r}") from error


def ternary(value: Any, true_val: Any, false_val: Any, none_val: Any = None) -> Any:
    """Give the first of two values if the condition is true; `none_val`, where it is given, if it is None."""
    if value is None and none_val is not None:
        return none_val
    return true_val if value else false_val


@pass_environment
def unique(environment: Environment, value: Any, case_sensitive: Any = None, attribute: Any = None) -> list[Any]:
    """Leave out repetitions; the first of each stays."""
    try:
        return list(do_unique(environment, value, bool(case_sensitive), attribute))
    except TypeError:  # mappings and lists have no hash
        if attribute is not None:
            raise
        return _distinct(value)


def _distinct(items: Iterable[Any]) -> list[Any]:
    given = list(items)
    try:
        return list(dict.fromkeys(given))
    except TypeError:
        kept: list[Any] = []
        for item in given:
            if item not in kept:
                kept.append(item)
        return kept


def union(one: list[Any], other: list[Any]) -> list[Any]:
    return _distinct([*one, *other])


def intersect(one: list[Any], other: list[Any]) -> list[Any]:
    return _distinct(item for item, inside in _asked(one, other) if inside)


def difference(one: list[Any], other: list[Any]) -> list[Any]:
    return _distinct(item for item, inside in _asked(one, other) if not inside)


def symmetric_difference(one: list[Any], other: list[Any]) -> list[Any]:
    return [*difference(one, other), *difference(other, one)]


def _asked(items: list[Any], others: list[Any]) -> list[tuple[Any, bool]]:
    """Give each item with whether it is among the others."""
    try:
        known = frozenset(others)
        return [(item, item in known) for item in items]
    except TypeError:
        return [(item, item in others) for item in items]


def flatten(value: list[Any], levels: int | None = None, skip_nulls: bool = True) -> list[Any]:
    """Open nested lists, all or as many levels deep as given; null items are left out."""
    flat: list[Any] = []
    for item in value:
        if isinstance(item, list | tuple) and (levels is None or levels > 0):
            flat += flatten(list(item), None if levels is None else levels - 1, skip_nulls)
        elif not (skip_nulls and item in (None, "None", "null")):
            flat.append(item)
    return flat


@pass_environment
def extract(environment: Environment, key: Any, container: Any, morekeys: Any = None) -> Any:
    """Give the element of a container that the key, and the keys below it, lead to."""
    more = [] if morekeys is None else morekeys if isinstance(morekeys, list) else [morekeys]
    for step in (key, *more):
        container = environment.getitem(container, step)
    return container


def type_debug(value: Any) -> str:
    return type(value).__name__


def _zipped(*lists: Iterable[Any]) -> list[list[Any]]:
    return [list(row) for row in zip(*lists, strict=False)]


def _zipped_longest(*lists: Iterable[Any], fillvalue: Any = None) -> list[list[Any]]:
    return [list(row) for row in zip_longest(*lists, fillvalue=fillvalue)]


def _products(*lists: Iterable[Any], repeat: int = 1) -> list[list[Any]]:
    """Give every combination of one item of each list."""
    given = [list(items) for items in lists]
    if prod(len(items) for items in given) ** repeat > LIMIT:
        raise too_large("the product of the lists")
    return [list(row) for row in product(*given, repeat=repeat)]


OURS: Mapping[str, Callable[..., Any]] = {
    **text.OURS,
    **formats.OURS,
    "combine": combine,
    "d": default,
    "default": default,
    "dict2items": dict2items,
    "difference": difference,
    "extract": extract,
    "flatten": flatten,
    "intersect": intersect,
    "items2dict": items2dict,
    "mandatory": mandatory,
    "product": _products,
    "symmetric_difference": symmetric_difference,
    "ternary": ternary,
    "type_debug": type_debug,
    "union": union,
    "unique": unique,
    "zip": _zipped,
    "zip_longest": _zipped_longest,
}
