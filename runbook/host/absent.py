"""What was probably meant by a path at which nothing is."""

from __future__ import annotations

from pathlib import Path

from runbook.errors import TaskFailed
from runbook.host.protocol import Host
from runbook.host.refusals import shown
from runbook.suggest import nearest


def meant(host: Host, path: Path) -> str:
    """Give `; did you mean NAME?` with the nearest name in the same folder, or nothing."""
    try:
        names = [found.path.name for found in host.find(path.parent)]
    except TaskFailed:  # the folder cannot be read: then nothing can be said
        return ""
    near = nearest(path.name, names)
    return f"; did you mean {shown(path.parent / near)}?" if near else ""
