"""Params against their model, before anything runs: unknown, missing and mistyped ones, each at its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from runbook.errors import Invalid
from runbook.source import Document
from runbook.suggest import suggest
from runbook.task import Params, TaskSpec

KeyPath = tuple[str | int, ...]


def check_literals(
    spec: TaskSpec, params: Mapping[str, Any], dynamic: set[str], document: Document, path: KeyPath
) -> tuple[Params | None, list[Invalid]]:
    """Validate what is written literally; `dynamic` names the params whose values are only known in the run.

    Gives the validated params where nothing is dynamic, and what is wrong.
    """
    literal = {name: value for name, value in params.items() if name not in dynamic}
    try:
        ready = spec.params.model_validate(literal)
    except ValidationError as error:
        return None, problems_of(error, spec, document, path, dynamic)
    unknown = [name for name in dynamic if spec.field(name) is None]
    if unknown and spec.params.model_config.get("extra") == "forbid":
        return None, [_unknown(name, spec, document, path) for name in unknown]
    return (None if dynamic else ready), []


def problems_of(
    error: ValidationError, spec: TaskSpec, document: Document, path: KeyPath, dynamic: set[str] | None = None
) -> list[Invalid]:
    """Say what pydantic found in our own words, at the places of the playbook."""
    dynamic = dynamic or set()
    found: dict[KeyPath, Invalid] = {}
    for detail in error.errors(include_url=False):
        name = str(detail["loc"][0]) if detail["loc"] else ""
        if (name in dynamic) or _aliased(name, spec, dynamic) or (not detail["loc"] and dynamic):
            continue
        found.setdefault((name,), _problem(detail, spec, document, path))
    closed = spec.params.model_config.get("extra") == "forbid"
    strays = [name for name in dynamic if closed and spec.field(name) is None]
    return list(found.values()) + [_unknown(name, spec, document, path) for name in strays]


def _aliased(name: str, spec: TaskSpec, dynamic: set[str]) -> bool:
    info = spec.field(name)
    return info is not None and any(spec.field(given) is info for given in dynamic)


def _problem(detail: ErrorDetails, spec: TaskSpec, document: Document, path: KeyPath) -> Invalid:
    loc = detail["loc"]
    kind, name = detail["type"], str(loc[0]) if loc else ""
    if kind == "extra_forbidden" and len(loc) == 1:
        return _unknown(name, spec, document, path)
    if kind == "missing" and len(loc) == 1:
        info = spec.field(name)
        hint = f"write `{name}: ...`" + (f" ({info.description})" if info and info.description else "")
        return document.problem(f"{spec.name} needs the param {name!r}", path, hint=hint)
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not loc:
        return document.problem(f"{spec.name}: {message}", path)
    inner = tuple(step for step in loc if isinstance(step, int) or step == name or step.isidentifier())
    text = {"extra_forbidden": f"there is no {loc[-1]!r} in it", "missing": f"it needs {loc[-1]!r}"}.get(kind)
    if text is not None:
        return document.problem(f"{spec.name}: {name!r}: {text}", _within(document, path, inner), key=kind != "missing")
    text = message[:1].lower() + message[1:]
    got = "" if kind in {"value_error", "assertion_error"} else f", not {_shown(detail['input'])}"
    place = _within(document, path, inner)
    write = _as_text(detail["input"], document.get(place)) if kind == "string_type" else None
    return document.problem(f"{spec.name}: {name!r}: {text}{got}", place, hint=write)


def _as_text(value: Any, written: Any) -> str | None:
    """Say how a number that stands where a text belongs is written as one."""
    if not isinstance(value, int | float):
        return None
    text = str(value).lower() if isinstance(value, bool) else value
    return "add `| string` to the expression" if isinstance(written, str) else f'write it in quotes: "{text}"'


def _within(document: Document, path: KeyPath, inner: KeyPath) -> KeyPath:
    """Follow an error's location as far as the file has it: pydantic adds the names of union members."""
    for step in inner:
        value = document.get(path)
        if (isinstance(value, dict) and step in value) or (isinstance(value, list) and isinstance(step, int)):
            path = (*path, step)
    return path


def _unknown(name: str, spec: TaskSpec, document: Document, path: KeyPath) -> Invalid:
    names = spec.names()
    if name in spec.params.lacks:
        message = f"{spec.name} has no param {name!r}, as ansible-core's has"
        return document.problem(message, (*path, name), key=True, hint=spec.params.lacks[name])
    hint = suggest(name, names) or f"{spec.name} takes {', '.join(names) or 'no params'}"
    return document.problem(f"{spec.name} has no param {name!r}", (*path, name), key=True, hint=hint)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
