"""Templates in what users write: texts, and the structures that hold them, compiled once and rendered when used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from runbook.errors import Invalid, Problems, TaskFailed, Where
from runbook.templates.program import Program, file_program, text_program
from runbook.templates.scope import KeyPath, Locate, Scope, Spot
from runbook.units import Secret
from runbook.unknown import Unknown

if TYPE_CHECKING:
    from runbook.templates.parse import Flawed


class Need:
    """A variable that has to be defined, and where it is used."""

    __slots__ = ("_offset", "_spot", "_text", "name")

    def __init__(self, name: str, text: str, spot: Spot, offset: int) -> None:
        self.name = name
        self._text, self._spot, self._offset = text, spot, offset

    def __repr__(self) -> str:
        return f"Need({self.name!r}, {self.where})"

    @property
    def where(self) -> Where | None:
        return self._spot.at(self._text, self._offset)


class Template:
    """A text with something to render in it, at its place."""

    __slots__ = ("_program", "_spot")

    def __init__(self, program: Program, spot: Spot) -> None:
        self._program = program
        self._spot = spot

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    @property
    def text(self) -> str:
        return self._program.text

    @property
    def where(self) -> Where | None:
        return self._spot.at(self.text)

    @property
    def needs(self) -> tuple[Need, ...]:
        """The variables that must be defined for it to be rendered, guards considered; each once."""
        return placed(self._program, self._spot)

    def render(self, scope: Scope) -> Any:
        """Give its value: one expression keeps its type, anything else is a text.

        Unknown where it depends on what a run will tell, a Secret where a secret went in. Raises TaskFailed.
        """
        return self._program.render(scope, self._spot)


def placed(program: Program, spot: Spot) -> tuple[Need, ...]:
    return tuple(Need(name, program.text, spot, offset) for name, offset in program.needs)


def is_template(text: str) -> bool:
    return "{" in text and ("{{" in text or "{%" in text or "{#" in text)


def compile_text(text: str, where: Where | None = None) -> str | Template:
    """Compile one text; one without `{{`, `{%` or `{#` comes back as it is. Raises Invalid."""
    return _compiled(text, Spot(where)) if is_template(text) else text


def _compiled(text: str, spot: Spot) -> Template:
    return Template(prepared(text_program, text, spot), spot)


def prepared(prepare: Callable[[str], Program], text: str, spot: Spot) -> Program:
    """Prepare a program; what is wrong with the text is `Invalid`, or `Problems` where there are several."""
    try:
        return prepare(text)
    except Exception as error:
        from runbook.templates.parse import Flawed

        if not isinstance(error, Flawed):
            raise
        raise problem_of(error, text, spot) from error


def problem_of(error: Flawed, text: str, spot: Spot) -> Invalid:
    found = [Invalid(flaw.message, where=spot.at(text, flaw.offset), hint=flaw.hint) for flaw in error.flaws]
    return found[0] if len(found) == 1 else Problems(found)


def compile_value(value: Any, where: Locate, path: KeyPath = ()) -> Any:
    """Compile every text within a value; the very same object comes back if none is a template. Keys are literal.

    `where` gives the place of a path; it may take `offset=` for a character of a text. Raises Problems, with all.
    """
    problems: list[Invalid] = []
    compiled = _deeply(value, where, path, problems)
    if problems:
        raise Problems(problems)
    return compiled


def _deeply(value: Any, where: Locate, path: KeyPath, problems: list[Invalid]) -> Any:
    kind = type(value)
    if kind is str:
        if not is_template(value):
            return value
        try:
            return _compiled(value, Spot(where, path))
        except Problems as found:
            problems += found.problems
        except Invalid as found:
            problems.append(found)
        return value
    if kind is dict:
        new = {key: _deeply(item, where, (*path, key), problems) for key, item in value.items()}
        return new if any(new[key] is not value[key] for key in value) else value
    if kind is list:
        items = [_deeply(item, where, (*path, index), problems) for index, item in enumerate(value)]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value


def render_value(compiled: Any, scope: Scope) -> Any:
    """Render every template within a compiled value; literal parts come back as they are."""
    kind = type(compiled)
    if kind is Template:
        return compiled.render(scope)
    if kind is dict:
        new = {key: render_value(item, scope) for key, item in compiled.items()}
        return new if any(new[key] is not compiled[key] for key in compiled) else compiled
    if kind is list:
        items = [render_value(item, scope) for item in compiled]
        return items if any(a is not b for a, b in zip(items, compiled, strict=True)) else compiled
    return compiled


def needs_of(compiled: Any) -> tuple[Need, ...]:
    """Give what all templates within a compiled value need, each name once, at its first place."""
    first: dict[str, Need] = {}
    for need in _needs(compiled):
        first.setdefault(need.name, need)
    return tuple(first.values())


def _needs(compiled: Any) -> Iterator[Need]:
    if isinstance(compiled, dict):
        for item in compiled.values():
            yield from _needs(item)
    elif isinstance(compiled, list | tuple):
        for item in compiled:
            yield from _needs(item)
    elif hasattr(compiled, "needs") and not isinstance(compiled, Unknown):
        yield from compiled.needs


def text_template_needs(
    text: str, file: str, *, trim_blocks: bool = True, lstrip_blocks: bool = False
) -> tuple[Need, ...]:
    """Check the source of a `template` step before the run; gives what it needs. Raises Invalid at its own lines."""
    spot = Spot(Where(file, 1, 1))
    return placed(prepared(lambda source: file_program(source, trim_blocks, lstrip_blocks), text, spot), spot)


def render_text_template(
    text: str, file: str, scope: Scope, *, trim_blocks: bool = True, lstrip_blocks: bool = False
) -> str | Secret | Unknown:
    """Render the source of a `template` step to a text; errors, TaskFailed, name its own lines.

    The text is a Secret if one went in, Unknown if what went in is.
    """
    spot = Spot(Where(file, 1, 1))
    try:
        program = prepared(lambda source: file_program(source, trim_blocks, lstrip_blocks), text, spot)
    except Invalid as error:
        raise TaskFailed(str(error)) from error
    rendered: str | Secret | Unknown = program.render(scope, spot)
    return rendered
