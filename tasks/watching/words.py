"""News as letters, and a pass as one line of the log."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from runbook.units import Duration

from ..alerting.letters import Letter, Level, one_line  # noqa: TID252 - `runbook.tasks` is no folder of runbook/
from .logic import News
from .state import Watched

LEVELS: Mapping[str, Level] = {
    "down": "critical",
    "reminder": "critical",
    "flapping": "warning",
    "restarted": "warning",
    "unwatched": "info",
    "up": "info",
}
TITLES = {
    "down": "{} is down",
    "reminder": "{} is still down",
    "flapping": "{} comes and goes",
    "restarted": "{} was down, and is up again after a restart",
    "unwatched": "{} is no longer watched",
    "up": "{} is up again",
}
LONGEST = 4000  # bytes of a line in the log


def letter_of(news: News, *, host: str, now: datetime, url: str | None, service: str | None) -> Letter:
    """Give what people read; a letter of the same incident that is sent twice has the same key."""
    incident = news.incident
    where = f" ({url})" if url else ""
    times = f"Since {_moment(incident.since)}"
    if news.kind in ("up", "restarted", "unwatched"):
        times = f"From {_moment(incident.since)} to {_moment(now)}, {_span(now - incident.since)}"
    lines = [f"{news.target}{where}: {news.reason or 'it fails now and then'}.", f"{times}."]
    if incident.restarts:
        count = "once" if incident.restarts == 1 else f"{incident.restarts} times"
        lines.append(f"{service or 'It'} was restarted {count}.")
    if incident.refused:
        lines.append(f"The last restart failed: {incident.refused}.")
    elif news.kind in ("down", "reminder"):
        lines.append("That did not help." if incident.restarts else "Nothing was restarted for it.")
    count = now.isoformat() if news.kind == "reminder" else ""
    told = f"{host}\n{news.target}\n{incident.since.isoformat()}\n{news.kind}\n{count}"
    key = hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    title = TITLES[news.kind].format(news.target)
    return Letter(key=key, level=LEVELS[news.kind], title=title, text="\n".join(lines), host=host, at=now)


def lost_letter(reason: str, kept: str, *, host: str, now: datetime, window: timedelta) -> Letter:
    """Give what people read where the watch has lost its memory."""
    text = (
        f"What it knew could not be read: {reason}. The file was kept as {kept}.\n"
        f"Nothing is restarted for {_span(window)}, as nobody knows how often it was."
    )
    key = hashlib.sha256(f"{host}\nlost\n{now.isoformat()}".encode()).hexdigest()[:32]
    return Letter(key=key, level="warning", title="the health watch has lost its memory", text=text, host=host, at=now)


def line_of(
    state: Watched,
    now: datetime,
    *,
    well: bool,
    restarted: Mapping[str, str | None],
    told: Sequence[str],
    undelivered: Sequence[str],
) -> bytes:
    """Write a pass on one line: when, whether all is well, each target, and what was done."""
    parts = [f"{now:%Y-%m-%dT%H:%M:%SZ}", "ok" if well else "FAILED"]
    for name, target in state.targets.items():
        reason = "" if target.state == "up" or not target.reason else f' "{target.reason}"'
        count = f" {target.failures} in a row" if target.failures else ""
        parts.append(f"{name}={target.state}{count}{reason}")
    for service, refused in restarted.items():
        parts.append(f"restart of {service}: {'done' if refused is None else f'failed: {refused}'}")
    parts += [f"alert: {each}" for each in told]
    parts += [f"not delivered: {each}" for each in undelivered]
    return one_line(", ".join([" ".join(parts[:2]), *parts[2:]]), LONGEST).encode() + b"\n"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _span(span: timedelta) -> str:
    return str(Duration(round(max(0.0, span.total_seconds()))))
