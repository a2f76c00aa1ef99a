"""Rotating a log: what it holds goes into an archive, the log stays its writers', and no instant loses a line.

By renaming: the log is put aside under a name that ends in `.rotating`, an empty one takes its place, the writers are
told, and once nobody writes the old one any more it is compressed and removed. By cutting: see `cutting`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from runbook.changes import Exchange, Response, Stat
from runbook.changes.rotation import Rotated, Rotation, Signal
from runbook.errors import TaskFailed
from runbook.host.files.altering import alike
from runbook.host.files.durable import Ledger, Meter, created, rename_new
from runbook.host.files.packing import feed, packing
from runbook.host.files.spares import discard
from runbook.host.reading import look, status
from runbook.host.refusals import altered, ident, refusing, shown, vanished
from runbook.host.rotation.claims import claim
from runbook.host.rotation.custody import catches, custody

EVERY = 0.05  # seconds between two looks at who still writes


class Means(NamedTuple):
    """What of its host a rotation uses: progress and deadline, waiting, asking a server, the run's time in ns."""

    meter: Meter
    sleep: Callable[[float], object]
    send: Callable[[Exchange], Response]
    now: int


def rotate(ledger: Ledger, rotation: Rotation, means: Means) -> Rotated:
    """Rotate in the way that was planned; raises `Moved` where the log is not as it was then."""
    from runbook.host.rotation.cutting import cut

    with refusing("rotate", rotation.path):
        return (_rename if rotation.method in {"rename", "reopen"} else cut)(ledger, rotation, means)


def fit(path: Path, found: Stat | None, was: Stat) -> Stat:
    """Give the status if it is of the file that was planned on and no line of it has gone; it may have grown."""
    if found is None:
        raise vanished(path)
    if not found.is_file or ident(found) != ident(was) or found.links != 1 or found.size < was.size:
        raise altered(path)
    return found


def publish(ledger: Ledger, spare: Path, to: Path, made: Stat) -> None:
    """Give a finished file its name, never another's, and remember that its folder is to be flushed."""
    with refusing("write the archive", to):
        rename_new(spare, to)
    ledger.note(to, made)


@contextmanager
def claiming(path: Path, flags: int, was: Stat) -> Iterator[int]:
    """Open the log that was planned on and keep other runs from rotating it; gives its descriptor."""
    fit(path, look(path, follow=False), was)  # a FIFO would be waited for
    descriptor = os.open(path, flags | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fit(path, status(os.fstat(descriptor)), was)
        if flags & os.O_RDWR and not claim(descriptor):
            raise busy(path)
        now = look(path, follow=False)
        if now is None or ident(now) != ident(was):
            raise altered(path)
        yield descriptor
    finally:
        os.close(descriptor)


def busy(path: Path) -> TaskFailed:
    return TaskFailed(f"{shown(path)} is being rotated by another run", hint="try again once that has ended")


def _rename(ledger: Ledger, rotation: Rotation, means: Means) -> Rotated:
    flags = os.O_RDWR if os.access(rotation.source, os.W_OK) else os.O_RDONLY  # which cannot claim it
    with claiming(rotation.source, flags, rotation.was) as descriptor:
        found = status(os.fstat(descriptor))
        if rotation.rest is None:
            publish(ledger, rotation.path, rotation.aside, found)
            moved = look(rotation.aside, follow=False)
            if moved is None or ident(moved) != ident(found):  # another file took its name between the two calls
                rename_new(rotation.aside, rotation.path)
                raise altered(rotation.path)
        _renew(ledger, rotation, found)
        ledger.flush()
        _tell(rotation)
        if isinstance(rotation.tell, Exchange):
            _ask(rotation, rotation.tell, means)
        _await_release(rotation, means, descriptor)
        return _store(ledger, rotation, means, descriptor)


def _renew(ledger: Ledger, rotation: Rotation, old: Stat) -> None:
    """Have an empty log where none is, with the old one's owner and mode; where that cannot be, its writers make it."""
    if os.geteuid() not in {0, old.uid} or look(rotation.path, follow=False) is not None:
        return
    with ledger.spares.beside(rotation.source) as spare:
        with created(spare) as descriptor:
            if os.geteuid() == 0:
                os.fchown(descriptor, old.uid, old.gid)
            else:
                with suppress(PermissionError):  # a group that is not ours
                    os.fchown(descriptor, -1, old.gid)
            os.fchmod(descriptor, old.mode)
            made = status(os.fstat(descriptor))
        try:
            rename_new(spare, rotation.path)
        except FileExistsError:  # a writer was faster
            discard(spare)
    ledger.note(rotation.path, made)


def _tell(rotation: Rotation) -> None:
    for pid in rotation.tell.pids if isinstance(rotation.tell, Signal) else ():
        assert isinstance(rotation.tell, Signal)
        if catches(pid, rotation.tell.number) is False:
            raise TaskFailed(
                f"process {pid} has no handler for the signal, and would be ended by it", hint=_rest(rotation)
            )
        with suppress(ProcessLookupError):  # it has ended, and lets go of the log with that
            os.kill(pid, rotation.tell.number)


def _ask(rotation: Rotation, exchange: Exchange, means: Means) -> None:
    answer = means.send(exchange)
    if not 200 <= answer.status < 300:
        raise TaskFailed(f"asked to open its log anew, {exchange.url} answered {answer.status}", hint=_rest(rotation))


def _await_release(rotation: Rotation, means: Means, descriptor: int) -> None:
    """Wait until nobody writes what was put aside: then nobody ever will, since it cannot be opened by its old name."""
    until = time.monotonic() + rotation.patience
    while True:
        who = custody(rotation.aside, own=descriptor)
        if who.unseen is not None:
            raise TaskFailed(
                f"whether {shown(rotation.path)} was opened anew is not known: {who.unseen}", hint=_rest(rotation)
            )
        if not who.writers:
            return
        if time.monotonic() >= until:
            raise TaskFailed(
                f"{' and '.join(map(str, who.writers))} did not open {shown(rotation.path)} anew within"
                f" {rotation.patience:g} s",
                hint=_rest(rotation),
            )
        means.sleep(EVERY)


def _rest(rotation: Rotation) -> str:
    return f"nothing is lost: its lines are in {shown(rotation.aside)}, and the next run goes on from there"


def _store(ledger: Ledger, rotation: Rotation, means: Means, descriptor: int) -> Rotated:
    """Compress what was put aside, and remove it once the archive is on the disk."""
    before = status(os.fstat(descriptor))
    with ledger.spares.beside(rotation.source) as spare:
        with created(spare) as out:
            with packing(out, rotation.level) as archive:
                feed(archive, descriptor, 0, before.size, means.meter)
            made = alike(out, replace(before, mtime=means.now))
        if not before.same_as(status(os.fstat(descriptor))):
            raise altered(rotation.aside)
        publish(ledger, spare, rotation.to, made)
    ledger.flush()
    os.unlink(rotation.aside)
    ledger.note(rotation.aside)
    return Rotated(before.size)
