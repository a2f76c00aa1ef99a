"""Which variables a template needs: found on the parsed tree, knowing what guards them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field

from jinja2 import nodes

from runbook.templates.plain import GLOBALS
from runbook.value import frozen, record

Known = frozenset[str]
NONE: Known = frozenset()


@frozen
class Facts:
    """What is certainly defined after an expression came out true, and after it came out false."""

    true: Known = NONE
    false: Known = NONE

    @property
    def always(self) -> Known:
        return self.true & self.false


@record
class Names:
    """The walk over one template; `needs` collects (name, line), the line counted from 1."""

    needs: list[tuple[str, int]] = field(default_factory=list)

    def expression(self, node: nodes.Node | None, known: Known) -> Facts:
        """Collect what an expression needs beyond the known names, and say what it tells."""
        match node:
            case None:
                return Facts()
            case nodes.Name():
                return self._name(node, known)
            case nodes.And() | nodes.Or():
                return self._both(node, known)
            case nodes.Not():
                inner = self.expression(node.node, known)
                return Facts(inner.false, inner.true)
            case nodes.CondExpr():
                return self._choice(node, known)
            case nodes.Test(name="defined" | "undefined"):
                root = self._soft(node.node, known)
                seen = Facts(root) if node.name == "defined" else Facts(NONE, root)
                return Facts(seen.true, seen.false)
            case nodes.Filter(name="default" | "d"):
                self._soft(node.node, known)
                return self._all((child for child in node.iter_child_nodes() if child is not node.node), known)
            case _:
                return self._all(node.iter_child_nodes(), known)

    def _name(self, node: nodes.Name, known: Known) -> Facts:
        if node.ctx != "load" or node.name in GLOBALS:
            return Facts()
        if node.name not in known:
            self.needs.append((node.name, node.lineno))
        found = frozenset({node.name})
        return Facts(found, found)

    def _all(self, children: Iterable[nodes.Node], known: Known) -> Facts:
        certain = NONE
        for child in children:
            certain |= self.expression(child, known).always
        return Facts(certain, certain)

    def _both(self, node: nodes.And | nodes.Or, known: Known) -> Facts:
        left = self.expression(node.left, known)
        if _constant(node.left) is isinstance(node, nodes.Or):
            return left  # the right side is never asked
        if isinstance(node, nodes.And):
            right = self.expression(node.right, known | left.true)
            return Facts(left.true | right.true, left.false & (left.true | right.false))
        right = self.expression(node.right, known | left.false)
        return Facts(left.true & (left.false | right.true), left.false | right.false)

    def _choice(self, node: nodes.CondExpr, known: Known) -> Facts:
        constant = _constant(node.test)
        if constant is not None:
            return self.expression(node.expr1 if constant else node.expr2, known)
        test = self.expression(node.test, known)
        yes = self.expression(node.expr1, known | test.true)
        no = self.expression(node.expr2, known | test.false)
        if node.expr2 is None:
            return Facts(test.true | yes.true, test.true | yes.false)
        return Facts((test.true | yes.true) & (test.false | no.true), (test.true | yes.false) & (test.false | no.false))

    def _soft(self, node: nodes.Node | None, known: Known) -> Known:
        """Walk what may be undefined; gives the name that must be defined for it to be."""
        match node:
            case nodes.Name():
                return frozenset({node.name})
            case nodes.Getattr():
                return self._soft(node.node, known)
            case nodes.Getitem():
                self.expression(node.arg, known)
                return self._soft(node.node, known)
            case nodes.Filter():
                root = self._soft(node.node, known)
                for child in node.iter_child_nodes():
                    if child is not node.node:
                        self._soft(child, known)
                return NONE if node.name in ("default", "d") else root
            case nodes.CondExpr():
                test = self.expression(node.test, known)
                self._soft(node.expr1, known | test.true)
                self._soft(node.expr2, known | test.false)
                return NONE
            case None:
                return NONE
            case _:
                return self.expression(node, known).always

    def body(self, statements: Iterable[nodes.Node], known: Known) -> Known:
        """Walk statements in their order; gives the names known after them."""
        for node in statements:
            known = self._statement(node, known)
        return known

    def _statement(self, node: nodes.Node, known: Known) -> Known:
        match node:
            case nodes.If():
                return self._if(node, known)
            case nodes.For():
                self.expression(node.iter, known)
                inner = known | set(_stored(node.target)) | {"loop"}
                self.body(node.body, inner | self.expression(node.test, inner).true)
                self.body(node.else_, known)
            case nodes.Assign():
                self.expression(node.node, known)
                return known | set(_stored(node.target))
            case nodes.AssignBlock():
                self._filtered(node.filter, node.body, known)
                return known | set(_stored(node.target))
            case nodes.FilterBlock():
                self._filtered(node.filter, node.body, known)
            case nodes.Macro() | nodes.CallBlock():
                return self._macro(node, known)
            case nodes.With():
                self._all(node.values, known)
                self.body(node.body, known.union(*map(_stored, node.targets)))
            case nodes.Scope() | nodes.ScopedEvalContextModifier():
                self.body(node.body, known)
            case _:
                self._all(node.iter_child_nodes(), known)
        return known

    def _if(self, node: nodes.If, known: Known) -> Known:
        """Walk the branches; a name that any of them sets counts as set, since it is the template's own."""
        after, rest = known, known
        for branch in (node, *node.elif_):
            if _constant(branch.test) is False:
                continue
            test = self.expression(branch.test, rest)
            guarded = rest | test.true
            after |= self.body(branch.body, guarded) - guarded
            if _constant(branch.test) is True:
                return after
            rest |= test.false
        return after | (self.body(node.else_, rest) - rest)

    def _filtered(self, node: nodes.Filter | None, body: list[nodes.Node], known: Known) -> None:
        self.expression(node, known)
        self.body(body, known)

    def _macro(self, node: nodes.Macro | nodes.CallBlock, known: Known) -> Known:
        self._all(node.defaults, known)
        if isinstance(node, nodes.CallBlock):
            self.expression(node.call, known)
        own = {argument.name for argument in node.args} | {"caller", "varargs", "kwargs"}
        after = known | {node.name} if isinstance(node, nodes.Macro) else known
        self.body(node.body, after | own)
        return after


def _constant(node: nodes.Node) -> bool | None:
    return node.value if isinstance(node, nodes.Const) and isinstance(node.value, bool) else None


def _stored(target: nodes.Node) -> Iterator[str]:
    """Give the names that an assignment or a loop sets."""
    if isinstance(target, nodes.Name):
        yield target.name
    for child in target.find_all(nodes.Name):
        yield child.name
