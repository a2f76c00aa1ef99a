"""What an overlay makes of services that are started and ended, of parcels, and of lines that are added to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook.changes import RunCommand
from runbook.host.guard import forbid
from runbook.unknown import Unknown

if TYPE_CHECKING:
    from runbook.changes.messages import Parcel
    from runbook.changes.services import Daemon, Process
    from runbook.host.imagined.overlay import Overlay
# ruff: noqa: SLF001 - these are methods of the overlay


def append(overlay: Overlay, path: Path, content: bytes | Unknown) -> None:
    """Add to a file, here only."""
    overlay._sketch.append(overlay._change("append", path), content, overlay._reason)


def alive(overlay: Overlay, process: Process) -> bool:
    """Ask the real machine."""
    return overlay._real.alive(process)


def start(overlay: Overlay, daemon: Daemon) -> Any:
    """Say what would keep it from being started; what its pid file and its log would hold only a run can tell."""
    from runbook.host.imagined.starting import predict_start

    pid_file = overlay._change("start", daemon.pid_file)
    command = RunCommand(daemon.argv, cwd=daemon.cwd, env=daemon.env)
    predict_start(overlay._tree, overlay._doubts, command, cwd=overlay.cwd, env=overlay.env)
    if daemon.log is not None:
        overlay._sketch.append(overlay._alter(daemon.log), Unknown(overlay._reason), overlay._reason)
    overlay._sketch.produce(pid_file, overlay._reason, mode=0o644, was=daemon.was)
    overlay._cast_doubt(None)
    return Unknown(overlay._reason)


def end(overlay: Overlay, process: Process, *, signal: int, patience: float) -> Any:
    """End nothing: a run may find that it has ended by itself."""
    del process, signal, patience
    forbid("end")
    overlay.check_deadline()
    overlay._cast_doubt(None)
    return Unknown(overlay._reason)


def deliver(overlay: Overlay, parcel: Parcel) -> Any:
    """Send nothing; nobody here would see it again."""
    del parcel
    forbid("deliver")
    overlay.check_deadline()
    return Unknown(overlay._reason)


def suspect(overlay: Overlay, affects: tuple[str, ...] | None) -> None:
    """Doubt what a step may change that could not be planned: URLs and paths, or everything."""
    with overlay.lock:
        overlay._cast_doubt(affects)
