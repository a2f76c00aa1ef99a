"""Sandboxed templates that keep the types of values, compiled once, with unknown and secret values flowing through."""

from __future__ import annotations

from runbook.templates.condition import Condition, compile_condition
from runbook.templates.scope import MISSING, Locate, Scope
from runbook.templates.template import (
    Need,
    Template,
    compile_text,
    compile_value,
    needs_of,
    render_text_template,
    render_value,
    text_template_needs,
)

__all__ = [
    "MISSING",
    "Condition",
    "Locate",
    "Need",
    "Scope",
    "Template",
    "compile_condition",
    "compile_text",
    "compile_value",
    "needs_of",
    "render_text_template",
    "render_value",
    "text_template_needs",
]
