"""A rotation on an overlay: the archive stands, its content known after the run, and the log is empty."""

from __future__ import annotations

import errno
import os

from runbook.changes.rotation import Rotation
from runbook.host.imagined.permits import fault, may
from runbook.host.imagined.sketch import Sketch
from runbook.host.imagined.view import View
from runbook.host.refusals import refusing
from runbook.host.rotation.rotation import fit


def rehearse(view: View, sketch: Sketch, rotation: Rotation, reason: str) -> None:
    """Draw what is there afterwards, and refuse what the system would refuse; the rotation's paths are absolute."""
    path, renames = rotation.path, rotation.method in {"rename", "reopen"}
    with refusing("rotate", path):
        was = fit(rotation.source, sketch.hold(rotation.source), rotation.was)
        if not may(was, 4 if renames else 6):
            raise fault(errno.EACCES)
    if not renames:
        sketch.write(path, b"", mode=None, was=was, mtime=None)
    elif rotation.rest is None:
        sketch.move(path, rotation.aside, was=was)
    if renames:
        if view.stat(path, follow=False) is None and os.geteuid() in {0, was.uid}:
            sketch.write(path, b"", mode=was.mode, was=None, mtime=None)
        sketch.remove(rotation.aside, was=was)
    sketch.produce(rotation.to, reason, mode=was.mode, was=None)
