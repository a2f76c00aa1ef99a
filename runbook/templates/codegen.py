"""How expressions become code: values keep their types, and what may be secret or unknown passes through our hands."""

# ruff: noqa: ARG002, N802 - the names and signatures are those that Jinja calls

from __future__ import annotations

from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame


def label_of(node: nodes.Node) -> str | None:
    """Give an expression as it was written, if it is a path: `results[0].path`."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr | nodes.Getitem):
        owner = label_of(node.node)
        if owner is None:
            return None
        if isinstance(node, nodes.Getattr):
            return f"{owner}.{node.attr}"
        return f"{owner}[{node.arg.value!r}]" if isinstance(node.arg, nodes.Const) else None
    return None


class NativeCode(CodeGenerator):
    """Code that yields values as they are; nothing is computed before the template is rendered."""

    def write_commons(self) -> None:
        super().write_commons()
        self.writeline("cond_expr_undefined = environment.undefined")

    def _output_const_repr(self, group: Any) -> str:
        return repr("".join(group))

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if isinstance(node, nodes.TemplateData):
            return node.data
        raise nodes.Impossible  # `'x' is exists` must be asked each time

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        """Write nothing: no `str()` around a value."""

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        """Write nothing: see above."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.tilde((")
        for child in node.nodes:
            self.visit(child, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        self.write("(environment.plain(")
        self.visit(node.expr, frame)
        self.write(")")
        for operand in node.ops:
            self.visit(operand, frame)
        self.write(")")

    def visit_Operand(self, node: nodes.Operand, frame: Frame) -> None:
        self.write(f" {_SYMBOLS[node.op]} environment.plain(")
        self.visit(node.expr, frame)
        self.write(")")

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:
        self.write("environment.getattr(")
        self.visit(node.node, frame)
        self.write(f", {node.attr!r}, {label_of(node.node)!r})")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        self.write("environment.getitem(")
        self.visit(node.node, frame)
        self.write(", ")
        if isinstance(node.arg, nodes.Slice):
            self._slice(node.arg, frame)
        else:
            self.visit(node.arg, frame)
        self.write(f", {label_of(node.node)!r})")

    def _slice(self, node: nodes.Slice, frame: Frame) -> None:
        self.write("slice(")
        for bound in (node.start, node.stop, node.step):
            if bound is None:
                self.write("None, ")
            else:
                self.visit(bound, frame)
                self.write(", ")
        self.write(")")


_SYMBOLS = {
    "eq": "==",
    "ne": "!=",
    "gt": ">",
    "gteq": ">=",
    "lt": "<",
    "lteq": "<=",
    "in": "in",
    "notin": "not in",
}
