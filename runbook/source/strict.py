"""YAML nodes to plain Python values, with everything refused that YAML reads in surprising ways."""

from __future__ import annotations

from typing import Any

import yaml

from runbook.source.compose import Fault, quoted
from runbook.source.place import lines_of
from runbook.source.plain import TYPES, advice, value_of

MOST_NODES = 1_000_000
_LETTERS = ("y", "n", "Y", "N")  # as keys they are never meant as booleans: `{x: 1, y: 2}`


class _TooMany(Exception):
    """The aliases of a file expand to more values than anyone writes."""


class Builder:
    """Builds values and collects every fault on the way; one per document."""

    def __init__(self, text: str) -> None:
        self.faults: list[Fault] = []
        self._text = text
        self._open: set[int] = set()
        self._count = 0

    def build(self, root: yaml.Node) -> Any:
        try:
            return self._value(root)
        except _TooMany:
            hint = "write the values out, or use fewer aliases (*name)"
            self._fault(root, f"the aliases expand to more than {MOST_NODES:,} values", hint)
            return None

    def _value(self, node: yaml.Node) -> Any:
        tag = node.tag
        if tag == "str":
            return node.value
        if tag == "map":
            return self._mapping(node)
        if tag == "list":
            return self._list(node)
        if tag in TYPES and isinstance(node, yaml.ScalarNode):
            return value_of(tag, node.value)
        if tag == "merge":
            return node.value
        return self._refused(node)

    def _list(self, node: yaml.Node) -> list[Any]:
        if not self._enter(node):
            return []
        result = [self._value(item) for item in node.value]
        self._open.discard(id(node))
        return result

    def _mapping(self, node: yaml.Node) -> dict[str, Any] | None:
        if not self._enter(node):
            return None
        result: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        for key_node, value_node in node.value:
            tag = key_node.tag
            if tag == "merge":
                merged.extend(self._merged(value_node))
                continue
            if tag == "str" or key_node.value in _LETTERS:
                key = key_node.value
            elif tag == "map" and key_node.start_mark.index == node.start_mark.index + 1:  # `{{`
                self._bare_template(node)
                break
            else:
                key = self._odd_key(key_node)
            if key in result:
                self._duplicate(node, key_node)
            result[key] = self._value(value_node)
        for mapping in merged:
            for key, value in mapping.items():
                result.setdefault(key, value)
        self._open.discard(id(node))
        return result

    def _enter(self, node: yaml.Node) -> bool:
        self._count += len(node.value) + 1
        if self._count > MOST_NODES:
            raise _TooMany
        if id(node) in self._open:
            self._fault(node, "this anchor holds an alias of itself", "write the inner value out")
            return False
        self._open.add(id(node))
        return True

    def _merged(self, node: yaml.Node) -> list[dict[str, Any]]:
        parts = node.value if node.tag == "list" else [node]
        found = [self._mapping(part) for part in parts if part.tag == "map"]
        if len(found) != len(parts):
            self._fault(node, "'<<' merges mappings only", "write `<<: *name`, or a list of such aliases")
        return [part for part in found if part is not None]

    def _refused(self, node: yaml.Node) -> Any:
        tag = node.tag
        if tag.startswith(("!", "tag:")):
            if tag in ("!vault", "!vault-encrypted"):
                hint = "keep the secret in a .env file and read it with `env_files`"
                self._fault(node, "vault-encrypted values are not read", hint)
            else:
                shown = "!!" + tag.removeprefix("tag:yaml.org,2002:") if tag.startswith("tag:yaml") else tag
                self._fault(node, f"the YAML tag {shown} is not read", "remove it; quotes make a text")
            return None
        message, hint = advice(tag, node.value)
        self._fault(node, message, hint)
        return node.value

    def _odd_key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            if not (node.tag == "map" and self._bare_template(node)):
                self._fault(node, "a key must be a text", "write a short text before the ':'")
            return f"\0{id(node)}"
        if node.tag in TYPES:
            self._fault(node, f"the key {node.value or 'null'!r} is no text", f"write {quoted(node.value)}")
        elif node.tag.startswith(("!", "tag:")):
            self._refused(node)
        else:
            self._fault(node, advice(node.tag, node.value)[0], f"write {quoted(node.value)}")
        return str(node.value)

    def _bare_template(self, node: yaml.Node) -> bool:
        start, end = node.start_mark, node.end_mark
        self._open.discard(id(node))
        line = lines_of(self._text)[start.line]
        if not line.startswith("{{", start.column):
            self._fault(node, "a key must be a text", "write a short text before the ':'")
            return True
        text = line[start.column : end.column] if end.line == start.line else "{{ ... }}"
        self._fault(node, "a template must be quoted", f"write {quoted(text)}")
        return True

    def _duplicate(self, node: yaml.Node, second: yaml.Node) -> None:
        first = next(key for key, _ in node.value if key.value == second.value)
        message = f"the key '{second.value}' stands twice in this mapping"
        self._fault(second, message, f"it is first on line {first.start_mark.line + 1}: keep one of the two")

    def _fault(self, node: yaml.Node, message: str, hint: str | None) -> None:
        mark = node.start_mark
        self.faults.append(Fault(mark.line, mark.column, message, hint))
