"""Strict YAML in which every value knows its place."""

from runbook.source.compose import uncollected
from runbook.source.document import Document, KeyPath
from runbook.source.read import parse_document, parse_scalar, read_document

__all__ = ["Document", "KeyPath", "parse_document", "parse_scalar", "read_document", "uncollected"]
