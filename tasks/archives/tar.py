"""Reads a tar of anybody's, as a stream: regular files only, in pieces, and nothing clever."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from runbook.host.refusals import shown

BLOCK = tarfile.BLOCKSIZE
PIECE = 2**20
RECORD = 20 * BLOCK  # what archives are filled up to
LONGEST_HEADER = 2**16
KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class Member(NamedTuple):
    """A regular file of an archive; its pieces must be taken before the next member is asked for."""

    path: str
    size: int
    runs: bool
    pieces: Iterator[bytes]


def members(stream: Any) -> Iterator[Member]:
    """Yield the regular files of a tar; folders are passed over, everything else is refused.

    Stricter than the library's own reader, which follows links, sizes and extensions that no release has.
    """
    while (info := header(stream)) is not None:
        pieces = _pieces(stream, info.size)
        yield Member(info.name, info.size, bool(info.mode & 0o100), pieces)
        for _ in pieces:
            continue
        exactly(stream, -info.size % BLOCK)


def header(stream: Any) -> tarfile.TarInfo | None:
    """Read up to the next regular file's header, with what extends it; None at the end."""
    extended: dict[str, str] = {}
    while True:
        block = exactly(stream, BLOCK)
        if not any(block):
            _refuse_rest(stream)
            return None
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if info.type == tarfile.XHDTYPE:
            if not 0 < info.size <= LONGEST_HEADER:
                raise ValueError(f"an extended header of {info.size} bytes")
            extended = _records(exactly(stream, info.size))
            exactly(stream, -info.size % BLOCK)
            continue
        if info.type not in {tarfile.REGTYPE, tarfile.AREGTYPE}:
            if info.isdir() and not info.size:
                extended = {}
                continue
            kind = KINDS.get(info.type, f"of the unknown kind {info.type!r}")
            raise ValueError(f"it holds {shown(info.name)}, {kind}; nothing is extracted")
        info.name = extended.get("path", info.name)
        info.size = int(extended.get("size", info.size))
        if info.size < 0:
            raise ValueError(f"{shown(info.name)} has {info.size} bytes")
        return info


def _records(data: bytes) -> dict[str, str]:
    """Read the records of an extended header: `LENGTH KEY=VALUE`, each with a newline at its end."""
    found = {}
    while data:
        length, _, rest = data.partition(b" ")
        count = int(length) if length.isdigit() else 0
        record, data = rest[: count - len(length) - 1], data[count:]
        key, sign, value = record.partition(b"=")
        if not record.endswith(b"\n") or not sign:
            raise ValueError("an extended header that cannot be read")
        found[key.decode("utf-8", "surrogateescape")] = value[:-1].decode("utf-8", "surrogateescape")
    if any("sparse" in key.lower() for key in found):
        raise ValueError("a sparse file")
    return found


def _pieces(stream: Any, size: int) -> Iterator[bytes]:
    while size:
        piece = exactly(stream, min(size, PIECE))
        size -= len(piece)
        yield piece


def exactly(stream: Any, count: int) -> bytes:
    """Read so many bytes; a decompressor may give less at a time."""
    pieces: list[bytes] = []
    while count:
        piece = stream.read(count)
        if not piece:
            raise EOFError("it is cut off")
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _refuse_rest(stream: Any) -> None:
    """Read to the end of the archive: there is nothing but the filling of its last record."""
    rest = stream.read(RECORD + 1)
    if any(rest) or len(rest) > RECORD:
        raise ValueError("something follows after its end")
