"""The tests that playbooks use beside Jinja's own: of registers, patterns, versions, collections and paths."""

# ruff: noqa: FBT001, FBT002 - playbooks may pass these by position, as they do to Ansible's

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runbook.templates.text import compiled
from runbook.unknown import Unknown, force

_COMPARE: Mapping[str, Callable[[int], bool]] = {
    **dict.fromkeys(("==", "=", "eq"), lambda order: order == 0),
    **dict.fromkeys(("!=", "<>", "ne"), lambda order: order != 0),
    **dict.fromkeys(("<", "lt"), lambda order: order < 0),
    **dict.fromkeys(("<=", "le"), lambda order: order <= 0),
    **dict.fromkeys((">", "gt"), lambda order: order > 0),
    **dict.fromkeys((">=", "ge"), lambda order: order >= 0),
}
_SEMVER = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.\-]+))?(?:\+[0-9A-Za-z.\-]+)?")


def _of_register(key: str) -> Callable[[Any], bool]:
    def ask(result: Any) -> bool:
        if not isinstance(result, Mapping):
            raise TypeError("it is no result of a step; give the name that `register` has")
        value = result.get(key, False)
        if type(value) is Unknown:
            force(value)
        return bool(value)

    return ask


failed = _of_register("failed")
skipped = _of_register("skipped")
_changed = _of_register("changed")


def changed(result: Any) -> bool:
    """Say whether a step, or any item of its loop, changed something."""
    return _changed(result) or any(map(_changed, result.get("results", ()) if "changed" not in result else ()))


def succeeded(result: Any) -> bool:
    return not failed(result)


def match(value: Any, pattern: str = "", ignorecase: bool = False, multiline: bool = False) -> bool:
    """Say whether a text begins with a pattern."""
    return compiled(pattern, ignorecase=ignorecase, multiline=multiline).match(str(value)) is not None


def search(value: Any, pattern: str = "", ignorecase: bool = False, multiline: bool = False) -> bool:
    """Say whether a pattern is found anywhere in a text."""
    return compiled(pattern, ignorecase=ignorecase, multiline=multiline).search(str(value)) is not None


def regex(value: Any, pattern: str = "", match_type: str = "search", **flags: bool) -> bool:
    """Say whether a pattern is found, by `match_type`: search, match or fullmatch."""
    if match_type not in ("search", "match", "fullmatch"):
        raise ValueError(f"match_type is search, match or fullmatch, not {match_type!r}")
    return getattr(compiled(pattern, **flags), match_type)(str(value)) is not None


def version(value: Any, other: Any, operator: str = "eq", strict: Any = None, version_type: str = "loose") -> bool:
    """Compare versions: `loose` by numbers and words in turn, `semver` by its rules."""
    if operator not in _COMPARE:
        raise ValueError(f"there is no operator {operator!r}; write one of {' '.join(_COMPARE)}")
    if version_type not in ("loose", "semver", "semantic"):
        raise ValueError(f"version_type is loose or semver, not {version_type!r}")
    key = _loose if version_type == "loose" and not strict else _semver
    left: Any = key(str(value))
    right: Any = key(str(other))
    return _COMPARE[operator]((left > right) - (left < right))


def _loose(text: str) -> list[tuple[int, int, str]]:
    if not text.strip():
        raise ValueError("a version is empty")
    parts = re.findall(r"\d+|[A-Za-z]+", text)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _semver(text: str) -> tuple[Any, ...]:
    found = _SEMVER.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no semantic version; write MAJOR.MINOR.PATCH")
    before = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in (found[4] or "").split(".") if part]
    return (int(found[1]), int(found[2]), int(found[3]), not before, before)


def contains(whole: Any, part: Any) -> bool:
    return part in whole


def subset(part: Iterable[Any], whole: Iterable[Any]) -> bool:
    items = list(whole)
    return all(item in items for item in part)


def superset(whole: Iterable[Any], part: Iterable[Any]) -> bool:
    return subset(part, whole)


def truthy(value: Any, convert_bool: bool = False) -> bool:
    """Say whether Python takes a value for true; with `convert_bool`, whether the text in it says so."""
    if convert_bool and isinstance(value, str):
        return value.strip().lower() in ("y", "yes", "on", "1", "true", "t")
    return bool(value)


def falsy(value: Any, convert_bool: bool = False) -> bool:
    return not truthy(value, convert_bool)


def _path(ask: Callable[[str], bool]) -> Callable[[Any], bool]:
    return lambda value: ask(os.path.expanduser(value))


OURS: Mapping[str, Callable[..., bool]] = {
    **dict.fromkeys(("change", "changed"), changed),
    **dict.fromkeys(("skip", "skipped"), skipped),
    **dict.fromkeys(("success", "succeeded", "successful"), succeeded),
    **dict.fromkeys(("version", "version_compare"), version),
    **dict.fromkeys(("superset", "issuperset"), superset),
    **dict.fromkeys(("subset", "issubset"), subset),
    **dict.fromkeys(("file", "is_file"), _path(os.path.isfile)),
    **dict.fromkeys(("directory", "is_dir"), _path(os.path.isdir)),
    **dict.fromkeys(("link", "is_link"), _path(os.path.islink)),
    "abs": os.path.isabs,
    "all": all,
    "any": any,
    "contains": contains,
    "exists": _path(os.path.exists),
    "failed": failed,
    "falsy": falsy,
    "match": match,
    "regex": regex,
    "search": search,
    "truthy": truthy,
}
