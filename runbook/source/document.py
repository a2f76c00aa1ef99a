"""A YAML file as plain values that can be traced back to their places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from runbook.errors import Invalid, Where
from runbook.source.place import excerpt, inside, lines_of

KeyPath = tuple[str | int, ...]


class Document:
    """A file that was read: `value` holds dict, list, str, int, float, bool and None.

    A path such as `(0, "steps", 3, "name")` leads from the root to a value; what has no place of its own (it is not
    in the file) is shown where its nearest ancestor stands. Positions are looked up when asked for, errors being rare.
    """

    def __init__(
        self, file: str, text: str, value: Any, *, root: yaml.Node | None, path: Path | None, sha256: str
    ) -> None:
        self.file = file
        self.path = path
        self.text = text
        self.value = value
        self.sha256 = sha256
        self._root = root
        self._lines: list[str] | None = None

    def __repr__(self) -> str:
        return f"Document({self.file!r})"

    def get(self, path: KeyPath) -> Any:
        """Give the value at the path, or None where nothing is."""
        value = self.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def where(self, path: KeyPath = (), *, offset: int = 0) -> Where:
        """Give the place of a value, or of the character at `offset` of a text."""
        node, key, _ = self._find(path)
        if node is None:
            return Where(self.file)
        if offset and isinstance(node, yaml.ScalarNode) and key is not node:
            line, column = inside(self._text_lines(), node, offset)
            return Where(self.file, line + 1, column + 1)
        return self._place(node)

    def key_where(self, path: KeyPath) -> Where:
        """Give the place of the key of a value; an item of a list has none, so its own place."""
        node, key, _ = self._find(path)
        found = key or node
        return self._place(found) if found is not None else Where(self.file)

    def excerpt(self, where: Where) -> str | None:
        """Show the line with a caret below the column; None for the file as a whole."""
        return excerpt(self._text_lines(), where.line, where.column) or None

    def problem(
        self, message: str, path: KeyPath = (), *, key: bool = False, hint: str | None = None, offset: int = 0
    ) -> Invalid:
        """Build the error that shows the value, or its key, or the character at `offset` of a text."""
        where = self.key_where(path) if key else self.where(path, offset=offset)
        alias = None if key else self._find(path)[2]
        if alias is not None:
            used = f"used by an alias at {self._place(alias)}"
            hint = f"{hint}; {used}" if hint else used
        return Invalid(message, where=where, hint=hint, excerpt=self.excerpt(where))

    def _text_lines(self) -> list[str]:
        if self._lines is None:
            self._lines = lines_of(self.text)
        return self._lines

    def _place(self, node: yaml.Node) -> Where:
        return Where(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _find(self, path: KeyPath) -> tuple[yaml.Node | None, yaml.Node | None, yaml.Node | None]:
        """Give the node at the path, its key, and the key or list under which an alias was used on the way."""
        node, key, alias = self._root, None, None
        for step in path:
            below = _child(node, step)
            if below is None:
                return node, key, alias
            parent, (key, node) = node, below
            anchor = key or parent
            if anchor is not None and node.start_mark.index < anchor.start_mark.index:
                alias = anchor  # a value that stands before its key was anchored there
        return node, key, alias


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode):
        return (None, node.value[step]) if isinstance(step, int) and -1 < step < len(node.value) else None
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if key.value == step and key.tag != "merge":
            return key, value
    for key, value in node.value:
        if key.tag == "merge":
            for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                found = _child(part, step)
                if found is not None:
                    return found
    return None


def excerpt_of_file(where: Where) -> str | None:
    """Show a line of a file that was not read as YAML, or is at hand no more."""
    try:
        text = Path(where.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return excerpt(lines_of(text), where.line, where.column) or None
