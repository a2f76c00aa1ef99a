"""The image formats that the service knows, by their first bytes."""

from __future__ import annotations

# Each with the names that Pillow has for it and the bytes that such a file begins with; a dot stands for any byte.
FORMATS = {
    "png": ("PNG", b"\x89PNG\r\n\x1a\n"),
    "jpeg": ("JPEG", b"\xff\xd8\xff"),
    "webp": ("WEBP", b"RIFF....WEBP"),
    "gif": ("GIF", b"GIF8"),
    "bmp": ("BMP", b"BM"),
}
LONGEST = max(len(magic) for _, magic in FORMATS.values())
DOT = ord(".")


def format_of(head: bytes) -> str | None:
    """Tell the format by the first bytes of a file."""
    for name, (_, magic) in FORMATS.items():
        if len(head) >= len(magic) and all(want in (DOT, got) for want, got in zip(magic, head, strict=False)):
            return name
    return None
