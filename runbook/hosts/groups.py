"""The groups of inventory files: hosts, ranges of hosts, children, and no cycles."""

from __future__ import annotations

import re
from typing import Any

from runbook.errors import Invalid
from runbook.hosts.inventory import Group, Layer
from runbook.inputs import NAME, NAME_HINT
from runbook.source import Document, KeyPath
from runbook.suggest import suggest

MOST_HOSTS = 100_000
_PARTS = ("hosts", "children", "vars")
_GROUP_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_HOST_NAME = re.compile(r"[^\s,!&~*?\[\]{}]+")
_RANGE = re.compile(r"\[(?:([0-9]+):([0-9]+)|([a-zA-Z]):([a-zA-Z]))(?::([1-9][0-9]*))?\]")


class GroupReader:
    """Reads documents one after the other; a group may be described in several. `hosts` keeps the written order."""

    def __init__(self, problems: list[Invalid]) -> None:
        self.groups = {"all": Group("all"), "ungrouped": Group("ungrouped", depth=1)}
        self.hosts: dict[str, list[Layer]] = {}
        self._problems = problems

    def read(self, document: Document) -> None:
        """Take in the groups of a file."""
        if not isinstance(document.value, dict):
            hint = "write `all: {hosts: {web1: }}`; INI inventories are not read"
            self._problems.append(document.problem("an inventory is a mapping of groups", hint=hint))
            return
        for name, raw in document.value.items():
            self._group(document, name, raw, (name,))

    def _group(self, document: Document, name: str, raw: Any, path: KeyPath) -> None:
        if not _GROUP_NAME.fullmatch(name):
            hint = "a group's name holds letters, digits, _, - and ., and starts with a letter"
            self._problem(document, f"'{name}' is no name for a group", path, hint, key=True)
        group = self.groups.setdefault(name, Group(name))
        group.place = group.place or (document, path)
        if raw is None:
            return
        if not isinstance(raw, dict):
            hint = f"write `{name}: {{hosts: {{web1: }}}}`"
            self._problem(document, f"the group '{name}' takes a mapping", path, hint)
            return
        for part, value in raw.items():
            here = (*path, part)
            if part not in _PARTS:
                hint = suggest(part, _PARTS) or "a group has hosts, children and vars; hosts stand below `hosts:`"
                self._problem(document, f"a group has no '{part}'", here, hint, key=True)
            elif value is None:
                continue
            elif not isinstance(value, dict):
                hint = f"write `{part}: {{name: value}}`" if part == "vars" else f"write `{part}:` and below it `name:`"
                self._problem(document, f"'{part}' takes a mapping", here, hint)
            elif part == "hosts":
                self._hosts(document, group, value, here)
            elif part == "children":
                for child, below in value.items():
                    group.children.setdefault(child, (document, (*here, child)))
                    self._group(document, child, below, (*here, child))
            else:
                self._vars(document, value, here)
                group.written.append(Layer(f"group {name} ({document.file})", document, here))

    def _hosts(self, document: Document, group: Group, value: dict[str, Any], path: KeyPath) -> None:
        for pattern, written in value.items():
            here = (*path, pattern)
            try:
                names = expand(pattern)
            except ValueError as error:
                self._problem(document, str(error), here, "write for example web1, or web[01:20]", key=True)
                continue
            if isinstance(written, dict):
                self._vars(document, written, here)
            elif written is not None:
                self._problem(document, f"the host '{pattern}' takes a mapping", here, "write `name: value` below it")
                continue
            for name in names:
                group.hosts[name] = None
                layers = self.hosts.setdefault(name, [])
                if written:
                    layers.append(Layer(f"host {name} ({document.file})", document, here))

    def _vars(self, document: Document, value: dict[str, Any], path: KeyPath) -> None:
        for name in value:
            if not NAME.fullmatch(name):
                message = f"'{name}' is no name for a variable"
                self._problem(document, message, (*path, name), NAME_HINT, key=True)

    def link(self) -> None:
        """Find cycles, names that are host and group, and each group's depth."""
        for group in self.groups.values():
            for child, (document, path) in group.children.items():
                if child in ("all", group.name) or group.name in self._below(child):
                    hint = "remove one of the two"
                    self._problem(document, f"'{group.name}' is within its own child '{child}'", path, hint, key=True)
                    return
            if group.name in self.hosts and group.place is not None:
                hint = "rename the group, so that a pattern means one of them"
                self._problem(group.place[0], f"'{group.name}' is a host and a group", group.place[1], hint, key=True)
        self._deepen("all", [name for name in self.groups if name != "all"], 1)

    def _deepen(self, name: str, children: list[str], depth: int) -> None:
        for child in children:
            group = self.groups[child]
            if child != name and (group.depth < depth):
                group.depth = depth
                self._deepen(child, list(group.children), depth + 1)

    def _below(self, name: str) -> dict[str, None]:
        """Give the group's descendants and itself, those nearer first."""
        found = {name: None}
        queue = [name]
        while queue:
            children = [child for each in queue for child in self.groups[each].children if child not in found]
            queue = list(dict.fromkeys(children))
            found |= dict.fromkeys(queue)
        return found

    def members(self, name: str) -> list[str]:
        """Give the hosts of a group and of the groups below it, each once."""
        return list(dict.fromkeys(host for group in self._below(name) for host in self.groups[group].hosts))

    def _problem(self, document: Document, message: str, path: KeyPath, hint: str, *, key: bool = False) -> None:
        self._problems.append(document.problem(message, path, key=key, hint=hint))


def expand(pattern: str) -> list[str]:
    """Give the hosts that a name with ranges stands for: `web[01:03]`, `db[a:c]`, `n[0:9:3]`. Raises ValueError."""
    match = _RANGE.search(pattern)
    if match is None:
        if not _HOST_NAME.fullmatch(pattern):
            raise ValueError(f"'{pattern}' is no name for a host")
        return [pattern]
    first, last, low, high, step = match.groups()
    start, stop = (int(first), int(last)) if first else (ord(low), ord(high))
    numbers = range(start, stop + 1, int(step or 1))
    rest = expand(pattern[match.end() :]) if match.end() < len(pattern) else [""]
    if not numbers or len(numbers) * len(rest) > MOST_HOSTS:
        raise ValueError(f"the range '{match[0]}' is empty or longer than {MOST_HOSTS:,} hosts")
    width = len(first) if first and first.startswith("0") else 0
    parts = [str(number).zfill(width) if first else chr(number) for number in numbers]
    before = pattern[: match.start()]
    if before and not _HOST_NAME.fullmatch(before):
        raise ValueError(f"'{pattern}' is no name for a host")
    return [before + part + tail for part in parts for tail in rest]
