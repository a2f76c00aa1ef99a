"""The machine that runbook runs on, read and changed for real."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from runbook.changes import Change, Completed, Content, Exchange, Found, Gate, Response, RunCommand, Send, Stat, Usage
from runbook.errors import TaskFailed, TimedOut
from runbook.host import altering, durable, reading, sockets
from runbook.host.durable import Ledger
from runbook.host.facts import Facts, mount_points, process_umask, usage
from runbook.host.filling import produce
from runbook.host.guard import lifted
from runbook.host.process import Children, Command, named
from runbook.host.progress import meter
from runbook.host.protocol import Listener, Taker
from runbook.host.refusals import below, refusal, refusing, shown
from runbook.host.web import Web
from runbook.units import Secret, revealed


class LocalHost:
    """One machine, for real. `umask` None is the process's own, which is read and never set."""

    def __init__(
        self,
        *,
        now: datetime,
        cwd: Path,
        env: Mapping[str, str],
        run_id: str,
        umask: int | None = None,
        listener: Listener | None = None,
        secrets: Sequence[Secret] = (),
    ) -> None:
        self.now = now
        self.secrets = secrets
        self.cwd = cwd
        self.facts: Mapping[str, Any] = Facts()
        self.label = "an earlier step"
        self.imagined = False
        self.children = Children(listener)
        self._own_env = dict(env)
        self._env: Mapping[str, str] = self._own_env
        self._deadline: float | None = None
        self.umask = process_umask() if umask is None else umask
        self._ledger = Ledger(run_id, self.umask)
        self._listener = listener
        self._web = Web()

    @property
    def env(self) -> Mapping[str, str]:
        return self._env

    def begin(self, label: str, *, deadline: float | None = None, env: Mapping[str, str] | None = None) -> None:
        self.label = label
        self._deadline = deadline
        self._env = {**self._own_env, **env} if env else self._own_env
        self._ledger.made.clear()

    def settle(self, changes: Sequence[Change] = ()) -> None:  # noqa: ARG002 - other hosts look at them
        self._ledger.flush()

    def check_deadline(self) -> None:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise TimedOut(f"{self.label} was ended: its time is over")

    def doubt(self) -> str | None:
        return None

    def sleep(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        self.check_deadline()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
            self.check_deadline()
        return True

    def stop(self) -> None:
        """End the children that are running; from a signal's handler or another thread."""
        self.children.stop()

    def close(self) -> None:
        self._web.close()

    # Reading files

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
            return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)

    def mounts(self) -> Sequence[Path]:
        return mount_points()

    def usage(self, path: Path) -> Usage:
        path = self._at(path)
        with refusing("look at the file system of", path):
            return usage(path)

    # Asking

    def probe(
        self, argv: Sequence[str], *, cwd: Path | None = None, stdin: str | None = None, timeout: float | None = None
    ) -> Completed:
        with lifted():
            return self.run(RunCommand(tuple(argv), cwd=cwd, stdin=stdin, timeout=timeout))

    def ask(self, exchange: Exchange, take: Taker | None = None) -> Response:
        with lifted():
            return self._sent(exchange, take)

    dial = sockets.dial
    connections = sockets.connections

    def client(self, name: str) -> Any:
        from runbook.host.clients import open_client

        self.check_deadline()
        with lifted():
            return open_client(name)

    # Changing: called by changes only

    def write(
        self,
        path: Path,
        content: Content,
        *,
        mode: int | None,
        was: Stat | None,
        mtime: int | None = None,
        gate: Gate | None = None,
    ) -> None:
        path = self._at(path)
        meter = self.meter(f"writing {shown(path)}", getattr(content, "size", 0))
        durable.write(self._ledger, path, content, mode=mode, was=was, mtime=mtime, meter=meter, gate=gate)

    def remove(self, path: Path, *, was: Stat) -> None:
        altering.remove(self._ledger, self._at(path), was=was, mounts=self.mounts() if was.is_folder else ())

    def move(self, path: Path, to: Path, *, was: Stat) -> None:
        path = self._at(path)
        meter = self.meter(f"moving {shown(path)}", was.size)
        altering.move(self._ledger, path, self._at(to), was=was, meter=meter)

    def make_folder(self, path: Path, *, mode: int | None) -> None:
        altering.make_folder(self._ledger, self._at(path), mode=mode)

    def chmod(self, path: Path, mode: int, *, was: Stat) -> None:
        altering.chmod(self._ledger, self._at(path), mode, was=was)

    def link(self, path: Path, to: str, *, hard: bool, was: Stat | None) -> None:
        altering.link(self._ledger, self._at(path), to, hard=hard, was=was, cwd=self.cwd)

    def compress(self, path: Path, to: Path, *, was: Stat, level: int) -> None:
        path = self._at(path)
        meter = self.meter(f"compressing {shown(path)}", was.size)
        altering.compress(self._ledger, path, self._at(to), was=was, level=level, meter=meter)

    def produce(
        self, path: Path, make: Callable[[Path], Any], *, mode: int | None, was: Stat | None, folder: bool = False
    ) -> Any:
        return produce(self._ledger, self._at(path), make, mode=mode, was=was, folder=folder)

    def run(self, command: RunCommand) -> Completed:
        self.check_deadline()
        if command.shell and not command.argv:
            raise TaskFailed("there is no command to run; write one line for the shell")
        argv = (command.executable or "/bin/sh", "-c", *command.argv) if command.shell else command.argv
        env = {name: str(value) for name, value in revealed({**self._env, **command.env}).items()}
        stdin = revealed(command.stdin) or ""
        return self.children.run(
            Command(
                argv=argv,
                name=named(command.argv, shell=command.shell),
                cwd=self._at(command.cwd) if command.cwd else self.cwd,
                env=env,
                stdin=stdin.encode("utf-8", "surrogateescape"),
                limit=command.timeout,
                deadline=self._deadline,
            )
        )

    def request(
        self, exchange: Exchange, *, affects: tuple[str, ...] | None, conduct: Callable[[Send], Any] | None = None
    ) -> Any:
        del affects  # which overlays ask for
        return self._sent(exchange) if conduct is None else conduct(self._sent)

    # Within

    def _sent(self, exchange: Exchange, take: Taker | None = None) -> Response:
        self.check_deadline()
        return self._web.send(exchange, self._deadline, take)

    def _at(self, path: Path) -> Path:
        """Give the absolute path, once the step has time left."""
        self.check_deadline()
        return path if path.is_absolute() else below(self.cwd, path)

    def meter(self, text: str, total: Any) -> Callable[[int], None]:
        return meter(self._listener, self.check_deadline, text, total)
