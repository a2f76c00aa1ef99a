"""A task's page, for the terminal and for the docs: all of it derived from its params and docstring."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

from pydantic_core import PydanticUndefined

from runbook.task import Params, TaskSpec, names_of

KINDS = {
    "state": "a state: asked again after a change, and must then have nothing left to do",
    "action": "an action: acts every time it is run",
    "probe": "a probe: reads only",
    "directive": "a directive: works on variables, touches no host",
}


class Row(NamedTuple):
    """One param, in words."""

    name: str
    type: str
    default: str
    text: str


def rows(params: type[Params]) -> list[Row]:
    """Give params, the required ones first, in the order they are declared in."""
    found = []
    for field, info in params.model_fields.items():
        default = "required" if info.is_required() else _written(info.get_default(call_default_factory=True))
        name = " or ".join(names_of(field, info))
        found.append(Row(name, type_name(info.annotation), default, info.description or ""))
    return sorted(found, key=lambda row: row.default != "required")


def parts(params: type[Params]) -> Iterator[type[Params]]:
    """Yield the kinds of mapping that params consist of, each once, those within others after them."""
    known: dict[type[Params], None] = {}
    rest = [params]
    while rest:
        for info in rest.pop(0).model_fields.values():
            for kind in _kinds(info.annotation):
                if kind not in known:
                    known[kind] = None
                    rest.append(kind)
    yield from known


def _kinds(annotation: Any) -> Iterator[type[Params]]:
    if isinstance(annotation, type) and issubclass(annotation, Params):
        yield annotation
    for inner in get_args(annotation):
        yield from _kinds(inner)


def console_page(spec: TaskSpec) -> str:
    """Write a task's page for a terminal."""
    lines = [f"{spec.name}: {KINDS[spec.kind]}", "", spec.doc, ""]
    lines += _told(rows(spec.params))
    for part in parts(spec.params):
        lines += ["", f"{_lower(part)}:", *_told(rows(part))]
    if spec.extra:
        lines += ["", f"needs: pip install 'runbook[{spec.extra}]'"]
    if spec.returns:
        lines += ["", "returns:", *(f"  {name}: {text}" for name, text in spec.returns.items())]
    return "\n".join(lines)


def _told(params: list[Row]) -> Iterator[str]:
    width = max((len(row.name) for row in params), default=0)
    for row in params:
        default = row.default if row.default == "required" else f"default {row.default}"
        yield f"  {row.name:<{width}}  {row.type}, {default}"
        yield from textwrap.wrap(row.text, 90, initial_indent=" " * (width + 4), subsequent_indent=" " * (width + 4))


def markdown_page(spec: TaskSpec, example: str | None) -> str:
    """Write a task's page for the docs."""
    lines = [f"# {spec.name}", "", f"*{KINDS[spec.kind]}*", "", spec.doc, ""]
    lines += _table(rows(spec.params))
    for part in parts(spec.params):
        lines += [f"**{_lower(part)}**: {inspect.getdoc(part)}", "", *_table(rows(part))]
    if spec.extra:
        lines += [f"It needs an extra: `pip install 'runbook[{spec.extra}]'`.", ""]
    if spec.free:
        lines += [f"A bare text after the task is its `{spec.free}`.", ""]
    if spec.returns:
        lines += ["| returns | |", "|---|---|"]
        lines += [f"| `{name}` | {_cell(text)} |" for name, text in spec.returns.items()] + [""]
    if example:
        lines += ["```yaml", example.rstrip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(params: list[Row]) -> list[str]:
    if not params:
        return []
    told = [f"| `{r.name}` | {_cell(r.type)} | {_cell(r.default)} | {_cell(r.text)} |" for r in params]
    return ["| param | type | default | |", "|---|---|---|---|", *told, ""]


def type_name(annotation: Any) -> str:
    """Write a type as a user of YAML thinks of it."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is type(None):
        return "null"
    if str(origin) == "typing.Literal":
        return " or ".join(f"`{arg}`" for arg in args)
    if origin in (tuple, list, set, frozenset):
        return "list of " + type_name(args[0]) if args else "list"
    if origin is dict:
        return "mapping"
    if origin is not None and hasattr(annotation, "__metadata__"):
        return type_name(args[0])
    if args:
        return " or ".join(type_name(arg) for arg in args if arg is not type(None))
    words = {str: "text", int: "number", float: "number", bool: "true or false", Path: "path", dict: "mapping"}
    return (
        words.get(annotation) or {"Any": "anything"}.get(getattr(annotation, "__name__", ""), "") or _lower(annotation)
    )


def _lower(annotation: Any) -> str:
    return str(getattr(annotation, "__name__", annotation)).lower()


def _written(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Params):
        return "as below"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    return str(value) or '""'


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
