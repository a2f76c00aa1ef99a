"""How the files of an overlay are read: where it knows nothing, the host below is asked; where it does, its tree."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, BinaryIO

from runbook.changes import FileRef, Found, Stat, Usage
from runbook.errors import Unsure
from runbook.host.imagined.doubts import Doubts
from runbook.host.imagined.index import Node, Pending, Tree
from runbook.host.imagined.permits import fault, may, may_change
from runbook.host.protocol import Host
from runbook.host.reading import bounded, digest, require_file, uncollected
from runbook.host.refusals import below, refusing
from runbook.units import Secret

if TYPE_CHECKING:
    from runbook.changes.rotation import Custody

_NOTHING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class View:
    """The reading half of an overlay, over a host that may be one too.

    Steps of several hosts may read and change one overlay at the same time: whoever looks at the tree, or changes it,
    holds the lock, which an overlay shares with those below and above it. Nobody holds it while a server is asked, a
    process runs, or a file's content is read.
    """

    _real: Host
    _tree: Tree
    _doubts: Doubts
    lock: RLock

    def __init__(self, base: Host) -> None:
        self._base = base
        below = base if isinstance(base, View) else None
        self._real = base if below is None else below._real  # noqa: SLF001 - of our own kind
        self._tree = Tree(self._real, None if below is None else below._tree)  # noqa: SLF001
        self._doubts = Doubts(None if below is None else below._doubts)  # noqa: SLF001
        self.lock = RLock() if below is None else below.lock

    @property
    def now(self) -> datetime:
        return self._real.now

    @property
    def cwd(self) -> Path:
        return self._real.cwd

    @property
    def env(self) -> Mapping[str, str]:
        return self._real.env

    @property
    def umask(self) -> int:
        return self._real.umask

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._real.facts

    @property
    def secrets(self) -> Sequence[Secret]:
        return self._real.secrets

    def meter(self, text: str, total: int) -> Callable[[int], None]:
        return self._real.meter(text, total)

    def check_deadline(self) -> None:
        self._base.check_deadline()

    def stat(self, path: Path, *, follow: bool = True) -> Stat | None:
        path = self._at(path)
        if self._untouched():
            return self._base.stat(path, follow=follow)
        with self.lock, refusing("look at", path):
            node = self._look(path, follow=follow)
            return None if node is None else node.stat

    def find(self, directory: Path, pattern: str = "*", *, recursive: bool = False) -> list[Found]:
        directory = self._at(directory)
        if self._untouched():
            return self._base.find(directory, pattern, recursive=recursive)
        with self.lock, refusing("list", directory):
            spot = self._tree.walk(directory, follow=True, lenient=True)
            self._certain(directory, spot.path, listing=True, recursive=recursive)
            try:
                node = self._tree.walk(directory, follow=True).node
            except FileNotFoundError:
                node = None
            if node is None:
                return []
            if not node.stat.is_folder:
                raise fault(errno.ENOTDIR)
            with uncollected():
                return list(self._tree.matches(node, directory, pattern, recursive=recursive))

    def read(self, path: Path, *, limit: int = 64 * 2**20) -> bytes:
        path = self._at(path)
        if self._untouched():
            return self._base.read(path, limit=limit)
        with self.open(path) as file, refusing("read", path):
            return bounded(path, file, limit)

    def open(self, path: Path) -> BinaryIO:
        path = self._at(path)
        if self._untouched():
            return self._base.open(path)
        with self.lock, refusing("read", path):
            content = self._content(path)
            if isinstance(content, Path):
                return self._real.open(content)
            if isinstance(content, FileRef):
                return self._real.open(content.path)
            return io.BytesIO(content)

    def sha256(self, path: Path) -> str:
        path = self._at(path)
        if self._untouched():
            return self._base.sha256(path)
        with self.lock, refusing("read", path):
            content = self._content(path)
        if isinstance(content, FileRef):
            return content.sha256
        return self._real.sha256(content) if isinstance(content, Path) else digest(io.BytesIO(content), lambda: None)

    def custody(self, path: Path) -> Custody:
        from runbook.changes.rotation import Custody

        node = self._there(path)
        return Custody() if node.origin is None else self._real.custody(node.origin)

    def born(self, path: Path) -> int | None:
        node = self._there(path)
        return None if node.origin is None else self._real.born(node.origin)

    def readlink(self, path: Path) -> str | None:
        path = self._at(path)
        if self._untouched():
            return self._base.readlink(path)
        with self.lock, refusing("read the link", path):
            node = self._look(path, follow=False)
            return self._tree.target(node) if node is not None and node.stat.is_link else None

    def resolve(self, path: Path) -> Path:
        path = self._at(path)
        if self._untouched():
            return self._base.resolve(path)
        with self.lock, refusing("resolve", path):
            spot = self._tree.walk(path, follow=True, lenient=True)
            self._certain(path, spot.path)
            return Path(spot.path)

    def writable(self, folder: Path) -> bool:
        folder = self._at(folder)
        if self._untouched():
            return self._base.writable(folder)
        with self.lock, refusing("look at", folder):
            node = self._look(folder, follow=True)
            return node is not None and may_change(self._tree, node)

    def mounts(self) -> Sequence[Path]:
        return self._real.mounts()

    def usage(self, path: Path) -> Usage:
        """Give the space of the file system; changes that are not made yet are not counted."""
        place = self._at(path)
        if self._untouched():
            return self._base.usage(place)
        with self.lock, refusing("look at the file system of", place):
            if self._look(place, follow=True) is None:
                raise fault(errno.ENOENT)
            near = self.resolve(place)
            while self._real.stat(near) is None:
                near = near.parent
            return self._real.usage(near)

    def _untouched(self) -> bool:
        """Say whether the host below answers just as well: the way of nearly every read of a run."""
        return not self._tree.nodes and not self._doubts

    def _at(self, path: Path) -> Path:
        self.check_deadline()
        return path if path.is_absolute() else below(self.cwd, path)

    def _certain(self, *paths: Path | str, listing: bool = False, recursive: bool = False) -> None:
        """Raise Unsure where an earlier step will have changed what is at one of the paths."""
        for path in paths if self._doubts.of_paths() else ():
            reason = self._doubts.of_path(Path(path), listing=listing, recursive=recursive)
            if reason is not None:
                raise Unsure(reason)

    def _look(self, path: Path, *, follow: bool) -> Node | None:
        """Give what is at a path, or None, as the real machine's `stat` does."""
        self._certain(path)
        try:
            spot = self._tree.walk(path, follow=follow)
        except OSError as error:
            if error.errno in _NOTHING and (follow or error.errno != errno.ELOOP):
                return None
            raise
        self._certain(spot.path)
        return spot.node

    def _there(self, path: Path) -> Node:
        """Give what is at a path, a link itself included."""
        path = self._at(path)
        with self.lock, refusing("look at", path):
            node = self._look(path, follow=False)
            if node is None:
                raise fault(errno.ENOENT)
            return node

    def _content(self, path: Path) -> bytes | FileRef | Path:
        """Give the content of a file written here, or where the real machine has it."""
        node = self._look(path, follow=True)
        if node is None:
            raise fault(errno.ENOENT)
        require_file("read", path, node.stat)
        if isinstance(node.content, Pending):
            raise Unsure(node.content.reason)
        if not may(node.stat, 4):
            raise fault(errno.EACCES)
        if isinstance(node.content, Secret):
            return node.content.reveal().encode("utf-8", "surrogateescape")
        if node.content is None:
            assert node.origin is not None
            return node.origin
        return node.content
