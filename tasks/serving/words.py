"""The words of a request that users write: addresses, headers, statuses."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from runbook.units import Secret, revealed


def address(value: str | Secret) -> str | Secret:
    """Raise ValueError unless it is an address of HTTP."""
    text = str(revealed(value))
    try:
        parts = urlsplit(text)
        valid = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        valid = False
    if not valid or re.search(r"[\s\x00-\x1f]", text):
        raise ValueError("this is no URL; write for example http://localhost:8000")
    return value


def _sendable(headers: dict[str, Any]) -> dict[str, Any]:
    for name, value in headers.items():
        if not isinstance(value, str | Secret | int | float) or isinstance(value, bool):
            raise ValueError(f"the header {name!r} takes a text")  # noqa: TRY004 - pydantic tells of a ValueError
        if re.search(r"[\r\n\0]", f"{name}{revealed(value)}"):
            raise ValueError(f"the header {name!r} holds a line break, which HTTP does not allow")
    return headers


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


def _in_range(statuses: tuple[int, ...]) -> tuple[int, ...]:
    wrong = [status for status in statuses if not 100 <= status <= 599]
    if wrong or not statuses:
        raise ValueError(f"{wrong[0] if wrong else 'nothing'} is no status of HTTP; write 200, or a list: [200, 204]")
    return statuses


def _one_group(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    if not groups:
        raise ValueError(f"{text!r} has no group; put what it finds in brackets: 'digit-([0-9]+)'")
    return text


Regex = Annotated[str, AfterValidator(_one_group)]
Url = Annotated[str | Secret, AfterValidator(address)]
Headers = Annotated[dict[str, Any], AfterValidator(_sendable)]
Statuses = Annotated[tuple[int, ...], BeforeValidator(_listed), AfterValidator(_in_range)]


def shown(url: str | Secret) -> str:
    """Write an address without the password that may be in it."""
    if isinstance(url, Secret):
        return "***"
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"
