"""Writing gzip archives, without a name and a time in their header, so that equal contents give equal bytes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from runbook.errors import Moved
from runbook.host.files.durable import Meter
from runbook.host.reading import PIECE

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

MEMBER = 2**20  # bytes that are compressed at once; another number gives other archives
WORKERS = 2
WAITING = 6  # members that are compressed or wait to be written: what bounds the memory


class Compressor:
    """Compresses what is written to it, as a row of gzip members, into a file that it does not close.

    Threads compress while the next pieces are read and the last ones written. They touch no file: all reading and
    writing is the caller's own, so that what fails there fails in its own thread, and what is interrupted ends there.
    """

    def __init__(self, out: BinaryIO, level: int) -> None:
        self._out = out
        self._level = level
        self._pool: ThreadPoolExecutor | None = None
        self._ahead: deque[Future[bytes]] = deque()
        self._parts: list[bytes] = []
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._drain(0)
                self._out.write(self._compress(b"".join(self._parts)))
        finally:
            if self._pool is not None:
                self._pool.shutdown(wait=True, cancel_futures=True)

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= MEMBER:
            self._send()

    def _send(self) -> None:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(WORKERS, "compress")
        piece = b"".join(self._parts)
        self._parts, self._size = [], 0
        self._ahead.append(self._pool.submit(self._compress, piece))
        self._drain(WAITING)

    def _drain(self, left: int) -> None:
        while len(self._ahead) > left:
            self._out.write(self._ahead.popleft().result())

    def _compress(self, piece: bytes) -> bytes:
        from isal import isal_zlib

        compress: Any = isal_zlib.compress
        packed: bytes = compress(piece, self._level, 31)
        return packed


@contextmanager
def packing(descriptor: int, level: int) -> Iterator[Compressor]:
    """Give what takes bytes by `write` and puts them, as gzip, to where the descriptor stands."""
    with open(descriptor, "wb", closefd=False) as out, Compressor(out, level) as archive:
        yield archive


def feed(archive: Compressor, source: int, start: int, end: int, meter: Meter) -> int:
    """Pack what a file holds from one offset to another, and give the latter; `Moved` if it does not hold as much."""
    while start < end:
        piece = os.pread(source, min(PIECE, end - start), start)
        if not piece:
            raise Moved("the log has been emptied while it was archived")
        archive.write(piece)
        meter(len(piece))
        start += len(piece)
    return start
