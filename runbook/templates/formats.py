"""Filters between values and their JSON or YAML, and those that take paths apart."""

# ruff: noqa: FBT001, FBT002 - playbooks may pass these by position, as they do to Ansible's

from __future__ import annotations

import json
import os.path
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import PurePath
from typing import Any

from runbook.templates.values import LIMIT

_NODES = 1_000_000


def _plainly(value: Any) -> Any:
    """Give what JSON has no form for as text, number or list."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    raise TypeError(f"{type(value).__name__} has no form in JSON or YAML")


def to_json(value: Any, **options: Any) -> str:
    return json.dumps(value, default=_plainly, **options)


def to_nice_json(value: Any, indent: int = 4, sort_keys: bool = True, **options: Any) -> str:
    return json.dumps(value, default=_plainly, indent=indent, sort_keys=sort_keys, **options)


def from_json(value: Any) -> Any:
    """Read JSON; ValueError says where it is wrong."""
    if not isinstance(value, str):
        raise TypeError("it is no text; a value that was read already needs no `from_json`")
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from error


def _data(value: Any) -> Any:
    """Give a value as the plain types that YAML has a form for."""
    if isinstance(value, Mapping):
        return {_data(key): _data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_data(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value) if type(value) is not kind else value
    return value if value is None or isinstance(value, date) else _data(_plainly(value))


def to_yaml(value: Any, default_flow_style: bool | None = None, **options: Any) -> str:
    import yaml

    text: str = yaml.dump(
        _data(value), Dumper=_dumper(), allow_unicode=True, default_flow_style=default_flow_style, **options
    )
    return text


def to_nice_yaml(value: Any, indent: int = 4, **options: Any) -> str:
    return to_yaml(value, **{"default_flow_style": False, "indent": indent, **options})


def _dumper() -> Any:
    import yaml

    return getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def from_yaml(value: Any) -> Any:
    """Read YAML; ValueError says where it is wrong, or that its aliases write out to too much."""
    import yaml

    if not isinstance(value, str):
        raise TypeError("it is no text; a value that was read already needs no `from_yaml`")
    try:
        read = yaml.load(value, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {' '.join(str(error).split())}") from error
    if _count(read, {}) > _NODES:
        raise ValueError(f"with its aliases written out it has more than {_NODES:,} values")
    return read


def _count(value: Any, known: dict[int, int]) -> int:
    """Count the values within a value, each alias as often as it stands; one that holds itself is too many."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = LIMIT
        items = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(item, known) for item in items)
    return known[id(value)]


def path_join(value: str | Iterable[str]) -> str:
    return os.path.join(*([value] if isinstance(value, str) else value))


def relpath(value: str, start: str = os.curdir) -> str:
    return os.path.relpath(value, start)


def splitext(value: str) -> list[str]:
    return list(os.path.splitext(value))


OURS: Mapping[str, Any] = {
    "basename": os.path.basename,
    "dirname": os.path.dirname,
    "expanduser": os.path.expanduser,
    "from_json": from_json,
    "from_yaml": from_yaml,
    "path_join": path_join,
    "realpath": os.path.realpath,
    "relpath": relpath,
    "splitext": splitext,
    "to_json": to_json,
    "to_nice_json": to_nice_json,
    "to_nice_yaml": to_nice_yaml,
    "to_yaml": to_yaml,
}
