"""A machine in memory, on which changes are made for good, but on no disk."""

from __future__ import annotations

import gzip
import os
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from signal import Signals
from typing import Any, cast

from runbook.changes import Exchange, RunCommand, Send, Stat, Usage
from runbook.changes.messages import Parcel
from runbook.changes.rotation import Rotated, Rotation
from runbook.changes.services import Daemon, Process
from runbook.host import Host
from runbook.host.guard import forbid
from runbook.host.imagined.drafts import new_stat
from runbook.host.imagined.index import Node
from runbook.host.imagined.overlay import Overlay
from runbook.testing.blank import Answers, Blank
from runbook.units import Secret

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
SPACE = Usage(total=100 * 10**9, used=40 * 10**9, free=60 * 10**9)


class MemoryHost(Overlay):
    """A Host for tests, empty at first; fill it by applying changes: `Write(Path("/a"), b"text").apply(host)`.

    `answers` maps command lines (`git rev-parse HEAD`) and requests (`GET http://localhost/health`) to lists of what is
    answered in turn: `Completed` and `Response` values. A process that it runs changes no file.
    """

    def __init__(
        self,
        *,
        now: datetime = NOW,
        cwd: Path = Path("/"),
        env: Mapping[str, str] | None = None,
        umask: int = 0o022,
        facts: Mapping[str, Any] | None = None,
        file_systems: Mapping[Path, Usage] | None = None,
        answers: Answers | None = None,
        secrets: Sequence[Secret] = (),
    ) -> None:
        self._blank = Blank(
            now=now,
            cwd=cwd,
            env=env or {},
            umask=umask,
            facts={"os": "linux", "hostname": "memory", "cpus": 2, **(facts or {})},
            file_systems={Path("/"): SPACE, **(file_systems or {})},
            answers=answers or {},
            secrets=secrets,
        )
        super().__init__(cast("Host", self._blank))

    def compress(self, path: Path, to: Path, *, was: Stat, level: int) -> None:
        super().compress(path, to, was=was, level=level)
        drawn = self.stat(to, follow=False)
        assert drawn is not None
        packed = gzip.compress(self.read(path), mtime=0)
        self._sketch.remove(self._at(to), was=drawn)
        self._sketch.write(self._at(to), packed, mode=drawn.mode, was=None, mtime=drawn.mtime)

    def produce(
        self, path: Path, make: Callable[[Path], Any], *, mode: int | None, was: Stat | None, folder: bool = False
    ) -> Any:
        path = self._change("produce", path)
        with tempfile.TemporaryDirectory() as temporary:
            spare = Path(temporary, path.name)
            if folder:
                spare.mkdir()
            made = make(spare)
            if not folder:
                self._sketch.write(path, spare.read_bytes(), mode=mode, was=was, mtime=None)
                return made
            for entry in (spare, *sorted(spare.rglob("*"))):
                to = path / entry.relative_to(spare)
                if entry.is_dir():
                    self._sketch.make_folder(to, mode=None)
                else:
                    mode = 0o755 if entry.stat().st_mode & 0o100 else 0o644
                    self._sketch.write(to, entry.read_bytes(), mode=mode, was=None, mtime=None)
        return made

    def rotate(self, rotation: Rotation) -> Rotated:
        content = self.read(rotation.source)
        super().rotate(rotation)
        drawn = self.stat(rotation.to, follow=False)
        assert drawn is not None
        self._sketch.write(
            self._at(rotation.to), gzip.compress(content, mtime=0), mode=drawn.mode, was=drawn, mtime=None
        )
        if isinstance(rotation.tell, Exchange):
            self._blank.ask(rotation.tell)
        return Rotated(len(content))

    def run(self, command: RunCommand) -> Any:
        forbid("run")
        return self._blank.answer(command.argv[0] if command.shell else shlex.join(command.argv))

    def start(self, daemon: Daemon) -> Process:
        forbid("start")
        process = self._blank.begun()
        path = self._at(daemon.pid_file)
        self._sketch.write(path, process.text.encode(), mode=0o644, was=daemon.was, mtime=None)
        return process

    def end(self, process: Process, *, signal: int, patience: float) -> str:
        del patience  # it obeys at once
        forbid("end")
        self._blank.dead.add(process)
        return Signals(signal).name

    def deliver(self, parcel: Parcel) -> Any:
        forbid("deliver")
        return self._blank.answer(f"deliver {parcel.address}")

    def request(
        self, exchange: Exchange, *, affects: tuple[str, ...] | None, conduct: Callable[[Send], Any] | None = None
    ) -> Any:
        del affects  # nothing here depends on a server
        forbid("request")
        return self._blank.ask(exchange) if conduct is None else conduct(self._blank.ask)

    def make_fifo(self, path: Path, *, mode: int, mtime: int) -> None:
        """Put a FIFO there, which no task may open."""
        spot = self._tree.walk(path, follow=False)
        stat = replace(new_stat(self._tree, "other", spot.folder, mode=mode, size=0), mtime=mtime)
        self._tree.put(spot.folder, spot.name, Node(stat))

    def in_use(self, path: Path) -> bool:
        """Say whether a folder is only there because a file system is mounted at it or below."""
        return self._blank.stat(path) is not None and os.fspath(path) != "/"
