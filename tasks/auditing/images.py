"""Small images made byte by byte, and the form that uploads one: what an audit sends."""

from __future__ import annotations

import struct
import zlib

GIF = bytes.fromhex("47494638396108000800800000000000ffffff2c00000000080008000002078c8fa9cbed0f0a003b")
BOUNDARY = "runbook-audit-7f3c1e"


def png(width: int, height: int, *, whole: bool = True) -> bytes:
    """Give a black PNG in grey; one that is not whole has its size in its head, and no such many pixels."""
    pixels = zlib.compress(b"\0" * ((width + 1) * height if whole else 1))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def form(content: bytes, name: str, declared: str) -> tuple[bytes, dict[str, str]]:
    """Give the body and the headers of a form with one file in the field `file`."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    start = f"{head}Content-Type: {declared}\r\n\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return start + content + f"\r\n--{BOUNDARY}--\r\n".encode(), headers
