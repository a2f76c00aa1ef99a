"""The controller's files that a playbook names: vars files, `.env` files, included steps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbook.envfile import read_env
from runbook.errors import Invalid, Problems, RunbookError, Where
from runbook.playbook.model import Written
from runbook.source import Document, read_document
from runbook.templates import compile_value, render_value
from runbook.units import Secret
from runbook.unknown import first_unknown, reason_of
from runbook.variables import Layer, Variables, compiled_layer

WRONG = "the value of an input is wrong"  # which is told where the inputs are checked


def named_file(written: Written, text: Any, path: tuple[str | int, ...], view: Variables, what: str) -> Path:
    """Give the file that a text names, relative to the file it is written in; it must be computable before the run."""
    file = optional_file(written, text, path, view, what)
    if file is None:
        raise written.document.problem(f"the name of the {what} must be a text, not None", path)
    return file


def optional_file(written: Written, text: Any, path: tuple[str | int, ...], view: Variables, what: str) -> Path | None:
    """Give the file that a text names as `named_file` does, or None for none, as an input that was not given is."""
    document = written.document
    try:
        name = render_value(compile_value(text, lambda _: document.where(path)), view)
    except Invalid:
        raise
    except RunbookError as error:
        raise document.problem(f"the name of the {what}: {error.message}", path, hint=error.hint) from error
    if (unknown := first_unknown(name)) is not None:
        if reason_of(unknown) == WRONG:
            return None
        hint = "make it from inputs, inventory and vars; only a run knows registers and facts"
        raise document.problem(f"the name of the {what} is not known before the run", path, hint=hint)
    if name is None:
        return None
    if not isinstance(name, str) or not name:
        raise document.problem(f"the name of the {what} must be a text, not {name!r}", path)
    folder = document.path.parent if document.path else Path.cwd()
    return folder / Path(name).expanduser()


def load_vars(
    written: Written, value: Any, path: tuple[str | int, ...], views: Mapping[str, Variables]
) -> dict[str, Any]:
    """Load the file of an `include_vars`: the same on every host."""
    files = {named_file(written, value, path, view, "vars file") for view in views.values()}
    if len(files) > 1:
        raise written.document.problem("the vars file must be the same on every host", path)
    if not files:
        return {}
    return dict(vars_layer(files.pop(), written.document, path).values)


def vars_layer(file: Path, document: Document, path: tuple[str | int, ...]) -> Layer:
    """Read a file of variables that `path` of a document names."""
    try:
        loaded = read_document(file, label=label_of(file), allow_empty=True)
    except Problems:
        raise
    except Invalid as error:
        if error.where and error.where.line:
            raise
        raise document.problem(f"the vars file {label_of(file)}: {error.message}", path, hint=error.hint) from error
    if loaded.value is None:
        return Layer(label_of(file), {})
    if not isinstance(loaded.value, dict):
        raise loaded.problem("a vars file must be a mapping of names to values", hint="write `name: value` lines")
    return compiled_layer(label_of(file), loaded.value, loaded.where)


def env_layer(file: Path, document: Document, path: tuple[str | int, ...]) -> Layer:
    """Read a `.env` file: a regular file of ours that no one else may read. Nothing in it is ever a template."""
    values: dict[str, Any] = {}
    places: dict[str, Where] = {}
    try:
        for name, value, where, secret in read_env(file, label_of(file)):
            values[name], places[name] = Secret(value) if secret else value, where
    except Invalid as error:
        if error.where:
            raise
        raise document.problem(error.message, path, hint=error.hint) from error
    return Layer(label_of(file), values, places)


def beside(document: Document, name: str, kind: str) -> Path:
    """Give the controller's file that a step names: below `files/` or `templates/` beside its file, or beside it."""
    folder = document.path.parent if document.path else Path.cwd()
    path = Path(name).expanduser()
    nested = folder / kind / path
    return nested if not path.is_absolute() and nested.exists() else folder / path


def label_of(file: Path) -> str:
    """Name a file as a user would: relative to the working folder where it is below it."""
    try:
        return str(file.resolve().relative_to(Path.cwd()))
    except ValueError:
        return os.path.normpath(file)
