"""The machine that runbook runs on, read and changed for real."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import datetime
from pathlib import Path
from typing import Any

from runbook.changes import Change, Completed, Content, Exchange, Gate, Response, RunCommand, Send, Stat
from runbook.errors import TaskFailed, TimedOut
from runbook.host.facts import Facts, process_umask
from runbook.host.files import adding, altering, durable
from runbook.host.files.durable import Ledger
from runbook.host.files.filling import produce
from runbook.host.files.reader import Files
from runbook.host.files.spares import Spares
from runbook.host.guard import lifted
from runbook.host.net import sending, sockets
from runbook.host.net.web import Web
from runbook.host.processes import detached, ending
from runbook.host.processes.process import Children, Command, named
from runbook.host.progress import meter
from runbook.host.protocol import Listener, Taker
from runbook.host.refusals import shown
from runbook.host.rotation import rotating
from runbook.units import Secret, revealed


class LocalHost(Files):
    """One machine, for real; `umask` None is the process's own, which is read and never set.

    Steps that are at work at the same time, in threads, share its children, its HTTP clients and its facts.
    """

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
        self.children = Children()
        self._own_env = dict(env)
        self._env: Mapping[str, str] = self._own_env
        self._deadline: float | None = None
        self.umask = process_umask() if umask is None else umask
        self._ledger = Ledger(Spares(run_id), self.umask)
        self._listener = listener
        self._web = Web()

    @property
    def env(self) -> Mapping[str, str]:
        return self._env

    def begin(
        self,
        label: str,
        *,
        deadline: float | None = None,
        env: Mapping[str, str] | None = None,
        listener: Listener | None = None,
    ) -> LocalHost:
        step = copy(self)
        vars(step).update(
            label=label,
            _deadline=deadline,
            _env={**self._own_env, **env} if env else self._own_env,
            _ledger=self._ledger.fresh(),
            _listener=listener or self._listener,
        )
        return step

    def settle(self, changes: Sequence[Change] = ()) -> None:  # noqa: ARG002 - other hosts look at them
        self._ledger.flush()

    def check_deadline(self) -> None:
        self.children.check()
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

    def stop(self, number: int) -> None:
        """End the children that are running, and every step at its next word to the machine: a signal has come."""
        self.children.stop(number)

    def close(self) -> None:
        self._web.close()

    # Asking

    def probe(
        self, argv: Sequence[str], *, cwd: Path | None = None, stdin: str | None = None, timeout: float | None = None
    ) -> Completed:
        with lifted():
            return self._ran(RunCommand(tuple(argv), cwd=cwd, stdin=stdin, timeout=timeout), answers=True)

    def ask(self, exchange: Exchange, take: Taker | None = None) -> Response:
        with lifted():
            return self._sent(exchange, take)

    dial = sockets.dial
    connections = sockets.connections
    custody = rotating.custody
    born = rotating.born
    alive = ending.alive

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

    rotate = rotating.rotate

    def run(self, command: RunCommand) -> Completed:
        return self._ran(command)

    def _ran(self, command: RunCommand, *, answers: bool = False) -> Completed:
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
                answers=answers,
            ),
            self._listener,
        )

    append = adding.append
    start = detached.start
    end = ending.end
    deliver = sending.deliver

    def request(
        self, exchange: Exchange, *, affects: tuple[str, ...] | None, conduct: Callable[[Send], Any] | None = None
    ) -> Any:
        del affects  # which overlays ask for
        return self._sent(exchange) if conduct is None else conduct(self._sent)

    # Within

    def _sent(self, exchange: Exchange, take: Taker | None = None) -> Response:
        self.check_deadline()
        return self._web.send(exchange, self._deadline, take)

    def meter(self, text: str, total: Any) -> Callable[[int], None]:
        return meter(self._listener, self.check_deadline, text, total)
