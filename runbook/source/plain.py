"""What an unquoted YAML scalar means, and which ones are refused because YAML 1.1 and 1.2 disagree about them."""

from __future__ import annotations

import re
from typing import Any

# Each name is the kind of the scalar; those from `word` on are refused, with what to write in `_ADVICE`.
_PLAIN = re.compile(
    r"""
    (?P<null>~|null|Null|NULL|)
  | (?P<bool>true|True|TRUE|false|False|FALSE)
  | (?P<int>[-+]?(?:0|[1-9][0-9]{0,39}))
  | (?P<float>[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))
  | (?P<merge><<)
  | (?P<word>[yYnN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)
  | (?P<clock>[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?)
  | (?P<octal>[-+]?0o?[0-9_]+)
  | (?P<radix>[-+]?0(?:x[0-9a-fA-F_]+|b[01_]+))
  | (?P<grouped>[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?)
  | (?P<exponent>[-+]?[0-9]+[eE][-+]?[0-9]+)
  | (?P<date>[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?
      (?:(?:[Tt]|[ \t]+)[0-9][0-9]?(?::[0-9]{2}){1,2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::?[0-9]{2})?))?)?)
  | (?P<long>[-+]?[0-9]{40,})
    """,
    re.VERBOSE,
)
_TEXT_STARTS = frozenset("abcdeghijklmpqrsuvwxzABCDEGHIJKLMPQRSUVWXZ/_{[('\"!@#$%^&*,;|\\")
_TRUE = frozenset(("true", "True", "TRUE"))
_TRUE_WORDS = frozenset(("y", "yes", "on"))
TYPES = frozenset(("null", "bool", "int", "float"))


def kind_of(text: str) -> str:
    """Give `str`, one of `TYPES`, `merge`, or the kind of a refused scalar."""
    if text[:1] in _TEXT_STARTS:
        return "str"
    match = _PLAIN.fullmatch(text)
    return (match.lastgroup or "str") if match else "str"


def value_of(kind: str, text: str) -> Any:
    """Give the value of an unquoted scalar whose kind is one of `TYPES`."""
    if kind == "int":
        return int(text)
    if kind == "bool":
        return text in _TRUE
    if kind == "float":
        return float(text.replace(".inf", "inf").replace(".nan", "nan") if text.isascii() else text)
    return None


def advice(kind: str, text: str) -> tuple[str, str]:
    """Say why a scalar of a refused kind is refused, and what to write instead of it."""
    quoted = f'"{text}"'
    if kind == "word":
        boolean = "true" if text.lower() in _TRUE_WORDS else "false"
        return f"{text!r} is a boolean to some and a text to others", f"write {boolean}, or {quoted} for the text"
    if kind == "clock":
        return f"{text!r} is a number in base 60 to YAML", f"write {quoted}"
    if kind == "octal":
        return f"{text!r} is an octal number to some and a decimal one to others", f"write {quoted}"
    if kind in ("radix", "grouped"):
        return f"{text!r} is a number to some and a text to others", f"write {_number(text)}, or {quoted} for the text"
    if kind == "exponent":
        return f"{text!r} is a number to some and a text to others", f"write {_point(text)}, or {quoted} for the text"
    if kind == "date":
        return f"{text!r} is a date to YAML", f"write {quoted}"
    return f"{text[:20]}... is too long for a number", "put it in quotes"


def _number(text: str) -> str:
    bare = text.replace("_", "")
    return bare if "." in bare else str(int(bare, 0))


def _point(text: str) -> str:
    mantissa, exponent = re.split("[eE]", text)
    return f"{mantissa}.0e{exponent}"
