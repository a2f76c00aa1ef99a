"""Services of Windows, by its own `sc.exe`, and PowerShell for a restart, as `sc.exe` does not wait for the stop."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runbook.changes import Change, Run, RunCommand
from runbook.errors import TaskFailed
from runbook.host import Host

from .service import Service, Status, settled

NO_SUCH_SERVICE = 1060
_STATE = re.compile(r":\s*\d+\s+(STOPPED|START_PENDING|STOP_PENDING|RUNNING|CONTINUE_PENDING|PAUSE_PENDING|PAUSED)\b")


def status(host: Host, want: Service) -> Status:
    """Look at it, once it is no longer starting or stopping."""

    def look() -> tuple[bool, Status]:
        done = host.probe(["sc.exe", "query", want.name])
        if done.rc == NO_SUCH_SERVICE:
            raise TaskFailed(f"Windows knows no service {want.name}", hint="`sc.exe query state= all` lists them")
        found = _STATE.search(done.stdout)
        if done.rc != 0 or found is None:
            raise TaskFailed(f"the service {want.name} cannot be looked at: `sc.exe query` {done.last_words()}")
        return found[1].endswith("_PENDING"), Status(found[1] == "RUNNING", found[1].lower())

    return settled(host, float(want.stop_timeout), look)


def start(host: Host, want: Service) -> Iterator[Change]:
    """Yield what starts it, unless it runs."""
    if not status(host, want).running:
        yield _run("sc.exe", "start", want.name)


def stop(host: Host, want: Service) -> Iterator[Change]:
    """Yield what stops it, if it runs."""
    if status(host, want).state != "stopped":
        yield _run("sc.exe", "stop", want.name)


def restart(host: Host, want: Service) -> Iterator[Change]:
    """Yield what restarts it, with what depends on it, or starts it."""
    del host  # one that Windows does not know it refuses itself
    line = f"Restart-Service -Name '{want.name}' -Force -ErrorAction Stop"
    yield _run("powershell.exe", "-NoProfile", "-NonInteractive", "-Command", line)


def _run(*argv: str) -> Run:
    return Run(RunCommand(argv), expect=(0,))
