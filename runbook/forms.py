"""Every form in which a secret may show up in a text: as it is, escaped, quoted, encoded."""

from __future__ import annotations

import re
from collections.abc import Iterator

SHORTEST = 8


def forms_of(value: str) -> set[str]:
    """Give every form in which a secret is known again; none if it is too short for that."""
    wanted = {value, value.strip(), *(line.strip() for line in value.splitlines())}
    return {form for text in wanted if len(text) >= SHORTEST for form in _forms(text)}


def _forms(text: str) -> Iterator[str]:
    """Give every form in which the text may show up in an output."""
    import json
    from urllib.parse import quote, quote_plus

    raw = _encoded(text)
    yield text
    yield from (json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    yield from (repr(text)[1:-1], text.replace("\\", "\\\\").replace("'", "\\'"), repr(raw)[2:-1])
    yield text.replace("'", "'\"'\"'")  # as shlex.quote writes it
    for quoted in (quote(raw), quote(raw, safe=""), quote_plus(raw)):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    yield from (raw.hex(), raw.hex().upper())
    yield from _base64_forms(raw)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Give the base64 of the bytes, and what is always the same of it wherever in a longer text the bytes stand."""
    from base64 import b64encode, urlsafe_b64encode

    for encode in (b64encode, urlsafe_b64encode):
        whole = encode(raw).decode()
        yield whole
        yield whole.rstrip("=")
        for before in range(3):
            code = encode(b"\0" * before + raw).decode()
            uncertain = (len(raw) + before) % 3  # of the last four characters only this many depend on us alone
            yield code[(0, 2, 3)[before] : len(code) - (4 - uncertain if uncertain else 0)]


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair, out of JSON
        return text.encode("utf-8", "surrogatepass")
