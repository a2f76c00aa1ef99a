"""A machine with nothing on it: the ground that a machine in memory stands on."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, Self

from runbook.changes import Completed, Exchange, Found, Response, Stat, Usage
from runbook.changes.rotation import Custody
from runbook.changes.services import Process
from runbook.errors import TaskFailed
from runbook.host.protocol import Taker
from runbook.host.reading import matcher
from runbook.host.refusals import refusal
from runbook.units import Secret

Answers = Mapping[str, Sequence[Any]]


class Blank:
    """The reading half of a Host that has no files, only the folders that its file systems are mounted at.

    `answers` maps a command line, or `VERB URL`, to what it answers: the first time the first, and so on; the last
    again and again.
    """

    label = "an earlier step"
    imagined = False

    def __init__(
        self,
        *,
        now: datetime,
        cwd: Path,
        env: Mapping[str, str],
        umask: int,
        facts: Mapping[str, Any],
        file_systems: Mapping[Path, Usage],
        answers: Answers,
        secrets: Sequence[Secret] = (),
    ) -> None:
        self.secrets = secrets
        self.now, self.cwd, self.env, self.umask, self.facts = now, cwd, env, umask, facts
        self.living: set[Process] = set()
        self.dead: set[Process] = set()
        self._file_systems = file_systems
        self._answers = {question: list(told) for question, told in answers.items()}
        above = {parent for mount in file_systems for parent in (mount, *mount.parents)}
        ordered = sorted({Path("/"), *above})
        self._folders = {path: self._folder(path, number) for number, path in enumerate(ordered, 2)}

    def _folder(self, path: Path, inode: int) -> Stat:
        device = 1 + sorted(self._file_systems, key=str).index(self._mount(path)) if self._file_systems else 1
        time = int(self.now.timestamp()) * 10**9
        return Stat("folder", 4096, time, 0o755, os.geteuid(), os.getegid(), device, inode, 2)

    def _mount(self, path: Path) -> Path:
        """Give the mount point that a path is under."""
        return next((folder for folder in (path, *path.parents) if folder in self._file_systems), Path("/"))

    def begin(self, label: str, **step: Any) -> Self:  # noqa: ARG002 - nothing here takes time or has children
        """Give itself: it is the same for every step."""
        return self

    def check_deadline(self) -> None:
        """Do nothing: there is no time limit."""

    def doubt(self) -> None:
        return None

    def meter(self, text: str, total: int) -> Callable[[int], None]:  # noqa: ARG002 - nobody looks on
        return lambda count: None  # noqa: ARG005 - nobody looks on

    def sleep(self, seconds: float) -> bool:  # noqa: ARG002 - time passes at once
        return True

    def stat(self, path: Path, *, follow: bool = True) -> Stat | None:  # noqa: ARG002 - there are no links
        return self._folders.get(path)

    def find(self, directory: Path, pattern: str = "*", *, recursive: bool = False) -> list[Found]:
        matches = matcher(pattern)
        return [
            Found(path, stat)
            for path, stat in sorted(self._folders.items())
            if path != directory
            and (path.parent == directory or (recursive and directory in path.parents))
            and matches(path.name)
        ]

    def read(self, path: Path, *, limit: int = 0) -> NoReturn:  # noqa: ARG002 - there is nothing to read
        raise refusal("read", path, errno.EISDIR if path in self._folders else errno.ENOENT)

    def open(self, path: Path) -> NoReturn:
        self.read(path)

    def sha256(self, path: Path) -> NoReturn:
        self.read(path)

    def custody(self, path: Path) -> Custody:  # noqa: ARG002 - nobody works here
        return Custody()

    def born(self, path: Path) -> None:  # noqa: ARG002 - what is in memory has no past
        return None

    def readlink(self, path: Path) -> None:  # noqa: ARG002 - there are no links
        return None

    def resolve(self, path: Path) -> Path:
        return Path(os.path.normpath(path))

    def writable(self, folder: Path) -> bool:
        return folder in self._folders

    def mounts(self) -> Sequence[Path]:
        return sorted(self._file_systems)

    def usage(self, path: Path) -> Usage:
        return self._file_systems[self._mount(path)]

    def probe(
        self, argv: Sequence[str], *, cwd: Path | None = None, stdin: str | None = None, timeout: float | None = None
    ) -> Completed:
        del cwd, stdin, timeout
        told: Completed = self.answer(shlex.join(argv))
        return told

    def ask(self, exchange: Exchange, take: Taker | None = None) -> Response:
        told: Response = self.answer(f"{exchange.method} {exchange.url}")
        if take is None:
            return told
        head = replace(told, body=b"")
        piece = take(head)
        if piece is not None:
            piece(told.body)
        return head

    def dial(
        self, address: str, port: int, *, timeout: float, listen: float = 0.0, enough: Callable[[bytes], object] = bool
    ) -> bytes | None:
        """Give what `tcp://ADDRESS:PORT` is answered: a `Response` of status 0 is a port that takes nobody."""
        del timeout, listen, enough
        told: Response = self.answer(f"GET tcp://{address}:{port}")
        return told.body if told.status else None

    def connections(self, port: int, *, address: str, states: Collection[str], without: Collection[str] = ()) -> int:
        """Give the number that `tcp://ADDRESS:PORT/connections` is answered."""
        del states, without
        told: Response = self.answer(f"GET tcp://{address}:{port}/connections")
        return int(told.body)

    def alive(self, process: Process) -> bool:
        """Say whether it was started here, or `process://PID` is answered with a status, and it was not ended since."""
        if process in self.dead or process in self.living:
            return process not in self.dead
        told: Response = self.answer(f"GET process://{process.pid}")
        return bool(told.status)

    def begun(self) -> Process:
        """Give a new process."""
        process = Process(1000 + len(self.living), 0, str(self.facts.get("boot_id", "")))
        self.living.add(process)
        return process

    def client(self, name: str) -> Any:
        return self.answer(name)

    def answer(self, question: str) -> Any:
        told = self._answers.get(question)
        if not told:
            known = ", ".join(sorted(self._answers)) or "none"
            raise TaskFailed(f"the test has no answer to {question!r}", hint=f"those it has: {known}")
        return told.pop(0) if len(told) > 1 else told[0]
