"""Whether a process is still the one that was meant, and how it is ended."""

from __future__ import annotations

import os
import select
import signal as signals
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from runbook.changes.services import Process
from runbook.errors import TaskFailed
from runbook.host.facts import boot_id

STEP = 0.02  # seconds between two looks
KILLED = 5.0  # how long a process may take to be gone after SIGKILL, in seconds


class Timed(Protocol):
    """What these functions need of the host that they are methods of."""

    def check_deadline(self) -> None: ...


def started_at(pid: int) -> int | None:
    """Give when a process started, in the system's count; None if it has ended, waited for or not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return None if os.path.isdir("/proc/self") else _started_elsewhere(pid)
    except ProcessLookupError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _started_elsewhere(pid: int) -> int | None:
    """Ask where there is no /proc; in milliseconds since the epoch."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time() * 1000)
    except psutil.NoSuchProcess:
        return None


def alive(host: Timed, process: Process) -> bool:
    """Say whether this very process is running: not one that has got its id since."""
    host.check_deadline()
    return process.boot == boot_id() and started_at(process.pid) == process.started


def end(host: Timed, process: Process, *, signal: int, patience: float) -> str:
    """End it, and then whatever is left of its session; gives the name of the signal that did, or `gone`."""
    handle = _handle(process)
    try:
        if not alive(host, process):  # looked at with the handle in hand, so its id cannot come to mean another
            return "gone"
        leads = _leads(process)
        for number, seconds in ((signal, patience), (signals.SIGKILL, KILLED)):
            _send(process, handle, number)
            if _gone(host, process, handle, seconds):
                if leads:
                    _end_group(process)
                return signals.Signals(number).name
    finally:
        if handle is not None:
            os.close(handle)
    raise TaskFailed(
        f"process {process.pid} is still there {KILLED:g} s after SIGKILL", hint="is it waiting for a disk?"
    )


def _handle(process: Process) -> int | None:
    """Give a descriptor that means this process for ever; None where the system has no such thing."""
    try:
        return os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        return None


def _send(process: Process, handle: int | None, number: int) -> None:
    try:
        with suppress(ProcessLookupError):
            if handle is None:
                os.kill(process.pid, number)
            else:
                signals.pidfd_send_signal(handle, number)
    except PermissionError as error:
        raise TaskFailed(
            f"process {process.pid} may not be ended by this user", hint="run it as the user whose process it is"
        ) from error


def _gone(host: Timed, process: Process, handle: int | None, seconds: float) -> bool:
    """Wait for it to end; where it is a child of ours, leave nothing of it."""
    until = time.monotonic() + seconds
    while alive(host, process):
        left = until - time.monotonic()
        if left <= 0:
            return False
        if handle is None:
            time.sleep(min(STEP, left))
        else:
            select.select([handle], [], [], min(0.2, left))
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return True


def _leads(process: Process) -> bool:
    """Say whether it leads a group of its own, which ends with it."""
    with suppress(ProcessLookupError):
        return os.getpgid(process.pid) == process.pid != os.getpgrp()
    return False


def _end_group(process: Process) -> None:
    """Kill what it has left in its group, whose number nobody else gets as long as somebody is in it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signals.SIGKILL)
