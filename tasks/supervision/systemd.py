"""Services of systemd, by its `systemctl`."""

from __future__ import annotations

from collections.abc import Iterator

from runbook.changes import Change, Run, RunCommand
from runbook.errors import TaskFailed
from runbook.host import Host

from .service import Service, Status, settled

PROPERTIES = "LoadState,ActiveState,SubState,MainPID,UnitFileState"


def systemctl(want: Service, *words: str) -> tuple[str, ...]:
    """Give a command line; nobody is asked for a password."""
    scope = ("--user",) if want.user else ()
    return ("systemctl", *scope, "--no-ask-password", *words, want.name)


def properties(host: Host, want: Service) -> dict[str, str]:
    """Read what systemd knows of a service; raises TaskFailed where it knows none of that name."""
    done = host.probe(systemctl(want, "show", f"--property={PROPERTIES}"))
    if done.rc != 0:
        raise TaskFailed(f"the service {want.name} cannot be looked at: systemctl {done.last_words()}")
    known = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if known.get("LoadState") == "not-found":
        raise TaskFailed(
            f"systemd knows no service {want.name}",
            hint="`systemctl list-unit-files` lists them" + ("" if want.user else "; one of a user takes `user: true`"),
        )
    return known


def status(host: Host, want: Service) -> Status:
    """Look at it, once it is no longer starting or stopping."""

    def look() -> tuple[bool, Status]:
        known = properties(host, want)
        active, pid = known.get("ActiveState", "unknown"), known.get("MainPID", "0")
        running = active in ("active", "reloading", "refreshing")
        told = f"{active} ({known.get('SubState', '')})"
        return active in ("activating", "deactivating"), Status(running, told, int(pid) if pid.isdigit() else None)

    found = settled(host, float(want.stop_timeout), look)
    return found._replace(pid=found.pid or None)


def start(host: Host, want: Service) -> Iterator[Change]:
    """Yield what starts it, unless it runs."""
    if not status(host, want).running:
        yield _run(want, "start")


def stop(host: Host, want: Service) -> Iterator[Change]:
    """Yield what stops it, if it runs."""
    if status(host, want).running:
        yield _run(want, "stop")


def restart(host: Host, want: Service) -> Iterator[Change]:
    """Yield what restarts it, or starts it; systemd refuses one that has been started too often."""
    del host  # one that systemd does not know it refuses itself
    yield _run(want, "restart")


def _run(want: Service, verb: str) -> Run:
    return Run(RunCommand(systemctl(want, verb)), expect=(0,))
