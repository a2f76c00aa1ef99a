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
from runbook.units import Secret, Written
from runbook.unknown import Unknown, reason_of

STEP_FIELDS = ("index", "play", "name", "task", "host", "where")
DEEPEST = 64
Json = dict[str, Any]
_AS_THEY_ARE = frozenset({str, bool, int})


def plain(value: Any, depth: int = 0) -> Any:
    """Give the value as JSON knows it: Unknown as its reason, a path, secret or bytes as text, a time in RFC 3339.

    An age, size or mode is given as users write it.
    """
    if value is None or type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, Unknown):
        return reason_of(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | float):
        return str(value) if isinstance(value, Written) or not math.isfinite(value) else value
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
    return str(value) if isinstance(value, PurePath | Secret) else shown(value)


def shown(value: object) -> str:
    """Give an object's repr, which is its own class's work and may fail."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a plugin may have returned anything
        return f"<{type(value).__qualname__} that cannot be shown>"


def rfc3339(moment: datetime) -> str:
    """Write a time in UTC, `2025-03-01T02:00:00.250Z`; one without a zone is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def result_json(result: ev.Result) -> Json:
    """Give an entry of the report's `steps`; `item`, `items`, `forced`, `notified` only where they say something.

    It is made once for a result, and shared.
    """
    if result.entry is not None:
        return result.entry
    entry = result.entry = step_json(result.step)
    entry["status"] = result.status
    entry["started_at"] = result.started_at
    entry["duration_s"] = round(result.duration_s, 6)
    entry["attempts"] = result.attempts
    entry["changes"] = [change_json(change) for change in result.changes]
    for name in ("data", "reason", "error", "ignored", "rescued"):
        entry[name] = plain(getattr(result, name))
    for name in ("item", "forced", "notified"):
        if getattr(result, name) not in (None, False, ()):
            entry[name] = plain(getattr(result, name))
    if result.items is not None:
        entry["items"] = [result_json(item) for item in result.items]
    return entry


def step_json(step: ev.StepId) -> Json:
    return {
        "index": step.index,
        "play": step.play,
        "name": step.name,
        "task": step.task,
        "host": step.host,
        "where": str(step.where),
    }


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
# Of each kind of event its name, and the names of its fields.
NAMES = {kind: (name, tuple(field.name for field in fields(kind))) for name, kind in EVENTS.items()}


def event_json(event: ev.Event) -> Json:
    """Give an event as one JSON object: `event` names it in snake case, beside its fields."""
    name, names = NAMES[type(event)]
    body: Json = {"event": name}
    for each in names:
        value = getattr(event, each)
        kind = type(value)
        if kind is ev.StepId:
            body[each] = step_json(value)
        else:
            body[each] = result_json(value) if kind is ev.Result else plain(value)
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
