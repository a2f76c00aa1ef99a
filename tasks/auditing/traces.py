"""Where secrets stand in files: read in pieces, in every form, also one that was cut in two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.leaks import byte_forms
from runbook.host.refusals import shown
from runbook.units import Secret

PIECE = 2**20
HALF = 12  # the least characters of half a form that are taken for a part of it, and not for a common word
MOST = 100  # places told of one file


def needles_of(secrets: Mapping[str, Secret]) -> dict[bytes, str]:
    """Give what is looked for, with the name of its secret: each form, and each half of it.

    Of a form that was cut in two, by a line's end or a buffer's, one part holds a whole half. TaskFailed names a secret
    that is too short to be looked for.
    """
    found: dict[bytes, str] = {}
    for name, secret in secrets.items():
        forms = byte_forms([secret])
        if not forms:
            raise TaskFailed(
                f"{name} has fewer than 8 characters, and would be found everywhere", hint="use a longer secret"
            )
        for form in forms:
            middle = len(form) // 2
            halves = (form[: len(form) - middle], form[len(form) - middle :])
            found |= dict.fromkeys(halves if middle >= HALF else (form,), name)
    # What holds another needle is found by that one.
    return {each: name for each, name in found.items() if not any(part != each and part in each for part in found)}


def places(host: Host, path: Path, needles: Mapping[bytes, str]) -> list[tuple[int, str]]:
    """Give each line, from 1, that a secret stands in, with the secret's name; MOST of them at most."""
    with _opened(host, path) as file:
        found: list[tuple[int, str]] = []
        for place in _found(file.read, needles, host.check_deadline):
            if place not in found:
                found.append(place)
            if len(found) == MOST:
                break
    return found


def _found(
    read: Callable[[int], bytes], needles: Mapping[bytes, str], tick: Callable[[], None]
) -> Iterator[tuple[int, str]]:
    overlap = max(map(len, needles), default=1) - 1
    tail, line = b"", 1
    while piece := read(PIECE):
        tick()
        data = tail + piece
        hits = []
        for needle, name in needles.items():
            at = data.find(needle)
            while at >= 0:
                if at + len(needle) > len(tail):  # else it was told with the piece before
                    hits.append((at, name))
                at = data.find(needle, at + 1)
        for at, name in sorted(hits):
            yield line + data.count(b"\n", 0, at), name
        tail = data[-overlap:] if overlap else b""
        line += data.count(b"\n", 0, len(data) - len(tail))


@contextmanager
def _opened(host: Host, path: Path) -> Iterator[BinaryIO]:
    """Open a file as what is in it; one that says .gz and is damaged is TaskFailed."""
    with host.open(path) as file:
        if path.suffix != ".gz":
            yield file
            return
        from isal import igzip, isal_zlib

        try:
            with igzip.IGzipFile(fileobj=file, mode="rb") as unpacked:  # type: ignore[no-untyped-call]
                yield cast("BinaryIO", unpacked)
        except (EOFError, OSError, isal_zlib.error) as error:  # type: ignore[misc]  # its stubs take the class for an instance
            raise TaskFailed(f"{shown(path)} is a damaged archive: {error}") from error
