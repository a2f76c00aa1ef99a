"""How the files of the real machine are read: what the system refuses is told with path and reason."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from runbook.changes import Found, Stat, Usage
from runbook.host import reading
from runbook.host.facts import kernels_own, mount_points, usage
from runbook.host.refusals import below, refusal, refusing


class Files:
    """The reading half of the real machine, for one step: each read minds its deadline."""

    cwd: Path

    def check_deadline(self) -> None:
        """Raise `TimedOut` when the step's time is over."""

    def stat(self, path: Path, *, follow: bool = True) -> Stat | None:
        path = self._at(path)
        try:
            return reading.look(path, follow=follow)
        except (OSError, ValueError) as error:
            raise refusal("look at", path, error) from error

    def find(self, directory: Path, pattern: str = "*", *, recursive: bool = False) -> list[Found]:
        directory = self._at(directory)
        with refusing("list", directory), reading.uncollected():
            try:
                return list(reading.search(directory, pattern, recursive=recursive))
            except FileNotFoundError:
                return []

    def read(self, path: Path, *, limit: int = 64 * 2**20) -> bytes:
        path = self._at(path)
        with self.open(path) as file, refusing("read", path):
            return reading.bounded(path, file, limit)

    def open(self, path: Path) -> BinaryIO:
        path = self._at(path)
        with refusing("read", path):
            return open(reading.open_regular(path), "rb")

    def sha256(self, path: Path) -> str:
        path = self._at(path)
        with self.open(path) as file, refusing("read", path):
            return reading.digest(file, self.check_deadline)

    def readlink(self, path: Path) -> str | None:
        path = self._at(path)
        with refusing("read the link", path):
            found = reading.look(path, follow=False)
            return os.readlink(path) if found is not None and found.is_link else None

    def resolve(self, path: Path) -> Path:
        path = self._at(path)
        with refusing("resolve", path):
            return Path(reading.resolve(path))

    def writable(self, folder: Path) -> bool:
        folder = self._at(folder)
        with refusing("look at", folder):
            allowed = os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)
            return allowed and not kernels_own(folder)

    def mounts(self) -> Sequence[Path]:
        return mount_points()

    def usage(self, path: Path) -> Usage:
        path = self._at(path)
        with refusing("look at the file system of", path):
            return usage(path)

    def _at(self, path: Path) -> Path:
        """Give the absolute path, once the step has time left."""
        self.check_deadline()
        return path if path.is_absolute() else below(self.cwd, path)
