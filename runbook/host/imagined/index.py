"""The overlay's tree: directory entries and inodes over those of a real machine, as a file system keeps them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runbook.changes import FileRef, Found, Stat
from runbook.errors import TaskFailed
from runbook.host.reading import matcher
from runbook.host.refusals import Ident, ident
from runbook.units import Secret

if TYPE_CHECKING:
    from runbook.host.protocol import Host

HOPS = 40  # links in one path, as Linux counts them


class Pending(NamedTuple):
    """Content that only a run can tell; `reason` names the step that makes it."""

    reason: str


class Node(NamedTuple):
    """What a name leads to. `origin` is where the real machine has it: the children of a folder, the content of a file.

    `content` is that of a file written here, `target` what a link made here says.
    """

    stat: Stat
    origin: Path | None = None
    content: bytes | Secret | FileRef | Pending | None = None
    target: str | None = None


class Spot(NamedTuple):
    """Where a path leads: a name in a folder, what is there now, and its canonical path."""

    folder: Node
    name: str
    node: Node | None
    path: str


class Tree:
    """One layer: entries (folder → name → inode, or None: gone) and inodes, over a layer below or the real machine.

    Folders and files are known by device and inode, as on a disk: a renamed folder keeps its children, both names of a
    hard link see a chmod, and a folder that is removed and made again is another, through which nothing old shines.
    What is made here has device 0 and a negative inode.
    """

    def __init__(self, real: Host, below: Tree | None) -> None:
        self.real = real
        self.below = below
        self.entries: dict[Ident, dict[str, Ident | None]] = {}
        self.nodes: dict[Ident, Node] = {}
        self.numbers: Iterator[int] = below.numbers if below is not None else count(-1, -1)
        # Real folders that paths lead through, by folder and name: found once, not at every step of a check.
        self._ways: dict[tuple[Ident, str], Node] = below._ways if below is not None else {}  # noqa: SLF001 - our own
        self._root: Node | None = None

    def new_ident(self) -> Ident:
        return 0, next(self.numbers)

    @property
    def now(self) -> int:
        """The run's frozen time in ns, exactly: a float would round it."""
        moment = self.real.now
        return int(moment.replace(microsecond=0).timestamp()) * 10**9 + moment.microsecond * 1000

    def put(self, folder: Node, name: str, node: Node | None) -> None:
        """Let a name lead to a node, or to nothing; the folder's time becomes the run's."""
        key = ident(folder.stat)
        self.entries.setdefault(key, {})[name] = ident(node.stat) if node is not None else None
        if node is not None:
            self.nodes[ident(node.stat)] = node
        current = self.node(key) or folder
        self.nodes[key] = current._replace(stat=replace(current.stat, mtime=self.now))

    def update(self, node: Node) -> None:
        self.nodes[ident(node.stat)] = node

    def node(self, key: Ident) -> Node | None:
        """Give the latest state of an inode that this tree, or one below, holds."""
        tree: Tree | None = self
        while tree is not None:
            if key in tree.nodes:
                return tree.nodes[key]
            tree = tree.below
        return None

    def child(self, folder: Node, name: str, *, through: bool = False) -> Node | None:
        """Give what a name in a folder leads to, links not followed; `through`: the path goes on from there."""
        key = ident(folder.stat)
        tree: Tree | None = self
        while tree is not None:
            entries = tree.entries.get(key)
            if entries is not None and name in entries:
                inode = entries[name]
                return None if inode is None else self.node(inode)
            tree = tree.below
        if folder.origin is None:
            return None
        found = self._ways.get((key, name)) if through else None
        if found is None:
            path = folder.origin / name
            stat = self._real_stat(path)
            if stat is None:
                return None
            found = Node(stat, origin=path)
            if through and stat.is_folder:
                self._ways[key, name] = found
        return self.node(ident(found.stat)) or found

    def _real_stat(self, path: Path) -> Stat | None:
        try:
            return self.real.stat(path, follow=False)
        except TaskFailed as failed:
            if isinstance(failed.__cause__, OSError):  # told again with the path that was asked for
                raise failed.__cause__ from None
            raise

    def children(self, folder: Node, pattern: str = "*") -> dict[str, Node]:
        """Give the entries of a folder whose names match."""
        key = ident(folder.stat)
        found: dict[str, Node] = {}
        if folder.origin is not None:
            for entry in self.real.find(folder.origin, pattern):
                found[entry.path.name] = self.node(ident(entry.stat)) or Node(entry.stat, origin=entry.path)
        matches = matcher(pattern)
        layers: list[Tree] = []
        tree: Tree | None = self
        while tree is not None:
            layers.append(tree)
            tree = tree.below
        for layer in reversed(layers):
            for name, child in layer.entries.get(key, {}).items():
                node = None if child is None else self.node(child)
                if node is None:
                    found.pop(name, None)
                elif matches(name):
                    found[name] = node
        return found

    def matches(self, folder: Node, shown: Path, pattern: str, *, recursive: bool) -> Iterator[Found]:
        """Yield what matches by name in a folder that is shown under a path, in the order of the paths."""
        if not recursive and folder.origin == shown and not self._knows(folder):
            for found in self.real.find(shown, pattern):
                node = self.node(ident(found.stat))
                yield found if node is None else Found(found.path, node.stat)
            return
        wanted = matcher(pattern)
        for name, node in sorted(self.children(folder, "*" if recursive else pattern).items()):
            if wanted(name):
                yield Found(shown / name, node.stat)
            if recursive and node.stat.is_folder:
                yield from self.matches(node, shown / name, pattern, recursive=True)

    def _knows(self, folder: Node) -> bool:
        """Say whether any layer has an entry of the folder."""
        key = ident(folder.stat)
        tree: Tree | None = self
        while tree is not None:
            if key in tree.entries:
                return True
            tree = tree.below
        return False

    def is_empty(self, folder: Node) -> bool:
        return not self.children(folder)

    def target(self, node: Node) -> str:
        """Give what a link says."""
        if node.target is not None:
            return node.target
        said = self.real.readlink(node.origin) if node.origin is not None else None
        if said is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))  # it went between two looks
        return said

    def root(self) -> Spot:
        if self._root is None:
            stat = self._real_stat(Path("/"))
            assert stat is not None
            self._root = Node(stat, origin=Path("/"))
        node = self.node(ident(self._root.stat)) or self._root
        return Spot(node, "", node, "/")

    def walk(self, path: Path, *, follow: bool, lenient: bool = False) -> Spot:
        """Go where a path leads, link by link, `..` after a link included; raises OSError as the system does.

        With `lenient`, what is missing on the way is gone through by its name, as for `resolve`.
        """
        if "\0" in str(path):
            raise ValueError("embedded null byte")
        trail = [self.root()]
        rest = [part for part in reversed(str(path).split("/")) if part not in {"", "."}]
        hops = 0
        while rest:
            name, here = rest.pop(), trail[-1]
            if name == "..":
                if not lenient:
                    _as_folder(here.node)
                trail[1:] = trail[1:-1]
                continue
            spot = self._step(here, name, through=bool(rest), lenient=lenient)
            if spot.node is not None and spot.node.stat.is_link and (follow or rest):
                hops += 1
                if hops > HOPS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                target = self.target(spot.node)
                if target.startswith("/"):
                    del trail[1:]
                rest += [part for part in reversed(target.split("/")) if part not in {"", "."}]
                continue
            trail.append(spot)
        return trail[-1]

    def _step(self, here: Spot, name: str, *, through: bool, lenient: bool) -> Spot:
        folder, path = here.node, f"{here.path}/{name}" if here.path != "/" else f"/{name}"
        if len(name) > 63 and len(os.fsencode(name)) > 255:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        if lenient and (folder is None or not folder.stat.is_folder):
            return Spot(here.folder, name, None, path)
        folder = _as_folder(folder)
        return Spot(folder, name, self.child(folder, name, through=through), path)


def _as_folder(node: Node | None) -> Node:
    if node is None or not node.stat.is_folder:
        number = errno.ENOENT if node is None else errno.ENOTDIR
        raise OSError(number, os.strerror(number))
    return node
