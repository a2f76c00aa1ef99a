"""From a template's text to its tree, with everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.parser import Parser

from runbook.suggest import suggest
from runbook.templates.lookups import KINDS, refusal
from runbook.templates.machine import Machine
from runbook.templates.names import NONE, Names
from runbook.value import frozen

_GOT = re.compile(r"(?:got|unexpected) '(.+)'$")
_OUTSIDE = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport, nodes.Block)
_LOOKED_AT = (nodes.Filter, nodes.Test, nodes.Call, *_OUTSIDE)


@frozen
class Flaw:
    """One thing that is wrong, at a character of the text."""

    message: str
    offset: int
    hint: str | None = None


class Flawed(Exception):
    """A text that is no template; `flaws` says all that is wrong with it."""

    def __init__(self, flaws: list[Flaw]) -> None:
        super().__init__(flaws)
        self.flaws = flaws


@frozen
class Parsed:
    """A tree, whether it is one expression, its needs as (name, offset), and what is defined when it is true."""

    tree: nodes.Template
    single: bool
    needs: tuple[tuple[str, int], ...]
    defines: frozenset[str]


def parse_text(text: str, machine: Machine, *, native: bool) -> Parsed:
    """Parse a template; `native` keeps the type of one that is a single expression. Raises Flawed."""
    try:
        tree = machine.parse(text)
    except TemplateSyntaxError as error:
        raise Flawed([_syntax(text, error)]) from error
    single = _only_expression(tree) if native else None
    if single is not None:
        tree.body = [nodes.Output([single], lineno=single.lineno)]
    _refuse(text, tree, machine)
    names = Names()
    names.body(tree.body, NONE)
    return Parsed(tree, single is not None, _placed(text, names), NONE)


def parse_expression(text: str, machine: Machine) -> Parsed:
    """Parse a condition: an expression without braces. Raises Flawed."""
    try:
        parser = Parser(machine, text, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            token = parser.stream.current
            raise TemplateSyntaxError(f"the expression ends before {token.value!r}", token.lineno)  # noqa: TRY301
    except TemplateSyntaxError as error:
        raise Flawed([_syntax(text, error)]) from error
    tree = nodes.Template([nodes.Output([expression], lineno=1)], lineno=1)
    tree.set_environment(machine)
    _refuse(text, tree, machine)
    names = Names()
    facts = names.expression(expression, NONE)
    return Parsed(tree, single=True, needs=_placed(text, names), defines=facts.true)


def line_start(text: str, line: int) -> int:
    """Give the offset at which a line (from 1) begins."""
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
    return start


def place_of(text: str, name: str, line: int) -> int:
    """Give the offset of a name in a line; of the line's first visible character where it is not found."""
    start = line_start(text, line)
    found = re.compile(rf"(?<![\w.'\"]){re.escape(name)}(?!\w)").search(text, start) or re.compile(r"\S").search(
        text, start
    )
    return found.start() if found else start


def _placed(text: str, names: Names) -> tuple[tuple[str, int], ...]:
    first = dict(reversed(names.needs))
    return tuple((name, place_of(text, name, line)) for name, line in first.items())


def _only_expression(tree: nodes.Template) -> nodes.Expr | None:
    """Give the one expression of a template that has nothing around it."""
    found: list[nodes.Expr] = []
    for node in tree.body:
        if not isinstance(node, nodes.Output):
            return None
        found += node.nodes
    return found[0] if len(found) == 1 and not isinstance(found[0], nodes.TemplateData) else None


def _syntax(text: str, error: TemplateSyntaxError) -> Flaw:
    message = (error.message or "wrong syntax").rstrip(".")
    start = line_start(text, error.lineno)
    got = _GOT.search(message)
    at = text.find(got[1], start) if got else -1
    hint = None
    if "unknown tag" in message:
        hint = "there are for, if, set, macro, call, filter, with and raw"
    elif message.endswith("'='"):
        hint = "write == to compare"
    elif "end of print statement" in message or "ends before" in message:
        hint = "join two values with `~`, or close the expression before this"
    return Flaw(f"template: {message}", at if at >= 0 else place_of(text, "{{", error.lineno), hint)


def _refuse(text: str, tree: nodes.Template, machine: Machine) -> None:
    """Raise all that parses but names what is not there."""
    flaws: list[Flaw] = []
    for node in tree.find_all(_LOOKED_AT):
        if isinstance(node, nodes.Filter):
            flaws += _unknown(text, node, "filter", machine.filters)
        elif isinstance(node, nodes.Test):
            flaws += _unknown(text, node, "test", machine.tests)
        elif isinstance(node, nodes.Call):
            flaws += _lookup(text, node)
        else:
            flaws.append(_outside(text, node))
    if flaws:
        raise Flawed(flaws)


def _unknown(text: str, node: nodes.Filter | nodes.Test, what: str, there: Mapping[str, Any]) -> Iterator[Flaw]:
    if node.name not in there:
        short = node.name.removeprefix("ansible.builtin.")
        hint = f"write {short}" if short in there else suggest(node.name, there)
        yield Flaw(f"there is no {what} {node.name!r}", place_of(text, node.name, node.lineno), hint)


def _lookup(text: str, node: nodes.Call) -> Iterator[Flaw]:
    match node:
        case nodes.Call(
            node=nodes.Name(name="lookup" | "query" | "q" as called), args=[nodes.Const(value=str(kind)), *_]
        ):
            if kind.removeprefix("ansible.builtin.") not in KINDS:
                message, hint = refusal(kind)
                yield Flaw(message, place_of(text, called, node.lineno), hint)


def _outside(text: str, node: nodes.Node) -> Flaw:
    tag = {"FromImport": "from"}.get(type(node).__name__, type(node).__name__.lower())
    offset = place_of(text, tag, node.lineno)
    return Flaw(f"templates stand alone: there is no {{% {tag} %}}", offset, "write the text out, or use {% macro %}")
