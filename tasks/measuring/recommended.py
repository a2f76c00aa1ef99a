"""What `ort.optimize` has recommended, read out of its report for whoever measures with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.absent import meant
from runbook.host.refusals import shown

from .candidates import Candidate

SCHEMA = "runbook.optimize/1"
WANTED = "give the report of `ort.optimize`, or its `best`: {providers: [CPU], options: {threads: 2}}"


def resolved(host: Host, one: Candidate) -> Candidate:
    """Give a candidate with the providers and options of the file that it names; raises TaskFailed for what is none.

    What the file does not say, as where nothing was faster than the default, stays as it is without it.
    """
    if one.session_options is None:
        return one
    path = one.session_options
    best = _best(host, path)
    told = {name: best[name] for name in ("providers", "options") if name in best}
    try:
        found = Candidate.model_validate({"model": one.model, **told})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise TaskFailed(f"{shown(path)}: {place}: {first['msg']}", hint=WANTED) from None
    return one.model_copy(update={"providers": found.providers, "options": found.options, "session_options": None})


def _best(host: Host, path: Path) -> dict[str, Any]:
    if host.stat(path) is None:
        raise TaskFailed(f"there are no session options {shown(path)}{meant(host, path)}", hint=WANTED)
    try:
        content = json.loads(host.read(path))
    except (ValueError, RecursionError) as error:
        raise TaskFailed(f"{shown(path)} is no JSON: {error}", hint=WANTED) from error
    if isinstance(content, dict) and "schema" in content:
        if content["schema"] != SCHEMA:
            raise TaskFailed(f"{shown(path)} is a report, and not of ort.optimize", hint=WANTED)
        content = content.get("best")
    if not isinstance(content, dict):
        raise TaskFailed(f"{shown(path)} holds no session options", hint=WANTED)
    if unknown := sorted(set(content) - {"model", "name", "engine", "providers", "options"}):
        raise TaskFailed(f"{shown(path)}: {unknown[0]!r} is unknown", hint=WANTED)
    return content
