"""The archives of a rotated log: their names, what a run that was killed has left of one, and what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from glob import escape
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from runbook.changes import Stat
from runbook.changes.rotation import UNFINISHED
from runbook.host import Host

PIECE = 2**20
LONGEST = 255 - len(".20260310.9999.gz") - len(UNFINISHED)  # bytes of a log's name
Standing = Literal["there", "gone", "doubtful", "damaged"]


class Archived(NamedTuple):
    """A file that rotations have made of a log: `number` counts those of one day, and orders them with it.

    `kind` is "whole", "pending" (an archive whose lines may still be in the log) or "aside" (the log itself, renamed).
    """

    day: str
    number: int
    kind: Literal["whole", "pending", "aside"]
    path: Path
    stat: Stat


def archives(host: Host, log: Path) -> list[Archived]:
    """Give what was made of a log, the oldest first by the names."""
    pattern = re.compile(
        rf"{re.escape(log.name)}\.(\d{{8}})(?:\.(\d+))?(\.gz)?({re.escape(UNFINISHED)})?", re.ASCII | re.DOTALL
    )
    found = []
    for file in host.find(log.parent, f"{escape(log.name)}.*"):
        match = pattern.fullmatch(file.path.name)
        if match and file.stat.is_file and (match[3] or match[4]):
            kind: Literal["whole", "pending", "aside"] = "whole" if not match[4] else "pending" if match[3] else "aside"
            found.append(Archived(match[1], int(match[2] or 0), kind, file.path, file.stat))
    return sorted(found)


def next_name(host: Host, log: Path, found: Sequence[Archived]) -> Path:
    """Give the name of the next archive: of the day in UTC, counted on, and never before one that is there."""
    today = f"{host.now:%Y%m%d}"
    day = max([today, *(each.day for each in found)])
    number = max((each.number + 1 for each in found if each.day == day), default=0)
    return _named(log, day, number)


def name_of(log: Path, piece: Archived) -> Path:
    """Give the name of the archive that something unfinished is to become."""
    return _named(log, piece.day, piece.number)


def _named(log: Path, day: str, number: int) -> Path:
    return log.with_name(f"{log.name}.{day}{f'.{number}' if number else ''}.gz")


def holds(host: Host, archive: Path, file: Path) -> bool:
    """Say whether an archive is whole, and of this very content."""
    from isal import isal_zlib

    with host.open(archive) as stored, host.open(file) as original:
        try:
            same = all(piece == original.read(len(piece)) for piece in _unpacked(host, stored))
        except (EOFError, OSError, isal_zlib.error):  # type: ignore[misc]  # its stubs take the class for an instance
            return False  # a damaged archive, or none at all
        return same and not original.read(1)


def standing(host: Host, archive: Path, log: Path) -> tuple[Standing, bool]:
    """Say whether what an archive holds still stands at the head of the log, and whether it ends within a line.

    It is doubtful where the archive's first line comes again in it: a log that repeats itself may have been cut, and
    have grown to look the same. One that breaks off was not finished, so nothing was cut off for it.
    """
    from isal import isal_zlib

    head, before, found = b"", b"", "there"
    with host.open(archive) as stored, host.open(log) if host.stat(log) else BytesIO() as original:
        try:
            for piece in _unpacked(host, stored):
                if found != "gone" and piece != original.read(len(piece)):
                    found = "gone"
                again = before + piece
                head = head or piece[: piece.find(b"\n") + 1] or piece
                if found == "there" and b"\n" + head in again:
                    found = "doubtful"
                before = again[-len(head) - 1 :]
        except (EOFError, OSError, isal_zlib.error):  # type: ignore[misc]  # its stubs take the class for an instance
            return ("damaged" if found == "gone" or not before else "there"), False
    return found, not before.endswith(b"\n")  # type: ignore[return-value] # one of the three


def _unpacked(host: Host, stored: BinaryIO) -> Iterator[bytes]:
    """Yield what a gzip file holds, in pieces."""
    from isal import igzip

    with igzip.IGzipFile(fileobj=stored, mode="rb") as file:  # type: ignore[no-untyped-call]
        while piece := file.read(PIECE):
            host.check_deadline()
            yield piece
