"""Values on their way through a template: what is unknown, what is secret, and how parts become one text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runbook.errors import TaskFailed
from runbook.units import Secret, revealed
from runbook.unknown import Unknown, reason_of

LIMIT = 10_000_000
"""The most characters, or items, that a template may make in one piece."""

_PLAIN = frozenset({str, int, float, bool, type(None)})


def scan(value: Any) -> tuple[Unknown | None, bool]:
    """Give the first Unknown within a value, however deep, and whether there is a secret."""
    if type(value) in _PLAIN:
        return None, False
    stack, secret = [value], False
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind in _PLAIN:
            continue
        if kind is Unknown:
            return item, secret
        if kind is Secret:
            secret = True
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            stack.extend(item)
    return None, secret


def joined(parts: Iterable[Any], *, none: str = "") -> str | Secret | Unknown:
    """Join parts to one text: unknown if a part is, a secret if one is; `none` is written for None."""
    texts: list[str] = []
    size, secret = 0, False
    for part in parts:
        text = part
        if type(part) is not str:
            unknown, hidden = scan(part)
            if unknown is not None:
                return Unknown(reason_of(unknown))
            secret = secret or hidden
            text = none if part is None else str(revealed(part) if hidden else part)
        texts.append(text)
        size += len(text)
        if size > LIMIT:
            raise too_large("the text")
    whole = "".join(texts)
    return Secret(whole) if secret else whole


def tainted(value: Any) -> Any:
    """Give what was made of a secret with every text in it made a secret; keys, numbers and booleans stay."""
    if isinstance(value, str):
        return Secret(str(value))
    if isinstance(value, dict):
        return {key: tainted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [tainted(item) for item in value]
    return value


def plain(value: Any) -> Any:
    """Give an operand of a comparison as Python can compare it."""
    return value.reveal() if type(value) is Secret else value


def shown(value: Any) -> str:
    """Show a value in an error message, short; a secret in it stays `***`."""
    text = "what is known after the run" if scan(value)[0] is not None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def too_large(what: str) -> TaskFailed:
    return TaskFailed(
        f"{what} would be larger than {LIMIT:,} characters or items",
        hint="a template is for short texts; let a task write what is large",
    )
