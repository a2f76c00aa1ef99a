"""When a line of a log was written, as far as it says so."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

STAMPS = ("timestamp", "time", "ts", "@timestamp", "asctime", "datetime")
MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
HEAD = 80  # bytes in which a line's time is looked for
ISO = re.compile(
    rb"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?(?: ?(Z|[+-]\d\d:?\d\d))?"
)  # 2026-03-10T02:00:00.123Z, 2026-03-10 02:00:00,123
ACCESS = re.compile(rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})")  # 10/Mar/2026:02:00:00 +0000


def time_in(line: bytes) -> float | None:
    """Give the time that a line begins with, in seconds since the epoch; one without a zone is in local time."""
    head = line[:HEAD]
    try:
        if found := ISO.search(head):
            return _epoch(tuple(map(int, found.groups()[:6])), found[7])
        if found := ACCESS.search(head):
            day, month, year, *rest = found.groups()
            return _epoch((int(year), MONTHS.index(month.decode()) // 3 + 1, int(day), *map(int, rest[:3])), rest[3])
    except (ValueError, OverflowError):  # digits that are no date
        return None
    return None


def time_of(entry: dict[str, Any]) -> float | None:
    """Give the time that a structured line says, in seconds since the epoch."""
    said = next((entry[name] for name in STAMPS if name in entry), None)
    if isinstance(said, str):
        return time_in(said.encode("utf-8", "replace"))
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 < said < 1e20:
        return None
    while said > 1e11:  # in milliseconds, or finer
        said /= 1000
    return float(said)


def _epoch(date: tuple[int, ...], zone: bytes | None) -> float:
    year, month, day, hour, minute, second = date
    naive = datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001 - its zone follows
    if zone is None:
        return naive.timestamp()
    there = naive.replace(tzinfo=UTC).timestamp()
    if zone == b"Z":
        return there
    digits = zone.replace(b":", b"")
    return there - (-1 if digits[:1] == b"-" else 1) * (int(digits[1:3]) * 3600 + int(digits[3:5]) * 60)
