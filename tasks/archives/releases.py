"""The releases of a folder: what is one by its name, what stands beside it, and which came when."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from runbook.changes import Found
from runbook.host import Host

STAMP = "%Y%m%dT%H%M%SZ"
SUM, STATEMENT = ".sha256", ".intoto.json"
_NAME = re.compile(r"release-(\d{8}T\d{6}Z)-(?:[0-9a-f]{7,64}|nogit)(?:-(\d+))?\.tar\.gz")


class Release(NamedTuple):
    """An archive, when it was built, and what stands beside it; without its SHA-256 it is not complete."""

    built: datetime
    number: int
    file: Found
    beside: tuple[Found, ...]

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def complete(self) -> bool:
        return any(found.path.name.endswith(SUM) for found in self.beside)


def name_of(moment: datetime, git: str | None, number: int) -> str:
    """Give an archive's name: `release-<UTC>-<git sha or nogit>.tar.gz`; a second one of that second has a number."""
    return f"release-{moment:{STAMP}}-{git[:12] if git else 'nogit'}{f'-{number}' if number else ''}.tar.gz"


def releases(host: Host, folder: Path) -> list[Release]:
    """Give the releases of a folder, the oldest first; links are none."""
    found = {each.path.name: each for each in host.find(folder, "release-*") if each.stat.is_file}
    return sorted(_releases(found), key=lambda release: release[:2])


def _releases(found: dict[str, Found]) -> Iterator[Release]:
    for name, file in found.items():
        match = _NAME.fullmatch(name)
        moment = _moment(match[1]) if match else None
        if match and moment is not None:
            beside = tuple(found[name + end] for end in (SUM, STATEMENT) if name + end in found)
            yield Release(moment, int(match[2] or 0), file, beside)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, STAMP).replace(tzinfo=UTC)
    except ValueError:  # the 31st of February
        return None


def orphans(host: Host, folder: Path) -> list[Found]:
    """Give what stood beside archives that are gone: a run that was killed has left it."""
    found = {each.path.name: each for each in host.find(folder, "release-*") if each.stat.is_file}
    return [
        each
        for name, each in found.items()
        for end in (SUM, STATEMENT)
        if name.endswith(end) and _NAME.fullmatch(name.removesuffix(end)) and name.removesuffix(end) not in found
    ]
