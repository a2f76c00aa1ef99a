"""A log is rotated by one run at a time: a claim on it, which the system takes back when the run has ended."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

from runbook.host.reading import open_regular

# One byte far beyond any log: the locks that writers take are of the whole file at most, by other calls, or not so far.
_FORM = "@hhqqi4x"
_PLACE = 2**62


def claim(descriptor: int) -> bool:
    """Take the claim, which lasts as long as the descriptor; False if another has it."""
    import fcntl

    set_lock = getattr(fcntl, "F_OFD_SETLK", None)
    if set_lock is None:
        return True
    try:
        fcntl.fcntl(descriptor, set_lock, _wish(fcntl.F_WRLCK))
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EAGAIN}:
            return False
        if error.errno not in {errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP}:  # a file system that knows no such locks
            raise
    return True


def claimed(path: Path) -> bool:
    """Say whether a run is rotating a log just now, without taking anything."""
    import fcntl

    get_lock = getattr(fcntl, "F_OFD_GETLK", None)
    if get_lock is None:
        return False
    try:
        descriptor = open_regular(path, follow=False)
    except PermissionError:
        return False
    try:
        found = fcntl.fcntl(descriptor, get_lock, _wish(fcntl.F_WRLCK))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    kind: int = struct.unpack(_FORM, found)[0]
    return kind != fcntl.F_UNLCK


def _wish(kind: int) -> bytes:
    return struct.pack(_FORM, kind, os.SEEK_SET, _PLACE, 1, 0)
