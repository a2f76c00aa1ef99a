"""A log in entries: a line with a time, or a structured one, and what follows it without."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from .times import time_in, time_of

LONGEST = 64 * 1024  # bytes of a line that are looked at
FOLLOWING = 4096  # bytes of what follows a line that are kept with it
NEAR = 256 * 1024  # bytes within which a line with a time is looked for


@dataclass(slots=True)
class Entry:
    """An entry; `at` is in seconds since the epoch, None where no line so far had a time."""

    line: bytes
    at: float | None
    told: dict[str, Any] | None = None
    more: bytes = b""


def entries(file: BinaryIO) -> Iterator[Entry]:
    """Yield the entries from where the file stands to its end, in bounded memory."""
    entry: Entry | None = None
    at: float | None = None
    for line in _lines(file):
        told = _structured(line)
        own = time_in(line) if told is None else time_of(told)
        at = own if own is not None else at
        if own is None and told is None and entry is not None and entry.at is not None:
            if len(entry.more) < FOLLOWING:
                entry.more += line[: FOLLOWING - len(entry.more)]
            continue
        if entry is not None:
            yield entry
        entry = Entry(line, at, told)
    if entry is not None:
        yield entry


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines that hold anything; of one that is endless, its head."""
    whole = True
    while line := file.readline(LONGEST):
        if whole and line.strip():
            yield line
        whole = line.endswith(b"\n")


def _structured(line: bytes) -> dict[str, Any] | None:
    text = line.strip()
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return None
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def seek_time(file: BinaryIO, size: int, since: float) -> None:
    """Go to the first line of about that time: the lines of a log are in the order of their times.

    Where no line has a time it stays at the beginning.
    """
    low, high = 0, size
    while high - low > NEAR:
        middle = (low + high) // 2
        found = _dated(file, middle)
        if found is None or found >= since:
            high = middle  # without a time nearby nothing is left out
        else:
            low = middle
    seek_line(file, low)


def seek_line(file: BinaryIO, position: int) -> None:
    """Go to the first line that begins at a position or after it."""
    file.seek(max(0, position - 1))
    while position > 0 and (piece := file.readline(LONGEST)) and not piece.endswith(b"\n"):
        pass


def _dated(file: BinaryIO, position: int) -> float | None:
    """Give the time of the first line after a position that has one."""
    seek_line(file, position)
    for line in io.BytesIO(file.read(NEAR // 2)):
        told = _structured(line)
        at = time_in(line) if told is None else time_of(told)
        if at is not None:
            return at
    return None
