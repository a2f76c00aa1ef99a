"""Models that are made: with a report beside each, which tells what it was made of, so that it is made once."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runbook.changes import Change, Produce, Remove
from runbook.host import Host
from runbook.host.plans import folders

from .child import report_of


def known(host: Host, told: Path, out: Path, made_of: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the report if the model is there, was made of the same, and has not been changed since."""
    report = _report_on(host, told, out)
    return report if report is not None and report.get("made_of") == made_of else None


def disowned(host: Host, told: Path, out: Path) -> Iterator[Change]:
    """Yield the removal of a model that is there although its own report says that it is slower.

    Under such a name releases and rollbacks would take it for one to be served.
    """
    report = _report_on(host, told, out)
    was = host.stat(out, follow=False)
    if report is None or was is None or not was.is_file or (report.get("speed") or {}).get("verdict") != "worse":
        return
    yield Remove(out, was, why="its report says that it is slower than FP32")


def _report_on(host: Host, told: Path, out: Path) -> dict[str, Any] | None:
    """Give the report beside a model, if it is of this very file."""
    if host.stat(told) is None or host.stat(out) is None:
        return None
    try:
        report = json.loads(host.read(told))
    except ValueError:  # another's file: it is replaced
        return None
    return report if isinstance(report, dict) and report.get("sha256") == host.sha256(out) else None


def made_by(host: Host, job: str, spare: Path, **asked: Any) -> dict[str, Any]:
    """Let a job make a model, and give its report with the model's SHA-256."""
    with tempfile.TemporaryDirectory() as folder:
        report = report_of(host, job, Path(folder, "report.json"), model_out=str(spare), **asked)
    if not spare.exists():  # it was refused
        return report
    with spare.open("rb") as file:
        return {**report, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def published(host: Host, model: Produce, told: Path, made_of: Mapping[str, Any]) -> Iterator[Change]:
    """Yield what makes a model and then its report."""
    for folder in dict.fromkeys((model.path.parent, told.parent)):
        yield from folders(host, folder)
    yield model

    def tell(spare: Path) -> None:
        spare.write_text(json.dumps({**model.cell.get(), "made_of": made_of}, indent=2) + "\n", "utf-8")

    yield Produce(told, tell, was=host.stat(told))
