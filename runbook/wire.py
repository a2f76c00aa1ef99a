"""Events and results as JSON, in both directions."""

from __future__ import annotations

import math
import re
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from pathlib import PurePath
from typing import Any

from runbook import events as ev
from runbook.errors import Where
from runbook.units import Mode, Secret
from runbook.unknown import Unknown, reason_of

STEP_FIELDS = ("index", "play", "name", "task", "host", "where")
DEEPEST = 64
Json = dict[str, Any]


def plain(value: Any, depth: int = 0) -> Any:
    """Give the value as JSON knows it: Unknown as its reason, a path, secret or bytes as text, a time in RFC 3339."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Unknown):
        return reason_of(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | float):
        return str(value) if isinstance(value, Mode) or not math.isfinite(value) else value
    if depth > DEEPEST:
        return "... too deep to be shown"
    if isinstance(value, dict):
        return {str(plain(key, depth + 1)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    return _plain_object(value, depth)


def _plain_object(value: Any, depth: int) -> Any:
    if isinstance(value, set | frozenset):
        return sorted((plain(item, depth + 1) for item in value), key=str)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Where):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), depth + 1) for field in fields(value)}
    if callable(as_list := getattr(value, "tolist", None)):  # numbers and arrays of numpy
        return plain(as_list(), depth + 1)
    return str(value) if isinstance(value, PurePath | Secret) else repr(value)


def rfc3339(moment: datetime) -> str:
    """Write a time in UTC, `2025-03-01T02:00:00.250Z`; one without a zone is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def result_json(result: ev.Result) -> Json:
    """Give an entry of the report's `steps`; `item`, `items`, `forced`, `notified` only where they say something."""
    entry: Json = plain(result.step)
    for name in ("status", "started_at", "duration_s", "attempts"):
        entry[name] = getattr(result, name)
    entry["duration_s"] = round(result.duration_s, 6)
    entry["changes"] = [change_json(change) for change in result.changes]
    for name in ("data", "reason", "error", "ignored", "rescued"):
        entry[name] = plain(getattr(result, name))
    for name in ("item", "forced", "notified"):
        if getattr(result, name) not in (None, False, ()):
            entry[name] = plain(getattr(result, name))
    if result.items is not None:
        entry["items"] = [result_json(item) for item in result.items]
    return entry


def change_json(change: Json) -> Json:
    return {
        "kind": plain(change["kind"]),
        "target": plain(change["target"]),
        "detail": plain(change.get("detail") or ""),
        "diff": plain(change.get("diff")),
        "applied": change.get("applied", False),
    }


def step_from(entry: Json) -> ev.StepId:
    return ev.StepId(**{**{name: entry[name] for name in STEP_FIELDS}, "where": where_from(entry["where"])})


def where_from(text: str) -> Where:
    match = re.fullmatch(r"(.*):(\d+):(\d+)", text, re.DOTALL)
    return Where(match[1], int(match[2]), int(match[3])) if match else Where(text)


def result_from(entry: Json) -> ev.Result:
    """Give back the result that `result_json` wrote."""
    known = {name: value for name, value in entry.items() if name not in STEP_FIELDS}
    known["error"] = ev.Failure(**entry["error"]) if entry.get("error") else None
    known["notified"] = tuple(entry.get("notified", ()))
    if entry.get("items") is not None:
        known["items"] = [result_from(item) for item in entry["items"]]
    return ev.Result(step=step_from(entry), **known)


EVENTS: dict[str, type[ev.Event]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): kind
    for name, kind in vars(ev).items()
    if isinstance(kind, type) and issubclass(kind, ev.Event) and kind is not ev.Event
}
NAMES = {kind: name for name, kind in EVENTS.items()}


def event_json(event: ev.Event) -> Json:
    """Give an event as one JSON object: `event` names it in snake case, beside its fields."""
    body: Json = {"event": NAMES[type(event)]}
    for field in fields(event):
        value = getattr(event, field.name)
        body[field.name] = result_json(value) if isinstance(value, ev.Result) else plain(value)
    return body


def event_from(body: Json) -> ev.Event:
    """Give back the event that `event_json` wrote; KeyError or TypeError for anything else."""
    kind = EVENTS[body["event"]]
    given: Json = {
        name: tuple(value) if name in ("hosts", "tags", "handlers") else value for name, value in body.items()
    }
    del given["event"]
    if "step" in given:
        given["step"] = step_from(given["step"]) if isinstance(given["step"], dict) else given["step"]
    if "result" in given:
        given["result"] = result_from(given["result"])
    if given.get("where"):
        given["where"] = where_from(given["where"])
    return kind(**given)
