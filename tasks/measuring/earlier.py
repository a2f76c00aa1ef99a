"""An earlier report of `bench.infer`, and the candidate in it that is to be run again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.absent import meant
from runbook.host.refusals import shown

from .candidates import file_of

SCHEMA = "runbook.bench/1"
MOVED = (
    "keep the old model, and say where it is: `old_model: models/old.onnx`; or make a new baseline: -e renew=true of"
    " gate.yml, or bench.infer again"
)
NEEDED = ("name", "engine", "model", "sha256", "options", "providers")


def read_report(host: Host, path: Path) -> Mapping[str, Any]:
    """Read a report; raises TaskFailed for a file that is none."""
    if host.stat(path) is None:
        hint = "the first one is made by `bench.infer`; it says what the old configuration was"
        raise TaskFailed(f"there is no report {shown(path)}{meant(host, path)}", hint=hint)
    try:
        report = json.loads(host.read(path))
    except ValueError as error:
        raise TaskFailed(f"{shown(path)} is no JSON: {error}") from error
    if not isinstance(report, dict) or report.get("schema") != SCHEMA or not report.get("candidates"):
        raise TaskFailed(f"{shown(path)} is no report of bench.infer", hint=f'its `schema` would be "{SCHEMA}"')
    lacking = {name for one in report["candidates"] for name in NEEDED if name not in one}
    lacking |= {"settings"} - report.keys()
    if lacking:
        hint = "it was changed since, or not written by bench.infer: measure the old configuration again"
        raise TaskFailed(f"the report {shown(path)} lacks {', '.join(sorted(lacking))}", hint=hint)
    return report


def again(host: Host, report: Mapping[str, Any], path: Path, name: str | None, moved: Path | None) -> dict[str, Any]:
    """Give a report's candidate as it is measured again; its model must be the very one that was measured then."""
    known = [one["name"] for one in report["candidates"]]
    found = next((one for one in report["candidates"] if name in {None, one["name"]}), None)
    if found is None:
        raise TaskFailed(f"{shown(path)} has no candidate {name!r}", hint=f"it has {', '.join(known)}")
    try:
        file = file_of(host, str(moved or found["model"]))
    except TaskFailed as error:
        raise TaskFailed(f"the old model cannot be run again: {error.message}", hint=MOVED) from error
    if found["sha256"] is not None and file["sha256"] != found["sha256"]:
        raise TaskFailed(
            f"{shown(Path(file['model']))} is not the model that {shown(path)} was measured with", hint=MOVED
        )
    told = {"engine": found["engine"], **file, "options": found["options"], "inputs": found.get("inputs")}
    return told | {"providers": found["providers"]["asked"]}
