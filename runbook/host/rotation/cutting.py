"""Cutting what was archived off a log that its writers keep open: by collapsing its first blocks, or by emptying it.

First the archive is made whole and flushed, under a name that ends in `.rotating`; then one call cuts the log; then the
archive gets its own name. A run that is killed in between leaves an archive whose lines are either still in the log or
not, which the next run finds out by comparing the two.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

from runbook.changes import Stat
from runbook.changes.rotation import Custody, Rotated, Rotation
from runbook.errors import Moved, RunbookError, TaskFailed
from runbook.host.files.altering import alike
from runbook.host.files.durable import Ledger, created
from runbook.host.files.packing import feed, packing
from runbook.host.files.spares import discard
from runbook.host.reading import look, status
from runbook.host.refusals import HINTS, altered, ident, shown
from runbook.host.rotation.custody import custody
from runbook.host.rotation.pausing import paused
from runbook.host.rotation.rotation import Means, claiming, publish

_MORE = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
COLLAPSE = 0x08  # FALLOC_FL_COLLAPSE_RANGE
ROUNDS = 16  # in which a log that grows is caught up with
NEAR = 2**16  # bytes; less is copied in an instant


def cut(ledger: Ledger, rotation: Rotation, means: Means) -> Rotated:
    """Archive the log and cut it off, by one of `collapse`, `pause` and `copytruncate`."""
    way = _collapse if rotation.method == "collapse" else _empty
    with claiming(rotation.path, os.O_RDWR, rotation.was) as descriptor:
        return way(ledger, rotation, means, descriptor)


def boundary(descriptor: int, size: int, block: int) -> int:
    """Give the last block boundary within a file that follows a newline, or where there is none the last of all.

    It is 0 for a file of one block: the last one cannot be collapsed.
    """
    last = (size - 1) // block * block
    for end in range(last, 0, -block):
        if _ends_a_line(descriptor, end):
            return end
    return last


def _ends_a_line(descriptor: int, end: int) -> bool:
    return os.pread(descriptor, 1, end - 1) == b"\n"


def _collapse(ledger: Ledger, rotation: Rotation, means: Means, descriptor: int) -> Rotated:
    end = boundary(descriptor, os.fstat(descriptor).st_size, os.fstatvfs(descriptor).f_frsize)
    if end == 0:
        raise TaskFailed(f"{shown(rotation.path)} is too small: only whole blocks can be collapsed")
    split = not _ends_a_line(descriptor, end)
    made = _archive(ledger, rotation, means, descriptor, end)
    try:
        _refuse_others(rotation, descriptor)
        _collapse_range(rotation, descriptor, end)
    except (OSError, RunbookError):
        discard(rotation.pending)
        raise
    os.fsync(descriptor)
    publish(ledger, rotation.pending, rotation.to, made)
    return Rotated(end, split)


def _empty(ledger: Ledger, rotation: Rotation, means: Means, descriptor: int) -> Rotated:
    """Empty the log; what is written while it is archived is added in further members of the gzip file."""
    pause = rotation.method == "pause"
    end = os.fstat(descriptor).st_size
    made = _archive(ledger, rotation, means, descriptor, end)
    out = os.open(rotation.pending, _MORE)
    try:
        try:
            if pause:
                end = _catch_up(rotation, means, descriptor, out, end, NEAR)
            with paused(lambda: _refuse_others(rotation, descriptor)) if pause else nullcontext():
                began = time.monotonic()
                end = _catch_up(rotation, means, descriptor, out, end, 0)
                split = not _ends_a_line(descriptor, end)
                if pause:
                    os.fsync(out)
                    if os.fstat(descriptor).st_size != end:
                        raise Moved(f"{shown(rotation.path)} has grown although its writers were stopped")
                _refuse_another(rotation, descriptor)
                os.ftruncate(descriptor, 0)
            took = time.monotonic() - began
        except (OSError, RunbookError):
            discard(rotation.pending)
            raise
        os.utime(out, ns=(means.now, means.now))
        os.fsync(out)
    finally:
        os.close(out)
    os.fsync(descriptor)
    publish(ledger, rotation.pending, rotation.to, made)
    return Rotated(end, split, round(took * 1000, 1) if pause else None)


def _archive(ledger: Ledger, rotation: Rotation, means: Means, descriptor: int, end: int) -> Stat:
    """Have the archive of what stands before `end` on the disk."""
    with ledger.spares.beside(rotation.path) as spare:
        with created(spare) as out:
            with packing(out, rotation.level) as archive:
                feed(archive, descriptor, 0, end, means.meter)
            made = alike(out, replace(status(os.fstat(descriptor)), mtime=means.now))
        publish(ledger, spare, rotation.pending, made)
    ledger.flush()
    return made


def _catch_up(rotation: Rotation, means: Means, descriptor: int, out: int, end: int, near: int) -> int:
    """Add what was written meanwhile, until no more than `near` bytes are missing, and give where that ends."""
    for _ in range(ROUNDS):
        size = os.fstat(descriptor).st_size
        if size - end <= near:
            break
        with packing(out, rotation.level) as archive:
            end = feed(archive, descriptor, end, size, means.meter)
    return end


def _refuse_others(rotation: Rotation, descriptor: int) -> Custody:
    """Give who writes the log; raises where one does that could not be cut from under it."""
    _refuse_another(rotation, descriptor)
    who = custody(rotation.path, own=descriptor)
    for writer in who.writers:
        if not writer.appends:
            raise Moved(f"{writer} has opened {shown(rotation.path)} without O_APPEND meanwhile")
    return who


def _refuse_another(rotation: Rotation, descriptor: int) -> None:
    now = look(rotation.path, follow=False)
    if now is None or ident(now) != ident(status(os.fstat(descriptor))):
        raise altered(rotation.path)


def _collapse_range(rotation: Rotation, descriptor: int, end: int) -> None:
    """Take the first `end` bytes out of a file, in one step that no writer can come between."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    call: Callable[..., int] = getattr(libc, "fallocate64", None) or libc.fallocate
    if call(descriptor, COLLAPSE, ctypes.c_longlong(0), ctypes.c_longlong(end)):
        number = ctypes.get_errno()
        said = f"cannot collapse the blocks of {shown(rotation.path)}: {os.strerror(number)}"
        raise TaskFailed(said, hint=HINTS.get(number, "its file system cannot; write `method: pause`"))
