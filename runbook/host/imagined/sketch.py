"""The mutators of an overlay: each change drawn on its tree, and refused where the system would refuse it."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

from runbook.changes import Content, Stat
from runbook.errors import TaskFailed
from runbook.host.files.altering import refuse_mount
from runbook.host.imagined.drafts import Kept, joined, keep, new_stat, permit_reading, second_name, symbolic
from runbook.host.imagined.index import Node, Pending, Spot, Tree
from runbook.host.imagined.permits import fault, may, permit
from runbook.host.reading import require_file
from runbook.host.refusals import (
    Ident,
    altered,
    appeared,
    expect,
    foreign,
    ident,
    nameable,
    refusing,
    shown,
    vanished,
)
from runbook.unknown import Unknown


class Sketch:
    """The changes of one step on an overlay; `made` is what it made, as a change planned elsewhere may mean it."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._made: dict[Ident, Stat] = {}

    def write(self, path: Path, content: Content, *, mode: int | None, was: Stat | None, mtime: int | None) -> None:
        with refusing("write", path):
            spot = self._destination("write", path, was)
            permit(self._tree, spot.folder, spot.node and spot.node.stat)
            kept, size = keep(self._tree, content)
            self._place(spot, mode=mode, size=size, content=kept, mtime=mtime)

    def produce(self, path: Path, reason: str, *, mode: int | None, was: Stat | None) -> None:
        with refusing("produce", path):
            spot = self._destination("produce", path, was)
            permit(self._tree, spot.folder, spot.node and spot.node.stat)
            self._place(spot, mode=mode, size=Unknown(reason), content=Pending(reason))

    def append(self, path: Path, content: bytes | Unknown, reason: str) -> None:
        with refusing("add to", path):
            spot = self._tree.walk(path, follow=True)
            node = spot.node
            if node is None:
                permit(self._tree, spot.folder)
                kept: Kept = Pending(reason) if isinstance(content, Unknown) else content
                size = Unknown(reason) if isinstance(content, Unknown) else len(content)
                self._place(spot, mode=None, size=size, content=kept)
                return
            require_file("add to", path, node.stat)
            if not may(node.stat, 2):
                raise fault(errno.EACCES)
            whole = joined(self._tree, node, content, reason)
            size = Unknown(reason) if isinstance(content, Unknown) else node.stat.size + len(content)
            self._tree.update(node._replace(stat=replace(node.stat, size=size, mtime=self._tree.now), content=whole))

    def remove(self, path: Path, *, was: Stat) -> None:
        nameable("remove", path)
        with refusing("remove", path):
            try:
                spot = self._tree.walk(path, follow=False)
            except FileNotFoundError as error:
                raise vanished(path) from error
            self._expect(path, spot.node, was)
            assert spot.node is not None
            if spot.node.stat.is_folder:
                refuse_mount(Path(spot.path), self._tree.real.mounts())
            permit(self._tree, spot.folder, spot.node.stat)
            if spot.node.stat.is_folder and not self._tree.is_empty(spot.node):
                raise fault(errno.ENOTEMPTY)
            self._unlink(spot)

    def move(self, path: Path, to: Path, *, was: Stat) -> None:
        nameable("move", path)
        with refusing(f"move {shown(path)} to", to):
            spot = self._there(path, was)
            node = spot.node
            assert node is not None
            new = self._free(to)
            if node.stat.is_folder and new.path.startswith(f"{spot.path}/"):
                raise fault(errno.EINVAL)
            permit(self._tree, spot.folder, node.stat)
            permit(self._tree, new.folder)
            elsewhere = ident(spot.folder.stat) != ident(new.folder.stat)
            if node.stat.is_folder and elsewhere and not may(node.stat, 2):
                raise fault(errno.EACCES)  # its `..` has to be written
            self._tree.put(spot.folder, spot.name, None)
            self._tree.put(new.folder, new.name, node)

    def make_folder(self, path: Path, *, mode: int | None) -> None:
        with refusing("make the folder", path):
            spot = self._free(path)
            permit(self._tree, spot.folder)
            if mode is None:
                mode = 0o755 & ~self._tree.real.umask | spot.folder.stat.mode & 0o2000
            self._put(spot, Node(new_stat(self._tree, "folder", spot.folder, mode=mode, size=4096, links=2)))

    def chmod(self, path: Path, mode: int, *, was: Stat) -> None:
        with refusing("change the mode of", path):
            try:
                node = self._tree.walk(path, follow=True).node
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                    raise
                node = None
            if node is None:
                raise vanished(path)
            known = ident(node.stat) in self._made if self._foreign(was) else ident(node.stat) == ident(was)
            if not known or node.stat.kind != was.kind:
                raise altered(path)
            if os.geteuid() not in {0, node.stat.uid}:
                raise fault(errno.EPERM)
            self._tree.update(node._replace(stat=replace(node.stat, mode=mode)))

    def link(self, path: Path, to: str, *, hard: bool, was: Stat | None, cwd: Path) -> None:
        with refusing("make the link", path):
            second = second_name(self._tree, path, cwd / to) if hard else None
            spot = self._planned(path, was, follow=False)
            if spot.node is not None and spot.node.stat.is_folder:
                raise fault(errno.EISDIR)
            made = second or symbolic(self._tree, to, spot.folder)
            permit(self._tree, spot.folder, spot.node and spot.node.stat)
            if made.stat.is_folder:
                raise fault(errno.EPERM)
            if spot.node is not None and ident(spot.node.stat) == ident(made.stat):
                return
            if hard:
                made = made._replace(stat=replace(made.stat, links=made.stat.links + 1))
            self._put(spot, made)

    def compress(self, path: Path, to: Path, reason: str, *, was: Stat, level: int) -> None:
        if level not in range(4):
            raise TaskFailed(f"cannot compress with level {level}; write one from 0, the fastest, to 3, the smallest")
        with refusing(f"compress {shown(path)} into", to):
            node = self._there(path, was).node
            assert node is not None
            require_file("compress", path, node.stat)
            self._refuse_taken(to)
            permit_reading(node)
            spot = self._free(to)
            permit(self._tree, spot.folder)
            new = new_stat(self._tree, "file", spot.folder, mode=node.stat.mode, size=Unknown(reason))
            stat = replace(new, mtime=node.stat.mtime)
            if os.geteuid() == 0:
                stat = replace(stat, uid=node.stat.uid, gid=node.stat.gid)
            self._put(spot, Node(stat, content=Pending(reason)))

    def hold(self, path: Path) -> Stat | None:
        """Give the status of what is there, and keep it so, though the real file goes on growing."""
        node = self._tree.walk(path, follow=False).node
        if node is not None:
            self._tree.update(node)
        return node.stat if node is not None else None

    # Within

    def _destination(self, verb: str, path: Path, was: Stat | None) -> Spot:
        spot = self._planned(path, was, follow=True)
        if spot.node is not None:
            require_file(verb, path, spot.node.stat)
        return spot

    def _planned(self, path: Path, was: Stat | None, *, follow: bool) -> Spot:
        """Give the spot, if what the change was planned on is there."""
        try:
            spot = self._tree.walk(path, follow=follow)
        except (FileNotFoundError, NotADirectoryError):
            self._expect(path, None, was)
            raise
        self._expect(path, spot.node, was)
        return spot

    def _there(self, path: Path, was: Stat) -> Spot:
        spot = self._planned(path, was, follow=False)
        assert spot.node is not None
        return spot

    def _free(self, path: Path) -> Spot:
        spot = self._tree.walk(path, follow=False)
        if spot.node is not None:
            raise appeared(path)
        return spot

    def _refuse_taken(self, path: Path) -> None:
        try:
            self._free(path)
        except (FileNotFoundError, NotADirectoryError):
            return  # said in its turn, when the file would be made

    def _foreign(self, was: Stat) -> bool:
        return foreign(was) and self._tree.node(ident(was)) is None

    def _expect(self, path: Path, node: Node | None, was: Stat | None) -> None:
        now = node.stat if node is not None else None
        if was is not None and foreign(was) and not self._foreign(was):
            if now is None:
                raise vanished(path)
            if not was.same_as(now):
                raise altered(path)
            return
        expect(path, now, was, self._made)

    def _place(
        self,
        spot: Spot,
        *,
        mode: int | None,
        size: int | Unknown,
        content: Kept,
        mtime: int | None = None,
    ) -> None:
        """Put a new file over what is there: another inode, with the old one's mode, and for root its owner."""
        old = spot.node.stat if spot.node is not None else None
        if mode is None:
            mode = old.mode if old is not None else 0o644 & ~self._tree.real.umask
        stat = new_stat(self._tree, "file", spot.folder, mode=mode, size=size)
        if mtime is not None:
            stat = replace(stat, mtime=mtime)
        if old is not None and os.geteuid() == 0:
            stat = replace(stat, uid=old.uid, gid=old.gid)
        self._put(spot, Node(stat, content=content))

    def _put(self, spot: Spot, node: Node) -> None:
        if spot.node is not None:
            self._unlink(spot)
        self._tree.put(spot.folder, spot.name, node)
        self._made[ident(node.stat)] = node.stat

    def _unlink(self, spot: Spot) -> None:
        """Take a name away; other names of the same file see that there is one less."""
        assert spot.node is not None
        self._tree.put(spot.folder, spot.name, None)
        if spot.node.stat.links > 1 and not spot.node.stat.is_folder:
            self._tree.update(spot.node._replace(stat=replace(spot.node.stat, links=spot.node.stat.links - 1)))
