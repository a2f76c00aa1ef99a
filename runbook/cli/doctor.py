"""`runbook doctor`: whether this installation and this machine are fit for what playbooks ask of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command("doctor")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help="Where reports are kept. [default: $RUNBOOK_HOME]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
def command(state_dir: Path | None, as_json: bool) -> int:
    """Examine this installation and this machine; of what is wrong say what to do. Exit 1 if something fails.

    Nothing is changed. Warnings are about what some tasks would miss; they leave the exit code 0.
    """
    from runbook import __version__
    from runbook.checkup import examine
    from runbook.console import say
    from runbook.lines import clean
    from runbook.store import state_dir as folder

    findings = []
    for one in examine(folder(state_dir)):
        findings.append(one)
        if not as_json:
            say(clean(f"{one.status:<4}  {one.name:<17}  {one.text}"), sys.stdout)
            if one.hint:
                say(clean(f"{'':<25}-> {one.hint}"), sys.stdout)
    worst = next((s for s in ("fail", "warn") if any(one.status == s for one in findings)), "ok")
    if as_json:
        rows = [{"check": one.name, "status": one.status, "text": one.text, "hint": one.hint} for one in findings]
        told = {"schema": "runbook.doctor/1", "runbook_version": __version__, "status": worst, "checks": rows}
        say(json.dumps(told, indent=2), sys.stdout)
    else:
        counts = {status: sum(one.status == status for one in findings) for status in ("ok", "warn", "fail")}
        say(", ".join(f"{count} {status}" for status, count in counts.items()), sys.stdout)
    return 1 if worst == "fail" else 0
