"""Where a case is played: in memory, or in a real folder that stands for the root."""

from __future__ import annotations

import gzip
import os
import stat as bits
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from runbook.changes import Link, MakeFolder, Write
from runbook.host import Host
from runbook.host.local import LocalHost
from runbook.testing.case import Case, Entry
from runbook.testing.memory import MemoryHost

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UMASK = 0o022


class Seen(NamedTuple):
    """What is at a path: its kind, permission bits, time in ns (of files), and its bytes or what a link says."""

    kind: str
    mode: int
    mtime: int
    content: bytes | str | None


def time_of(case: Case, age: float) -> int:
    """Give the time in ns that is an age in seconds before the case's now."""
    return (case.now - EPOCH) // timedelta(microseconds=1) * 1000 - round(age * 1e6) * 1000


class Site(ABC):
    """A host with what is there before the case, under `root`, which is nothing for a machine in memory."""

    host: Host

    def __init__(self, case: Case, root: str) -> None:
        self.case, self.root = case, root
        said = (*case.before, *(case.after or {}), *case.roots)
        self._tops = {path.split("/")[1] for path in said if path.startswith("/")}

    def rooted(self, value: Any) -> Any:
        """Give a value whose absolute paths, those of the case, are under the root."""
        if isinstance(value, str):
            return self.root + value if value.startswith("/") and value.split("/")[1] in self._tops else value
        if isinstance(value, dict):
            return {key: self.rooted(item) for key, item in value.items()}
        return [self.rooted(item) for item in value] if isinstance(value, list) else value

    def unrooted(self, value: Any) -> Any:
        """Give a value with the root taken out of every text, as the case has it."""
        if isinstance(value, str):
            return value.replace(self.root, "") if self.root else value
        if isinstance(value, dict):
            return {self.unrooted(key): self.unrooted(item) for key, item in value.items()}
        return [self.unrooted(item) for item in value] if isinstance(value, list | tuple) else value

    def build(self) -> None:
        """Make what is there before: folders first, links last, and the modes of folders after what is in them."""
        entries = {self.rooted(path): entry for path, entry in self.case.before.items()}
        for path, entry in sorted(entries.items(), key=lambda item: (_rank(item[1]), item[0])):
            self._make_parents(Path(path))
            self._make(Path(path), entry)

    def _make(self, path: Path, entry: Entry) -> None:
        mode = entry.mode if entry.mode is not None else 0o644
        mtime = time_of(self.case, entry.age or 0.0)
        if entry.folder:
            if self.host.stat(path) is None:
                MakeFolder(path, entry.mode).apply(self.host)
        elif entry.link is not None:
            Link(path, self.rooted(entry.link)).apply(self.host)
        elif entry.hard is not None:
            Link(path, self.rooted(entry.hard), hard=True).apply(self.host)
        elif entry.fifo:
            self._make_fifo(path, mode=mode, mtime=mtime)
        else:
            Write(path, _bytes(entry), mode=mode, mtime=mtime).apply(self.host)

    def _make_parents(self, path: Path) -> None:
        for folder in reversed(path.parents):
            if self.host.stat(folder) is None:
                MakeFolder(folder).apply(self.host)

    @abstractmethod
    def _make_fifo(self, path: Path, *, mode: int, mtime: int) -> None: ...

    @abstractmethod
    def seen(self) -> dict[str, Seen]:
        """Give everything that is there, by its path in the case."""


def _rank(entry: Entry) -> int:
    return 0 if entry.folder else 2 if entry.hard is not None else 3 if entry.link is not None else 1


def _bytes(entry: Entry) -> bytes:
    if entry.gzip is not None:
        return gzip.compress(entry.gzip.encode(), mtime=0)
    return (entry.content or "").encode("utf-8", "surrogateescape")


class Memory(Site):
    """A case's machine in memory."""

    def __init__(self, case: Case) -> None:
        super().__init__(case, "")
        answers: dict[str, list[Any]] = {}
        for answer in case.answers:
            answers.setdefault(answer.question(), []).append(answer.told())
        self.host = self._memory = MemoryHost(
            now=case.now,
            env=case.env,
            umask=UMASK,
            file_systems={path: space.usage() for path, space in case.file_systems.items()},
            answers=answers,
        )
        self.build()

    def _make_fifo(self, path: Path, *, mode: int, mtime: int) -> None:
        self._memory.make_fifo(path, mode=mode, mtime=mtime)

    def seen(self) -> dict[str, Seen]:
        found = {}
        for path, stat in ((found.path, found.stat) for found in self._memory.find(Path("/"), recursive=True)):
            if self._memory.in_use(path):
                continue
            content: bytes | str | None = self._memory.readlink(path) if stat.is_link else None
            if stat.is_file:
                content = self._memory.read(path)
            found[str(path)] = Seen(stat.kind, stat.mode, stat.mtime if stat.is_file else 0, content)
        return found


class Files(Site):
    """A case's real folder; read by the system's own calls, so that leftovers are seen too."""

    def __init__(self, case: Case, folder: Path) -> None:
        super().__init__(case, os.path.realpath(folder))
        env = {**os.environ, **case.env}
        self.host = LocalHost(now=case.now, cwd=Path(self.root), env=env, run_id="case", umask=UMASK)
        self.build()

    def _make_fifo(self, path: Path, *, mode: int, mtime: int) -> None:
        os.mkfifo(path, mode)
        os.utime(path, ns=(mtime, mtime))

    def seen(self) -> dict[str, Seen]:
        found = {}
        for folder, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                found[path.removeprefix(self.root)] = self._look(path)
        return found

    def _look(self, path: str) -> Seen:
        about = os.lstat(path)
        mode = bits.S_IMODE(about.st_mode)
        if bits.S_ISLNK(about.st_mode):
            return Seen("link", 0o777, 0, self.unrooted(os.readlink(path)))
        if bits.S_ISREG(about.st_mode):
            return Seen("file", mode, about.st_mtime_ns, Path(path).read_bytes())
        return Seen("folder" if bits.S_ISDIR(about.st_mode) else "other", mode, 0, None)
