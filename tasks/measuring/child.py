"""The process that measures: memory, threads and libraries are its own, and the run disturbs nothing that is timed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbook.errors import TaskFailed
from runbook.host import Host


def work(host: Host, job: str, out: Path | None, **asked: Any) -> dict[str, Any]:
    """Let `python -m runbook.measure` do a job; raises TaskFailed for what it refuses.

    It writes what it makes to `out`, and its tables for people are given back; without `out` what it makes is. What it
    says on stderr is the step's output; it ends with the step's time, and with the run.
    """
    argv = [sys.executable, "-P", "-m", "runbook.measure"]
    done = host.probe(argv, stdin=json.dumps({"job": job, "out": out and str(out), **asked}))
    if done.rc:
        raise TaskFailed(f"the measuring process {done.last_words()}")
    said: Mapping[str, Any] = json.loads((done.stdout.strip().splitlines() or ["{}"])[-1])
    if "refused" in said:
        told = {"table": said["table"]} if said.get("table") else {}
        raise TaskFailed(said["refused"], hint=said["hint"], data=told)
    made: dict[str, Any] = said.get("made", said)
    return made


def report_of(host: Host, job: str, out: Path, **asked: Any) -> dict[str, Any]:
    """Do a job and give the report that it wrote, with its `table` where it has one."""
    said = work(host, job, out, **asked)
    found: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return found | ({"table": said["table"]} if said.get("table") else {})
