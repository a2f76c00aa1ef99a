"""What the command line says of variables: `-e name=value`, `-e @file`, `-e '{...}'`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from runbook.errors import Invalid, Problems, Where
from runbook.inputs import Input
from runbook.plan.files import WRONG
from runbook.playbook.model import Playbook
from runbook.source import parse_document, parse_scalar, read_document
from runbook.suggest import suggest
from runbook.unknown import Unknown
from runbook.variables import Layer

PLACE = Where("-e")


def inputs_of(book: Playbook) -> dict[str, Input]:
    """Give the inputs of all plays, in their order; of two with one name the first counts."""
    found: dict[str, Input] = {}
    for play in book.plays:
        found |= {name: asked for name, asked in play.inputs.items() if name not in found}
    return found


def needed(inputs: Mapping[str, Input]) -> list[str]:
    """Name what must be given; of inputs of which one must be, the first."""
    found: list[str] = []
    for name, asked in inputs.items():
        if asked.required or (asked.required_unless and not set(found) & set(asked.required_unless)):
            found.append(name)
    return found


def extra_layer(book: Playbook, words: Iterable[str], cwd: Path, problems: list[Invalid]) -> Layer:
    """Read what `-e` gives: an input by its type, else as a strict YAML scalar; nothing of it is a template.

    What is wrong is added to the problems; an input whose value is wrong is there, and Unknown.
    """
    inputs = inputs_of(book)
    values: dict[str, Any] = {}
    for word in words:
        try:
            given = _given(word, inputs, cwd)
        except Problems as error:
            problems += error.problems
            continue
        except Invalid as error:
            problems.append(error)
            continue
        for name, value in given.items():
            try:
                values[name] = _typed(name, value, inputs, cwd)
            except Invalid as error:
                values[name] = Unknown(WRONG)
                problems.append(error)
    return Layer("-e", values, dict.fromkeys(values, PLACE))


def refuse_unknown(extra: Layer, inputs: Collection[str], variables: Collection[str]) -> None:
    """Raise Invalid for a name that is neither an input nor a variable of a play or the inventory."""
    for name in extra.values:
        if name not in inputs and name not in variables:
            there = ", ".join(sorted(inputs))
            hint = suggest(name, {*inputs, *variables}) or (f"the inputs: {there}" if there else "there are no inputs")
            raise Invalid(f"-e {name}: no input and no variable has this name", hint=hint)


def _given(word: str, inputs: Mapping[str, Input], cwd: Path) -> dict[str, Any]:
    try:
        if word.startswith("@"):
            return _mapping(read_document(cwd / Path(word[1:]).expanduser(), label=word[1:]).value, word)
        if word.lstrip().startswith("{"):
            return _mapping(parse_document(word, "-e").value, "{...}")
    except Problems:
        raise
    except Invalid as error:
        if any(asked.type == "secret" for asked in inputs.values()):
            raise Invalid(error.message, where=error.where, hint=error.hint, excerpt="") from None  # it may hold one
        raise
    name, equals, text = word.partition("=")
    if not equals or not name.isidentifier():
        raise Invalid(f"-e {_hidden(word)}: not understood", hint="write -e name=value or -e @file.yml")
    if name in inputs:
        return {name: text}
    try:
        return {name: parse_scalar(text)}
    except ValueError as error:
        raise Invalid(f"-e {name}: {error}") from error


def _mapping(value: Any, word: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid(f"-e {word}: a mapping of names to values is needed", hint="write `name: value` lines")
    return value


def _typed(name: str, value: Any, inputs: Mapping[str, Input], cwd: Path) -> Any:
    if name not in inputs:
        return value
    try:
        return inputs[name].read(value, cwd=cwd)
    except ValueError as error:
        asked = inputs[name]
        hint = f"{asked.name} is {asked.help}" if asked.help else None
        raise Invalid(f"-e {name}: {error}", hint=hint) from error


def _hidden(word: str) -> str:
    """Show what was given as far as it is a name; the rest may be a secret."""
    name = re.match(r"\w*", word)
    return f"{name[0] if name else ''}..."
