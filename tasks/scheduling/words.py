"""Texts that a scheduler takes, and the jobs that somebody wants."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from .crontab import owner


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("write a text on one line, of printable characters")
    return text


def _word(text: str) -> str:
    return _one_line(text) if text else text


def _wanted(value: Any) -> dict[str, str | None]:
    """Read names, and names with their times."""
    found: dict[str, str | None] = {}
    for each in [value] if isinstance(value, str | dict) else value if isinstance(value, list | tuple) else [None]:
        for name, when in (each if isinstance(each, dict) else {each: None}).items():
            if when is not None and not isinstance(when, str):
                raise ValueError(f'{when!r} is no time; write it as its scheduler does, in quotes: "0 2 * * *"')
            found[owner(name)] = when and " ".join(_one_line(when).split())
    return found


Line = Annotated[str, AfterValidator(_one_line)]
Word = Annotated[str, AfterValidator(_word)]
Wanted = Annotated[dict[str, str | None], BeforeValidator(_wanted), Field(min_length=1)]
