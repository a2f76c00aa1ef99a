"""Which entries of a log tell of an error, and what they have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runbook.host.refusals import shortened, shown

from .entries import Entry

LEVELS = ("level", "levelname", "severity", "lvl", "log.level")
BAD = frozenset({"ERROR", "ERR", "CRITICAL", "CRIT", "FATAL", "FTL", "PANIC", "ALERT", "EMERGENCY"})
PLAIN = re.compile(rb"\b(?:ERROR|ERR|CRITICAL|CRIT|FATAL|FTL|PANIC)\b|^Traceback \(most recent call last\)")
SAYING = ("message", "msg", "event", "error", "detail")
LIMIT = 300  # characters that are shown of an entry
NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8,}\b|\d+")


@dataclass(slots=True)
class Kind:
    """Entries that differ in numbers only; `text` and `at` are those of the last."""

    text: str
    at: float | None
    count: int = 0


@dataclass(slots=True)
class Tally:
    """The errors of one or more logs."""

    patterns: Sequence[re.Pattern[bytes]] = ()
    ignore: Sequence[re.Pattern[bytes]] = ()
    errors: int = 0
    entries: int = 0
    kinds: dict[str, Kind] = field(default_factory=dict)

    def take(self, found: Iterable[Entry], since: float) -> None:
        """Count the entries that are not older than `since`, in seconds since the epoch."""
        for entry in found:
            if entry.at is not None and entry.at < since:
                continue
            self.entries += 1
            if self._is_error(entry):
                self.errors += 1
                text = _shown(entry)
                kind = self.kinds.setdefault(NUMBERS.sub("#", text), Kind(text, entry.at))
                kind.text, kind.at, kind.count = text, entry.at, kind.count + 1

    def _is_error(self, entry: Entry) -> bool:
        if any(pattern.search(entry.line) or pattern.search(entry.more) for pattern in self.ignore):
            return False
        if self.patterns:
            return any(pattern.search(entry.line) or pattern.search(entry.more) for pattern in self.patterns)
        level = _level(entry.told)
        return level in BAD if level else bool(PLAIN.search(entry.line))

    def most(self, count: int) -> list[Kind]:
        """Give the kinds that occur most often."""
        return sorted(self.kinds.values(), key=lambda kind: -kind.count)[:count]


def _level(told: dict[str, Any] | None) -> str:
    if told is None:
        return ""
    said = next((told[name] for name in LEVELS if name in told), "")
    if isinstance(said, int) and not isinstance(said, bool):  # as Python's logging numbers them
        return "ERROR" if said >= 40 else "INFO"
    return said.upper() if isinstance(said, str) else ""


def _shown(entry: Entry) -> str:
    """Give an entry on one line: what it says, and the last line of what follows it."""
    text = entry.line.decode("utf-8", "replace").strip()
    if entry.told is not None:
        said = next((entry.told[name] for name in SAYING if isinstance(entry.told.get(name), str)), None)
        text = text if said is None else said
    last = entry.more.decode("utf-8", "replace").strip().rpartition("\n")[2].strip()
    return shortened(shown(f"{text} ... {last}" if last else text), LIMIT)
