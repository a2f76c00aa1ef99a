"""Writing gzip archives, without a name and a time in their header, so that equal contents give equal bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runbook.errors import Moved
from runbook.host.files.durable import Meter
from runbook.host.reading import PIECE


@contextmanager
def packing(descriptor: int, level: int) -> Iterator[Any]:
    """Give what takes bytes by `write` and puts them, as one member of a gzip file, to where the descriptor stands."""
    from isal import igzip

    open_archive: Any = igzip.IGzipFile  # the library has no types
    with (
        open(descriptor, "wb", closefd=False) as out,
        open_archive(filename="", mode="wb", compresslevel=level, fileobj=out, mtime=0) as archive,
    ):
        yield archive


def feed(archive: Any, source: int, start: int, end: int, meter: Meter) -> int:
    """Pack what a file holds from one offset to another, and give the latter; `Moved` if it does not hold as much."""
    while start < end:
        piece = os.pread(source, min(PIECE, end - start), start)
        if not piece:
            raise Moved("the log has been emptied while it was archived")
        archive.write(piece)
        meter(len(piece))
        start += len(piece)
    return start
