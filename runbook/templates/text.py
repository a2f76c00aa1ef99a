"""Filters that make text of text: patterns, encodings, digests, sizes, times."""

# ruff: noqa: FBT001, FBT002 - playbooks may pass these by position, as they do to Ansible's

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from runbook.templates.values import LIMIT, too_large

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})
_UNITS = ("B", "K", "M", "G", "T", "P", "E", "Z", "Y")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


@lru_cache(maxsize=256)
def compiled(pattern: str, *, ignorecase: bool = False, multiline: bool = False) -> re.Pattern[str]:
    """Compile a regular expression; ValueError says what is wrong with it."""
    try:
        return re.compile(pattern, (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0))
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, dict | list):
        raise TypeError("it is no text")
    return str(value)


def boolean(value: Any) -> bool | None:
    """Read a boolean: true, yes, on, 1 and their opposites; None stays."""
    if value is None or isinstance(value, bool):
        return value
    said = str(value).strip().lower() if isinstance(value, str | int | float) else ""
    if said in _TRUE or value == 1:
        return True
    if said in _FALSE or value == 0:
        return False
    raise ValueError("it is no boolean; those are true, yes, on, 1, false, no, off and 0")


def regex_search(value: Any, pattern: str, *groups: str, **flags: bool) -> Any:
    r"""Give what a pattern first matches, or its groups (`'\\1'`, `'\\g<name>'`) as a list; None if it does not."""
    found = compiled(pattern, **flags).search(_text(value))
    if found is None or not groups:
        return found[0] if found else None
    return [found[_group(group)] for group in groups]


def _group(written: str) -> str | int:
    name = re.fullmatch(r"\\(?:g<(\w+)>|(\d+))", written)
    if not name:
        raise ValueError(rf"{written!r} names no group; write '\\1' or '\\g<name>'")
    digits = name[2] or name[1]
    return int(digits) if digits.isdigit() else digits


def regex_replace(
    value: Any, pattern: str = "", replacement: str = "", *, count: int = 0, mandatory_count: int = 0, **flags: bool
) -> str:
    """Replace what a pattern matches."""
    matcher, given = compiled(pattern, **flags), _text(value)
    references = replacement.count("\\")
    size = 0
    for found in matcher.finditer(given):
        size += len(replacement) + references * sum(len(group or "") for group in (found[0], *found.groups()))
        if size > LIMIT:
            raise too_large("the result of the filter 'regex_replace'")
    try:
        text, times = matcher.subn(replacement, given, count=count)
    except (re.error, IndexError) as error:
        raise ValueError(f"{replacement!r} is no replacement for {pattern!r}: {error}") from error
    if times < mandatory_count:
        raise ValueError(f"{pattern!r} matched {times} times, not {mandatory_count}")
    return text


def regex_findall(value: Any, pattern: str, multiline: bool = False, ignorecase: bool = False) -> list[Any]:
    return compiled(pattern, multiline=multiline, ignorecase=ignorecase).findall(_text(value))


def regex_escape(value: Any) -> str:
    return re.escape(_text(value))


def b64encode(value: Any, encoding: str = "utf-8") -> str:
    return base64.b64encode(_text(value).encode(encoding)).decode("ascii")


def b64decode(value: Any, encoding: str = "utf-8") -> str:
    try:
        return base64.b64decode(_text(value), validate=True).decode(encoding)
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"it is no base64 of {encoding} text: {error}") from error


def digest(value: Any, hashtype: str = "sha1") -> str:
    """Give the hexadecimal digest of a text."""
    import hashlib

    if hashtype not in hashlib.algorithms_available or hashtype.startswith("shake"):
        raise ValueError(f"there is no digest {hashtype!r}; write for example 'sha256'")
    return hashlib.new(hashtype, _text(value).encode(), usedforsecurity=False).hexdigest()


def quote(value: Any) -> str:
    """Quote a text for a POSIX shell."""
    import shlex

    return shlex.quote("" if value is None else _text(value))


def split(value: Any, separator: str | None = None, maxsplit: int = -1) -> list[str]:
    return _text(value).split(separator, maxsplit)


def human_readable(value: Any, isbits: bool = False, unit: str | None = None) -> str:
    """Write a number of bytes (or bits) for people, in powers of 1024: `1.50 KB`."""
    if unit is not None and unit[:1].upper() not in _UNITS:
        raise ValueError(f"there is no unit {unit!r}; write one of {' '.join(_UNITS)}")
    size = float(value)
    power = _UNITS.index(unit[0].upper()) if unit else next(p for p in range(8, -1, -1) if size >= 1024**p or not p)
    base = "bits" if isbits else "Bytes"
    name = f"{_UNITS[power]}{base[0]}" if power else base
    return f"{size / 1024**power:.2f} {name}"


def human_to_bytes(value: Any, default_unit: str | None = None, isbits: bool = False) -> int:
    """Read a number of bytes (or bits) in powers of 1024: `10M`, `1.5 GB`."""
    found = _SIZE.fullmatch(str(value))
    name = (found[2] or default_unit or "B") if found else ""
    unit, rest = name[:1].upper(), name[1:]
    ends = ("", "b", "bit", "bits") if isbits else ("", "B", "byte", "bytes", "ytes", "yte")
    if not found or unit not in _UNITS or rest not in ends:
        raise ValueError("it is no size; write for example '10M' or '1.5 GB'")
    return int(float(found[1]) * 2.0 ** (10 * _UNITS.index(unit)) + 0.5)


def strftime(form: str, second: Any = None, utc: bool = False) -> str:
    """Write a time, in seconds since 1970, by a format."""
    if second is None:
        raise TypeError("it needs the time; write for example `'%Y-%m-%d' | strftime(file.stat.mtime)`")
    zone = UTC if utc else None
    return datetime.fromtimestamp(float(second), tz=zone).astimezone(zone).strftime(form)


def to_datetime(value: Any, form: str = "%Y-%m-%d %H:%M:%S") -> datetime:
    return datetime.strptime(_text(value), form)  # noqa: DTZ007 - as it is written, without a zone


OURS: Mapping[str, Any] = {
    "b64decode": b64decode,
    "b64encode": b64encode,
    "bool": boolean,
    "checksum": digest,
    "hash": digest,
    "human_readable": human_readable,
    "human_to_bytes": human_to_bytes,
    "quote": quote,
    "regex_escape": regex_escape,
    "regex_findall": regex_findall,
    "regex_replace": regex_replace,
    "regex_search": regex_search,
    "split": split,
    "strftime": strftime,
    "to_datetime": to_datetime,
}
