"""The INT8 model of a step: made and judged by a process of its own, and refused with what to do instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown

from .publishing import made_by

WORSE = "try another `method`, or calibrate on more samples of your own"
SLOWER = "serve FP32: not every model and machine is faster with INT8; `on_slower: warn` keeps the model for a trial"


def quantised(host: Host, spare: Path, earlier: Path | None, **job: Any) -> dict[str, Any]:
    """Let it be made and judged; raises TaskFailed, with the whole report, where a gate is closed.

    `earlier` is the model that has the name already, and keeps it then.
    """
    report = made_by(host, "quantize", spare, **job)
    if report["refused"]:
        left = f"; {shown(earlier)} is of an earlier run, and is left as it is" if earlier else ""
        text = f"not published: {'; '.join(report['refused'])}{left}"
        raise TaskFailed(text, hint=hint_for(report["refused"]), data={**report, "published": False})
    return report


def hint_for(refused: Sequence[str]) -> str:
    """Say what helps against the reasons: other ranges make no model faster."""
    slower = [reason for reason in refused if reason.startswith("INT8 is slower")]
    if not slower:
        return WORSE
    return SLOWER if len(slower) == len(refused) else f"{WORSE}; or {SLOWER}"
