"""What a server answered, in words that an operator can act on."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from runbook.changes import Response
from runbook.host.refusals import shortened
from runbook.units import Duration

LIMIT = 300  # characters of an answer that an error shows
NOTHING = object()  # what a body that is no JSON holds
HINTS = {
    401: "does it want a key, and is it given the right one?",
    403: "does it want a key, and is it given the right one?",
    404: "is the path of the URL right, and is this the service that has it?",
    405: "the service takes another method there",
    413: "what was sent is larger than the service takes",
    429: "it is asked too often: wait, or ask less",
    502: "what stands before the service does not reach it: is it started?",
    503: "it is up, and not ready: is it still loading, or overloaded?",
    504: "what stands before the service waits for it in vain: is it overloaded?",
}


def content(response: Response) -> Any:
    """Give the JSON of an answer; `NOTHING` where it is none."""
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return NOTHING


def told(response: Response) -> dict[str, Any]:
    """Give an answer as `register` gets it."""
    body = content(response)
    return {
        "status": response.status,
        "json": None if body is NOTHING else body,
        "elapsed_ms": milliseconds(response.elapsed_s),
    }


def unwanted(response: Response, wanted: Sequence[int]) -> str:
    """Say that an answer has another status than is wanted, and what it says."""
    said = excerpt(response)
    return (
        f"the answer is {named(response.status)}, wanted {' or '.join(map(str, wanted))}{f': {said}' if said else ''}"
    )


def late(response: Response, limit: Duration | None) -> str | None:
    """Say that an answer took longer than is wanted."""
    if limit is None or response.elapsed_s <= limit:
        return None
    return f"it answered in {milliseconds(response.elapsed_s):g} ms, and max_latency is {limit}"


def named(status: int) -> str:
    """Write a status with its name: `503 Service Unavailable`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def hint_for(status: int) -> str | None:
    """Say what to look at after an answer of this status."""
    if status in HINTS:
        return HINTS[status]
    if 300 <= status < 400:
        return "it sends on to another address: write that one, or `follow_redirects: true`"
    return "look into the service's log for what went wrong at this time" if status >= 500 else None


def excerpt(response: Response) -> str:
    """Give the beginning of an answer on one line: its `detail` or `error` where it has one."""
    body = content(response)
    if isinstance(body, dict):
        said = next((body[name] for name in ("detail", "error", "message") if body.get(name)), body)
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    else:
        text = response.body[: 4 * LIMIT].decode("utf-8", "replace")
    return shortened("".join(char if char.isprintable() else " " for char in text).strip(), LIMIT)


def lacking(wanted: Any, got: Any, where: str = "") -> str | None:
    """Say where a document lacks what is wanted of it; mappings may hold more, anything else is equal."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        missing = next((name for name in wanted if name not in got), None)
        if missing is not None:
            return f"it has no {_at(where, missing)}"
        found = (lacking(value, got[name], _at(where, name)) for name, value in wanted.items())
        return next((text for text in found if text), None)
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        both = enumerate(zip(wanted, got, strict=True))
        return next((text for n, pair in both if (text := lacking(*pair, f"{where}[{n}]"))), None)
    same = wanted == got and isinstance(wanted, bool) == isinstance(got, bool)
    return None if same else f"{where or 'it'} is {_shown(got)}, not {_shown(wanted)}"


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else str(name)


def _shown(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False, default=str), 100)


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1) if math.isfinite(seconds) else 0.0
