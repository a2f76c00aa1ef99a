"""Processes that outlive the run, started in a session of their own and known again by more than their id."""

from __future__ import annotations

import os
import signal as signals
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from runbook.changes import Stat
from runbook.changes.services import Daemon, Process
from runbook.errors import TaskFailed
from runbook.host.facts import boot_id
from runbook.host.files.spares import discard
from runbook.host.processes.ending import started_at
from runbook.host.processes.process import no_folder
from runbook.host.reading import look, require_file
from runbook.host.refusals import refusing, shown
from runbook.units import revealed

STEP = 0.02  # seconds between two looks
MOST = 64 * 2**10  # bytes of a log that are looked through for the last words
# The child waits for a word before it becomes the program: if runbook dies before its pid file stands, it never does.
_WAITING = 'read -r go || exit 125; exec "$@" </dev/null'


class Starting(Protocol):
    """What these functions need of the host that they are methods of."""

    cwd: Path
    _env: Mapping[str, str]

    def check_deadline(self) -> None: ...
    def write(self, path: Path, content: bytes, *, mode: int | None, was: Stat | None) -> None: ...
    def _at(self, path: Path) -> Path: ...


def start(host: Starting, daemon: Daemon) -> Process:
    """Start it, write its pid file, and see that it lives."""
    log = None if daemon.log is None else host._at(daemon.log)  # noqa: SLF001 - a method of the host
    pid_file, cwd = host._at(daemon.pid_file), host._at(daemon.cwd or host.cwd)  # noqa: SLF001
    env = {name: str(value) for name, value in revealed({**host._env, **daemon.env}).items()}  # noqa: SLF001
    size, output = _open_log(log)
    try:
        child = _waiting(daemon.argv, cwd, env, output)
    finally:
        os.close(output)
    written = False
    try:
        process = _known(child.pid)
        host.write(pid_file, process.text.encode(), mode=0o644, was=daemon.was)
        written = True
        _release(child)
        _outlast(host, child, daemon, size)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signals.SIGKILL)
        child.wait()
        if child.stdin is not None:
            child.stdin.close()
        if written:
            discard(pid_file)
        raise
    child.returncode = 0  # it is left to itself, and nobody waits for it
    return process


def _waiting(argv: Sequence[str], cwd: Path, env: Mapping[str, str], output: int) -> subprocess.Popen[bytes]:
    """Start what becomes the program as soon as it is told to."""
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", _WAITING, "runbook", *argv],
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            bufsize=0,
            start_new_session=True,
        )
    except ValueError as error:
        raise TaskFailed(
            f"cannot start {shown(argv[0])}: an argument or variable holds a NUL or a `=` in its name"
        ) from error
    except OSError as error:
        if not cwd.is_dir():
            raise no_folder(shown(argv[0]), cwd) from error
        raise TaskFailed(f"cannot start {shown(argv[0])}: {os.strerror(error.errno or 0)}") from error


def _open_log(log: Path | None) -> tuple[int, int]:
    """Give the size that a log has now, and a descriptor to add to it."""
    path = log or Path(os.devnull)
    with refusing("open", path):
        if log is not None and (found := look(log, follow=True)) is not None:
            require_file("open", log, found)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o644)
        return os.fstat(descriptor).st_size, descriptor


def _release(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    with suppress(BrokenPipeError):  # it has ended; why is seen next
        child.stdin.write(b"go\n")
    child.stdin.close()


def _outlast(host: Starting, child: subprocess.Popen[bytes], daemon: Daemon, size: int) -> None:
    """Raise TaskFailed if it ends before it has lived for long enough to count as started."""
    until = time.monotonic() + daemon.stay
    while child.poll() is None:
        left = until - time.monotonic()
        if left <= 0:
            return
        host.check_deadline()
        time.sleep(min(STEP, left))
    code = child.returncode
    how = f"was killed by signal {-code}" if code < 0 else f"ended with rc {code}"
    raise TaskFailed(
        f"{shown(daemon.argv[0])} {how} at once{_last_words(daemon.log, size)}",
        hint=None if daemon.log else "give it a `log`, and what it says is kept",
    )


def _last_words(log: Path | None, size: int) -> str:
    """Give the last line that it added to its log."""
    if log is None:
        return ""
    with suppress(OSError), open(log, "rb") as file:
        file.seek(max(size, file.seek(0, os.SEEK_END) - MOST))
        lines = [line.strip() for line in file.read(MOST).decode("utf-8", "replace").splitlines() if line.strip()]
        return f": {lines[-1][:500]}" if lines else ""
    return ""


def _known(pid: int) -> Process:
    started = started_at(pid)
    if started is None:
        raise TaskFailed(f"process {pid} has ended as soon as it was started")
    return Process(pid, started, boot_id())
