"""A service that is a plain process, known by its pid file."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

from runbook.changes import Change, Remove
from runbook.changes.services import Daemon, Process, Start, Stop
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.plans import folders
from runbook.host.refusals import shown

from .service import Service, Status

LONGEST = 4096  # bytes of a pid file


def known(host: Host, want: Service) -> Process | None:
    """Give the process, if it is running; raises TaskFailed for a pid file that cannot be relied on."""
    path = _pid_file(want)
    if host.stat(path) is None:
        return None
    process = Process.parse(host.read(path, limit=LONGEST).decode("utf-8", "replace"))
    if process is None:
        raise TaskFailed(
            f"{shown(path)} does not say when its process started, so another may have got its id",
            hint="it was not written by runbook: see that nothing is running, and remove it",
        )
    return process if host.alive(process) else None


def status(host: Host, want: Service) -> Status:
    """Look at it."""
    process = known(host, want)
    return Status(False, "stopped") if process is None else Status(True, "running", process.pid)


def start(host: Host, want: Service) -> Iterator[Change]:
    """Yield what starts it, unless it runs."""
    if known(host, want) is None:
        yield from _started(host, want)


def stop(host: Host, want: Service) -> Iterator[Change]:
    """Yield what stops it, if it runs, and removes its pid file."""
    process = known(host, want)
    if process is not None:
        yield _stopped(want, process)
    was = host.stat(_pid_file(want), follow=False)
    if was is not None:
        yield Remove(_pid_file(want), was, why="its process is gone")


def restart(host: Host, want: Service) -> Iterator[Change]:
    """Yield what stops it, if it runs, and starts it."""
    process = known(host, want)
    if process is not None:
        yield _stopped(want, process)
    yield from _started(host, want)


def _started(host: Host, want: Service) -> Iterator[Change]:
    path, argv = _pid_file(want), want.command or ()
    for folder in dict.fromkeys([path.parent, *([want.log.parent] if want.log else [])]):
        yield from folders(host, folder)
    yield Start(
        Daemon(
            argv,
            path,
            was=host.stat(path),
            log=want.log,
            cwd=want.chdir,
            env=want.env,
            stay=float(want.stay),
        )
    )


def _stopped(want: Service, process: Process) -> Stop:
    return Stop(process, signal.Signals[f"SIG{want.stop_signal}"], float(want.stop_timeout))


def _pid_file(want: Service) -> Path:
    assert want.pid_file is not None  # the params see to it
    return want.pid_file
