"""A template's text made ready once and shared by all places that have the same text."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

from runbook.errors import RunbookError, TaskFailed, Unsure
from runbook.templates.plain import SLOW, PlainCondition, PlainText, plain_condition, plain_text
from runbook.templates.scope import Scope, Spot, failure
from runbook.templates.values import joined, shown
from runbook.unknown import Unknown

if TYPE_CHECKING:
    from jinja2.environment import Template as Code

    from runbook.templates.machine import Machine
    from runbook.templates.parse import Parsed


class Program:
    """One text. Code is generated when it is first rendered, and not at all while names are enough."""

    __slots__ = ("_blocks", "_code", "_condition", "_native", "_parsed", "_plain", "defines", "needs", "text")
    _making: ClassVar[Lock] = Lock()

    def __init__(self, text: str, *, condition: bool, native: bool, blocks: tuple[bool, bool]) -> None:
        self.text = text
        self._condition, self._native, self._blocks = condition, native, blocks
        self._code: Code | None = None
        self._parsed: Parsed | None = None
        self._plain: PlainText | PlainCondition | None = None
        self.defines: frozenset[str] = frozenset()
        if native:
            self._plain = plain_condition(text) if condition else plain_text(text)
        if self._plain is None:
            self._parsed = self._parse()
            self.needs, self.defines = self._parsed.needs, self._parsed.defines
        else:
            self.needs = self._plainly()

    def _plainly(self) -> tuple[tuple[str, int], ...]:
        if isinstance(self._plain, PlainCondition):
            path, asks, negated = self._plain.path, self._plain.asks, self._plain.negated
            self.defines = frozenset() if asks and negated else frozenset({path.root})
            return () if asks else ((path.root, path.offset),)
        assert self._plain is not None
        found: dict[str, int] = {}
        for part in self._plain.parts:
            if not isinstance(part, str):
                found.setdefault(part.root, part.offset)
        return tuple(found.items())

    def _machine(self) -> Machine:
        from runbook.templates.machine import machine

        return machine(trim_blocks=self._blocks[0], lstrip_blocks=self._blocks[1])

    def _parse(self) -> Parsed:
        from runbook.templates.parse import parse_expression, parse_text

        if self._condition:
            return parse_expression(self.text, self._machine())
        return parse_text(self.text, self._machine(), native=self._native)

    def render(self, scope: Scope, spot: Spot) -> Any:
        """Give the value: of its own type for one expression, otherwise a text; Unknown where it depends on what is."""
        if self._plain is not None:
            value = self._plain.render(scope)
            if value is not SLOW:
                return value
        try:
            return self._run(scope)
        except Unsure as unsure:
            return Unknown(unsure.reason)
        except RunbookError as error:
            if error.where is None:
                error.where = spot.at(self.text, self._offset(error))
            raise
        except Exception as error:
            raise self._explained(error, scope, spot) from error

    def _run(self, scope: Scope) -> Any:
        from runbook.templates.machine import Names, settle

        machine = self._machine()
        code = self._code or self._made(machine)
        context = Names(machine, {}, None, {})
        context.scope = scope
        values = code.root_render_func(context)
        if not (self._native and self._single):
            return joined(values)
        return settle(next(iter(values)))

    @property
    def _single(self) -> bool:
        return self._parsed is not None and self._parsed.single

    def _made(self, machine: Machine) -> Code:
        """Make the code once, for an error is explained by the code that it arose in."""
        with self._making:
            if self._code is None:
                self._code = self._generate(machine)
            return self._code

    def _generate(self, machine: Machine) -> Code:
        from runbook.templates.machine import FILENAME

        if self._parsed is None:
            self._parsed = self._parse()
        code = machine.compile(self._parsed.tree, filename=FILENAME)
        return machine.template_class.from_code(machine, code, {})

    def _explained(self, error: Exception, scope: Scope, spot: Spot) -> TaskFailed:
        """Give the error as one of ours, with the place in the text that it comes from."""
        from runbook.templates.absent import UsedAbsent
        from runbook.templates.parse import place_of

        if isinstance(error, UsedAbsent):
            absent = error.absent
            message = absent.message()
            where = spot.at(self.text, place_of(self.text, absent.written, self._line(error)))
            return failure(message, where=where, hint=absent.suggestion(scope.names()))
        where = spot.at(self.text, self._offset(error))
        written = shown(self.text.strip())
        return failure(f"the template {written} cannot be rendered: {error}", where=where)

    def _offset(self, error: Exception) -> int:
        from runbook.templates.parse import line_start

        return line_start(self.text, self._line(error))

    def _line(self, error: Exception) -> int:
        """Give the line of this text, from 1, at which an error was raised."""
        trace, line = error.__traceback__, 1
        own = self._code.root_render_func.__globals__ if self._code is not None else None
        while trace is not None:
            if trace.tb_frame.f_globals is own and self._code is not None:
                line = self._code.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return line


@lru_cache(maxsize=16_384)
def text_program(text: str) -> Program:
    """Make a template of a playbook ready; raises Flawed."""
    return Program(text, condition=False, native=True, blocks=(False, False))


@lru_cache(maxsize=16_384)
def condition_program(text: str) -> Program:
    """Make a condition ready; raises Flawed."""
    return Program(text, condition=True, native=True, blocks=(False, False))


@lru_cache(maxsize=64)
def file_program(text: str, trim_blocks: bool, lstrip_blocks: bool) -> Program:  # noqa: FBT001 - a cache's key
    """Make a file's template ready, which always gives a text; raises Flawed."""
    return Program(text, condition=False, native=False, blocks=(trim_blocks, lstrip_blocks))
