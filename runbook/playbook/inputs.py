"""What a play says of its inputs: read, and held to what an input can be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from runbook.errors import Invalid
from runbook.inputs import NAME, NAME_HINT, TYPES, Input
from runbook.suggest import suggest

if TYPE_CHECKING:
    from runbook.source import Document, KeyPath

_OTHERS = ("required_unless", "excludes")
_FIELDS = ("type", "required", "default", "help", "choices", "pattern", *_OTHERS)
_EXAMPLE = "{type: path, help: what it is for}"


def parse_inputs(document: Document, value: Any, path: KeyPath, *, problems: list[Invalid]) -> dict[str, Input]:
    """Read the `inputs:` of a play, which stand at the path; what is wrong is added to the problems."""
    if not isinstance(value, dict):
        hint = f"write `inputs: {{name: {_EXAMPLE}}}`"
        problems.append(document.problem("'inputs' takes a mapping of names", path, hint=hint))
        return {}
    found = {name: _parse_input(document, name, raw, (*path, name), problems) for name, raw in value.items()}
    for name, asked in found.items():
        for field in _OTHERS:
            for other in getattr(asked, field):
                if other not in found or other == name:
                    hint = suggest(other, found.keys() - {name}) or "name another input of the play"
                    told = f"'{field}' of the input '{name}' names {other!r}, which is no other input"
                    problems.append(document.problem(told, (*path, name, field), hint=hint))
    return found


def _parse_input(document: Document, name: str, raw: Any, path: KeyPath, problems: list[Invalid]) -> Input:
    where = document.key_where(path)
    if not NAME.fullmatch(name):
        problems.append(document.problem(f"'{name}' is no name for an input", path, key=True, hint=NAME_HINT))
    if raw is None:
        return Input(name, where=where)
    if not isinstance(raw, dict):
        hint = f"write `{name}: {{default: {raw}}}`" if isinstance(raw, str | int) else f"write `{name}: {_EXAMPLE}`"
        problems.append(document.problem(f"the input '{name}' takes a mapping", path, hint=hint))
        return Input(name, where=where)
    faults = list(_faults(raw))
    for field, message, hint in faults:
        problems.append(document.problem(message, (*path, field), key=field not in _FIELDS, hint=hint))
    kept = {field: raw[field] for field in _FIELDS if field in raw and all(field != fault[0] for fault in faults)}
    kept |= {field: tuple(_listed(kept[field])) for field in _OTHERS if field in kept}
    kept["choices"] = tuple(str(choice) for choice in kept.get("choices", ()))
    return Input(name, where=where, **kept)


def _faults(raw: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    """Yield field, message and hint of everything wrong with an input's description."""
    for field in raw:
        if field not in _FIELDS:
            yield field, f"an input has no '{field}'", suggest(field, _FIELDS) or f"it has {', '.join(_FIELDS)}"
    kind = raw.get("type", "str")
    if not isinstance(kind, str) or kind not in TYPES:
        yield (
            "type",
            f"{kind!r} is no type of an input",
            suggest(str(kind), TYPES) or f"write one of: {', '.join(TYPES)}",
        )
    if not isinstance(raw.get("required", False), bool):
        yield "required", "'required' takes true or false", "write `required: true`"
    elif raw.get("required") and raw.get("default") is not None:
        yield "default", "a required input has no use for a default", "remove `required` or `default`"
    if not isinstance(raw.get("help", ""), str):
        yield "help", "'help' takes a text", "put it in quotes"
    yield from _choice_faults(raw)
    yield from _faults_of_others(raw)
    try:
        re.compile(raw.get("pattern", ""))
    except (re.error, TypeError) as error:
        yield "pattern", f"'pattern' is no regular expression: {error}", "write for example `pattern: '[a-z]+'`"


def _choice_faults(raw: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    choices = raw.get("choices")
    if "choices" in raw and not (isinstance(choices, list) and choices):
        yield "choices", "'choices' takes a list that is not empty", "write `choices: [a, b]`"
    if raw.get("type") == "choice" and "choices" not in raw:
        yield "type", "the type choice needs `choices`", "write `choices: [a, b]` beside it"


def _faults_of_others(raw: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    for field in _OTHERS:
        names = _listed(raw.get(field, ["x"]))
        if not names or not all(isinstance(name, str) for name in names):
            yield field, f"'{field}' takes the name of another input, or a list of them", f"write `{field}: [a, b]`"
    if "required_unless" in raw and (raw.get("required") or raw.get("default") is not None):
        hint = "remove `required`" if raw.get("required") else "remove one of them: with a default it is always given"
        yield "required_unless", "'required_unless' has no use beside `required` or a default", hint


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
