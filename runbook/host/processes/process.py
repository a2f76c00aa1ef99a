"""Child processes: each in a group of its own, heard line by line, bounded in time and output, none left behind."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runbook.changes import Completed
from runbook.errors import Stopped, TaskFailed, TimedOut
from runbook.host.processes.capture import Capture
from runbook.host.processes.converse import GRACE, converse, end_group, ended, send
from runbook.host.protocol import Listener
from runbook.host.refusals import HINTS, shown
from runbook.units import Duration


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be started; `name` is for messages, `deadline` is monotonic, `limit` in seconds.

    With `answers` its stdout is for who asked, and not told to the listener.
    """

    argv: Sequence[str]
    name: str
    cwd: Path
    env: Mapping[str, str]
    stdin: bytes = b""
    limit: float | None = None
    deadline: float | None = None
    answers: bool = False


class Children:
    """The processes of a machine that are running now, whichever of its steps they belong to."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped: int | None = None

    def check(self) -> None:
        """Raise `Stopped` once a signal has ended the run, for the threads that the signal did not reach."""
        if self._stopped is not None:
            raise Stopped(self._stopped)

    def run(self, command: Command, listener: Listener | None = None) -> Completed:
        """Run to the end and give the result, whatever the exit status; raises TaskFailed, TimedOut."""
        began, started = datetime.now(UTC), time.monotonic()
        captures = Capture("stdout", None if command.answers else listener), Capture("stderr", listener)
        child = _start(command)
        self._running.add(child)
        try:
            self.check()  # `stop` may have looked before this one was there
            over = not converse(child, command.stdin, captures, _until(command))
        finally:
            end_group(child)
            self._running.discard(child)
        self.check()
        stdout, stderr = (capture.finish() for capture in captures)
        if over:
            raise _late(command, {"stdout": stdout, "stderr": stderr})
        return Completed(
            argv=tuple(command.argv),
            rc=child.returncode,
            stdout=stdout,
            stderr=stderr,
            started_at=_stamp(began),
            ended_at=_stamp(datetime.now(UTC)),
            duration_s=round(time.monotonic() - started, 6),
        )

    def stop(self, number: int) -> None:
        """End what is running, by TERM and after a grace by KILL; called when a signal has ended the run."""
        self._stopped = number
        running = list(self._running)
        for child in running:
            send(child, signal.SIGTERM)
        until = time.monotonic() + GRACE
        while time.monotonic() < until and not all(map(ended, running)):
            time.sleep(0.02)
        for child in running:
            send(child, signal.SIGKILL)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _until(command: Command) -> float | None:
    own = None if command.limit is None else time.monotonic() + command.limit
    return min((moment for moment in (own, command.deadline) if moment is not None), default=None)


def _start(command: Command) -> subprocess.Popen[bytes]:
    if not command.argv or not command.argv[0]:
        raise TaskFailed("there is no command to run; write a program and its arguments")
    try:
        return subprocess.Popen(
            list(command.argv),
            cwd=command.cwd,
            env=dict(command.env),
            stdin=subprocess.PIPE if command.stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except ValueError as error:
        raise TaskFailed(
            f"cannot run {command.name}: an argument or variable holds a NUL or a `=` in its name"
        ) from error
    except OSError as error:
        raise _unstartable(command, error) from error


def _unstartable(command: Command, error: OSError) -> TaskFailed:
    if not command.cwd.is_dir():
        return no_folder(command.name, command.cwd)
    return unstartable(command.name, command.argv[0], error.errno or 0)


def no_folder(name: str, folder: Path) -> TaskFailed:
    return TaskFailed(f"cannot run {name}: its folder {shown(folder)} is not there")


def unstartable(name: str, program: str, number: int) -> TaskFailed:
    """Say why a program cannot be started: the same for the real machine and its overlay."""
    if number == errno.ENOENT:
        hint = "write its full path, or add its folder to PATH" if "/" not in program else "look at the path"
        return TaskFailed(f"cannot run {name}: there is no program {shown(program)}", hint=hint)
    hints = {errno.EACCES: "make it executable: mode 0755", errno.ENOEXEC: "its first line has to be like #!/bin/sh"}
    return TaskFailed(f"cannot run {name}: {os.strerror(number)}", hint=hints.get(number, HINTS.get(number)))


def _late(command: Command, data: dict[str, object]) -> TimedOut:
    if command.limit is None:
        return TimedOut(f"{command.name} was ended: the step's time is over", data=data)
    return TimedOut(f"{command.name} did not end within {Duration(command.limit)}", data=data)


def named(argv: Sequence[str], *, shell: bool = False) -> str:
    """Give a command's name for messages, cut to a line."""
    text = shown(argv[0] if shell and argv else shlex.join(argv))
    return f"`{text[:117]}...`" if len(text) > 120 else f"`{text}`"
