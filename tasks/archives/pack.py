"""Writes a release: the same bytes for the same content, whoever packs it, where and when.

An archive is a row of gzip members. The first holds MANIFEST.json, uncompressed, so that its length is known before its
hashes are: the files are hashed and compressed in one pass, and the manifest is filled in at the end. So it stands
where a reader needs it, before what it describes.
"""

from __future__ import annotations

import hashlib
import struct
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from .manifest import MANIFEST, Manifest

BLOCK = tarfile.BLOCKSIZE
PIECE = 2**20  # bytes that are compressed at once; another number gives other archives
LEVEL = 1  # isal's; 2 and 3 gain two percent on logs, and nothing on weights
WORKERS = 2
WAITING = 6  # pieces that are compressed or wait to be written: what bounds the memory
HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # gzip: no name, no time, no system
STORED = 65535  # the most that a block of deflate stores


class Packed(NamedTuple):
    """What was written: size in bytes, SHA-256 in hex, and what it says of itself."""

    size: int
    sha256: str
    manifest: Manifest


Pieces = Callable[[str], Iterator[bytes]]


def pack(out: Path, draft: Manifest, mtime: int, runs: frozenset[str], pieces: Pieces) -> Packed:
    """Write an archive of the files of a manifest, whose sizes are true and whose hashes are yet to be found.

    `pieces(path)` yields a file's content, just as many bytes as the manifest says; `runs` holds the paths of those
    that are programs. `mtime`, in seconds, is everybody's.
    """
    sums: dict[str, str] = {}
    with out.open("xb") as file:
        file.write(_stored(_manifest_entry(draft, mtime)))
        with _Compressor(file) as body:
            for path, size, _ in sorted(draft.files):
                body.write(_header(path, size, mtime, runs=path in runs))
                digest = hashlib.sha256()
                for piece in pieces(path):
                    digest.update(piece)
                    body.write(piece)
                body.write(bytes(-size % BLOCK))
                sums[path] = digest.hexdigest()
            body.write(bytes(2 * BLOCK))
        manifest = draft.with_sums(sums)
        file.seek(0)
        file.write(_stored(_manifest_entry(manifest, mtime)))
        size = file.seek(0, 2)
    with out.open("rb") as whole:
        return Packed(size, hashlib.file_digest(whole, "sha256").hexdigest(), manifest)


def _manifest_entry(manifest: Manifest, mtime: int) -> bytes:
    data = manifest.encode()
    return _header(MANIFEST, len(data), mtime, runs=False) + data + bytes(-len(data) % BLOCK)


def _header(path: str, size: int, mtime: int, *, runs: bool) -> bytes:
    """Give the header of a member; owner, group and what the umask did to the mode are not in it."""
    info = tarfile.TarInfo(path)
    info.size, info.mtime, info.mode = size, mtime, 0o755 if runs else 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _stored(data: bytes) -> bytes:
    """Give a gzip member that holds the data as it is, by whatever library it is unpacked."""
    blocks = [data[at : at + STORED] for at in range(0, len(data), STORED)]
    body = b"".join(
        struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks, 1)
    )
    return HEAD + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


class _Compressor:
    """Compresses what is written to it, piece by piece, on several processors, into a file that it does not close."""

    def __init__(self, out: BinaryIO) -> None:
        from isal import isal_zlib

        self._compress: Callable[..., bytes] = isal_zlib.compress
        self._out = out
        self._pool = ThreadPoolExecutor(WORKERS, "compress")
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
                self._send()
                self._drain(0)
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= PIECE:
            self._send()

    def _send(self) -> None:
        piece = b"".join(self._parts)
        self._parts, self._size = [], 0
        self._ahead.append(self._pool.submit(self._compress, piece, LEVEL, 31))
        self._drain(WAITING)

    def _drain(self, left: int) -> None:
        while len(self._ahead) > left:
            self._out.write(self._ahead.popleft().result())
