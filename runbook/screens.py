"""Which screen is fit for a stream: a live display for a terminal, plain lines for pipes, JSON for programs."""

from __future__ import annotations

import os
from typing import TextIO

from runbook import events as ev
from runbook.console import QUIET, JsonLines, PlainConsole


def for_terminal(
    stream: TextIO,
    *,
    json_lines: bool = False,
    verbosity: int = 0,
    mode: ev.Mode = "run",
    diff: bool = False,
    report: str | None = None,
) -> PlainConsole | JsonLines:
    """Choose what is fit for the stream: a live display for a terminal, plain lines for cron, pipes and NO_COLOR."""
    if json_lines:
        return JsonLines(stream)
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "") in {"", "dumb"} or not stream.isatty()
    if plain or verbosity <= QUIET:
        return PlainConsole(stream, verbosity=verbosity, mode=mode, diff=diff, report=report)
    from runbook.live import LiveConsole

    return LiveConsole(stream, verbosity=verbosity, mode=mode, diff=diff, report=report)
