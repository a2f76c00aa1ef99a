"""Hosts, groups and their variables, as they were read."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any

from runbook.errors import Invalid, Where
from runbook.hosts.patterns import NoMatch, choose
from runbook.source import Document, KeyPath
from runbook.value import record

Values = dict[str, tuple[Any, Where]]


@record
class Layer:
    """Variables that stand together at a path of a document."""

    label: str
    document: Document
    path: KeyPath
    _values: Values | None = None

    @property
    def values(self) -> Values:
        """Each variable's value and place, looked up once."""
        if self._values is None:
            written = self.document.get(self.path) or {}
            self._values = {name: (value, self.document.where((*self.path, name))) for name, value in written.items()}
        return self._values


@record
class Group:
    """A group: its own hosts, its children with the place that names them, and layers of variables.

    `depth` is the longest way down from `all`; `place` is where it is first written.
    """

    name: str
    place: tuple[Document, KeyPath] | None = None
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, tuple[Document, KeyPath]] = field(default_factory=dict)
    written: list[Layer] = field(default_factory=list)
    near_inventory: list[Layer] = field(default_factory=list)
    near_playbook: list[Layer] = field(default_factory=list)
    depth: int = 0


@record
class Inventory:
    """Who can be operated. `groups` maps every group, `all` and `ungrouped` too, to its hosts, children's included.

    `hosts` are those of `all`, in the order in which they are written; `path` is the file or folder that was read.
    """

    path: Path
    hosts: list[str]
    groups: dict[str, list[str]]
    _tree: dict[str, Group]
    _host_layers: dict[str, list[Layer]]
    _groups_of: dict[str, list[str]]

    def select(self, patterns: list[str] | str, *, where: Where | None = None) -> list[str]:
        """Give the hosts that patterns mean, in their order. Raises Invalid at `where` if one means none."""
        try:
            return choose([patterns] if isinstance(patterns, str) else patterns, self.groups, self.hosts)
        except NoMatch as error:
            raise Invalid(error.message, where=where, hint=error.hint) from error

    def group_names(self, host: str) -> list[str]:
        """Give the groups that a host is in, sorted, without `all`."""
        return sorted(name for name in self._groups_of.get(host, ()) if name != "all")

    def layers(self, host: str) -> list[tuple[str, Values]]:
        """Give the host's variables, lowest first: label, and name to value and place.

        Groups written in the inventory, from `all` down; then `group_vars/all` and `group_vars/` of the others, those
        beside the inventory below those beside the playbook; then the host's own in the same order.
        """
        below = [self._tree[name] for name in self._groups_of.get(host, ()) if name != "all"]
        below.sort(key=lambda group: (group.depth, group.name))
        top = self._tree["all"]
        found = [layer for group in (top, *below) for layer in group.written]
        found += [*top.near_inventory, *top.near_playbook]
        found += [layer for group in below for layer in group.near_inventory]
        found += [layer for group in below for layer in group.near_playbook]
        found += self._host_layers.get(host, [])
        return [(layer.label, layer.values) for layer in found]
