"""The SHA-256 file beside a release, as `sha256sum` writes and checks it."""

from __future__ import annotations

import re
from pathlib import Path

from runbook.host import Host
from runbook.host.refusals import shown

from .manifest import Unfit

_LINE = re.compile(r"\\?([0-9a-f]{64}) [ *]([^\n]+)\n?")


def beside(path: Path) -> Path:
    """Give where the SHA-256 file of an archive is."""
    return path.with_name(path.name + ".sha256")


def line(sha256: str, name: str) -> bytes:
    """Write the line that `sha256sum -c --strict` accepts in the archive's folder."""
    return f"{sha256}  {name}\n".encode()


def wanted(host: Host, path: Path) -> str:
    """Give the SHA-256 that an archive must have; raises Unfit where nothing beside it says so."""
    place = beside(path)
    if host.stat(place) is None:
        raise Unfit(
            f"there is no {shown(place)}, so nothing says what {path.name} must be",
            hint="copy the three files of a release together; a build that was ended is finished by building again",
        )
    text = host.read(place, limit=2**16).decode("utf-8", "replace")
    found = _LINE.fullmatch(text)
    if found is None or found[2] != path.name:
        raise Unfit(
            f"{shown(place)} must hold one line, `SHA-256  {path.name}`, as sha256sum writes it",
            hint="was the archive renamed? then rename both, and the name in the file",
        )
    return found[1]
