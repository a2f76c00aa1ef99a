"""Strict YAML in which every value knows its place."""

from runbook.source.compose import uncollected
from runbook.source.document import Document, KeyPath, excerpt_of_file
from runbook.source.read import parse_document, parse_scalar, read_document

__all__ = ["Document", "KeyPath", "excerpt_of_file", "parse_document", "parse_scalar", "read_document", "uncollected"]
