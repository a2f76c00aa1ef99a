"""Child processes: each in a group of its own, heard line by line, bounded in time and output, none left behind."""

from __future__ import annotations

import errno
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runbook.changes import Completed
from runbook.errors import TaskFailed, TimedOut
from runbook.host.capture import Capture
from runbook.host.protocol import Listener
from runbook.host.refusals import HINTS, shown
from runbook.units import Duration

GRACE = 2.0
LINGER = 0.5
_PIECE = 2**16


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be started; `name` is for messages, `deadline` is monotonic, `limit` in seconds."""

    argv: Sequence[str]
    name: str
    cwd: Path
    env: Mapping[str, str]
    stdin: bytes = b""
    limit: float | None = None
    deadline: float | None = None


class Children:
    """The processes of a host that are running now."""

    def __init__(self, listener: Listener | None = None) -> None:
        self.listener = listener
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(self, command: Command) -> Completed:
        """Run to the end and give the result, whatever the exit status; raises TaskFailed, TimedOut."""
        began, started = datetime.now(UTC), time.monotonic()
        captures = Capture("stdout", self.listener), Capture("stderr", self.listener)
        child = _start(command)
        self._running.add(child)
        try:
            over = not _converse(child, command, captures)
        finally:
            _end(child)
            self._running.discard(child)
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

    def stop(self) -> None:
        """End what is running, by TERM and after a grace by KILL; called when the run is stopped by a signal."""
        running = list(self._running)
        for child in running:
            _signal(child, signal.SIGTERM)
        until = time.monotonic() + GRACE
        while time.monotonic() < until and not all(map(_ended, running)):
            time.sleep(0.02)
        for child in running:
            _signal(child, signal.SIGKILL)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


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


def _converse(child: subprocess.Popen[bytes], command: Command, captures: tuple[Capture, Capture]) -> bool:
    """Feed and hear the child until it has ended; False if its time was over before."""
    until = _until(command)
    with selectors.DefaultSelector() as selector:
        streams = _register(selector, child, command, captures)
        watch = _watch(selector, child)
        try:
            while not _ended(child):
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                step = left if watch is not None else min(0.05, left if left is not None else 0.05)
                _turn(selector, step)
            _signal(child, signal.SIGKILL)  # what it left in its group; its own id is not free before it is waited for
            end = time.monotonic() + LINGER
            while any(stream in selector.get_map() for stream in streams) and (left := end - time.monotonic()) > 0:
                if watch is not None and watch in selector.get_map():
                    selector.unregister(watch)
                _turn(selector, left)
        finally:
            if watch is not None:
                os.close(watch)
    return True


def _until(command: Command) -> float | None:
    own = None if command.limit is None else time.monotonic() + command.limit
    return min((moment for moment in (own, command.deadline) if moment is not None), default=None)


def _register(
    selector: selectors.BaseSelector,
    child: subprocess.Popen[bytes],
    command: Command,
    captures: tuple[Capture, Capture],
) -> list[Any]:
    streams = [child.stdout, child.stderr]
    for stream, capture in zip(streams, captures, strict=True):
        assert stream is not None
        selector.register(stream, selectors.EVENT_READ, capture)
    if child.stdin is not None:
        os.set_blocking(child.stdin.fileno(), False)
        selector.register(child.stdin, selectors.EVENT_WRITE, bytearray(command.stdin))
    return streams


def _watch(selector: selectors.BaseSelector, child: subprocess.Popen[bytes]) -> int | None:
    """Give a descriptor that is readable when the child has ended; None where the system has no such thing."""
    try:
        descriptor = os.pidfd_open(child.pid)
    except (AttributeError, OSError):
        return None
    selector.register(descriptor, selectors.EVENT_READ, None)
    return descriptor


def _turn(selector: selectors.BaseSelector, seconds: float | None) -> None:
    for key, _ in selector.select(seconds):
        stream: Any = key.fileobj
        if isinstance(key.data, Capture):
            piece = os.read(key.fd, _PIECE)
            if piece:
                key.data.feed(piece)
            else:
                selector.unregister(stream)
        elif isinstance(key.data, bytearray):
            try:
                del key.data[: os.write(key.fd, key.data[:_PIECE])]
            except BrokenPipeError:  # it does not want to hear the rest
                key.data.clear()
            if not key.data:
                selector.unregister(stream)
                stream.close()


def _ended(child: subprocess.Popen[bytes]) -> bool:
    """Say whether it has ended, without freeing its id: its group may still have to be ended."""
    if child.returncode is not None:
        return True
    with suppress(ChildProcessError):
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return True


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    if child.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Leave nothing of the child's group, and close its streams."""
    if not _ended(child):
        _signal(child, signal.SIGTERM)
        until = time.monotonic() + GRACE
        while time.monotonic() < until and not _ended(child):
            time.sleep(0.02)
    _signal(child, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _late(command: Command, data: dict[str, object]) -> TimedOut:
    if command.limit is None:
        return TimedOut(f"{command.name} was ended: the step's time is over", data=data)
    return TimedOut(f"{command.name} did not end within {Duration(command.limit)}", data=data)


def named(argv: Sequence[str], *, shell: bool = False) -> str:
    """Give a command's name for messages, cut to a line."""
    text = shown(argv[0] if shell and argv else shlex.join(argv))
    return f"`{text[:117]}...`" if len(text) > 120 else f"`{text}`"
