"""What a real machine does about logs that are written: imported when a task asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runbook.host.guard import lifted
from runbook.host.refusals import refusing, shown

if TYPE_CHECKING:
    from datetime import datetime

    from runbook.changes import Exchange, Response
    from runbook.changes.rotation import Custody, Rotated, Rotation
    from runbook.host.files.durable import Ledger


class Logged(Protocol):
    """What these functions need of the host that they are methods of."""

    now: datetime
    _ledger: Ledger

    def _at(self, path: Path) -> Path: ...
    def meter(self, text: str, total: int) -> Callable[[int], None]: ...
    def sleep(self, seconds: float) -> bool: ...
    def request(self, exchange: Exchange, *, affects: tuple[str, ...] | None) -> Response: ...


def custody(host: Logged, path: Path) -> Custody:
    """Say who has a file open for writing, and what it lies on."""
    from runbook.host.rotation import custody as seen

    path = host._at(path)  # noqa: SLF001 - a method of it
    with lifted(), refusing("look at", path):
        return seen.custody(path)


def born(host: Logged, path: Path) -> int | None:
    """Give when a file was made, in ns since the epoch, where its file system remembers that."""
    from runbook.host.rotation import custody as seen

    path = host._at(path)  # noqa: SLF001 - a method of it
    with refusing("look at", path):
        return seen.born(path)


def rotate(host: Logged, rotation: Rotation) -> Rotated:
    """Rotate a log in the way that was planned."""
    from runbook.host.rotation import rotation as ways

    rotation = rotation.within(host._at)  # noqa: SLF001 - a method of it
    meter = host.meter(f"archiving {shown(rotation.path)}", rotation.was.size)
    now = int(host.now.replace(microsecond=0).timestamp()) * 10**9 + host.now.microsecond * 1000
    send: Callable[[Exchange], Response] = lambda exchange: host.request(exchange, affects=())  # noqa: E731
    return ways.rotate(host._ledger, rotation, ways.Means(meter, host.sleep, send, now))  # noqa: SLF001
