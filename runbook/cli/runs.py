"""`runbook runs`: list, show and prune the runs that are kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runbook.store import Kept, Store

state = click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where runs are kept. [default: $RUNBOOK_HOME]",
)


@click.group("runs")
def command() -> None:
    """Look at the runs that are kept, each with its report."""


@command.command("list")
@state
@click.option("--last", "limit", type=click.IntRange(1), default=20, show_default=True, help="How many to list.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a run.")
def list_(state_dir: Path | None, limit: int, as_json: bool) -> None:
    """List the runs, the newest first."""
    import json

    from runbook.console import say
    from runbook.lines import table

    kept = _store(state_dir).history()[:limit]
    if as_json:
        for run in kept:
            say(json.dumps({**run.head, "report": str(run.path / "report.json")}), sys.stdout)
        return
    if not kept:
        say(f"there are no runs in {_store(state_dir).runs}", sys.stderr)
        return
    rows = [("RUN", "PLAYBOOK", "MODE", "STATUS", "STARTED (UTC)", "TOOK", "COUNTS"), *map(_row, kept)]
    for line in table(rows):
        say(line, sys.stdout)


@command.command("show")
@click.argument("run", default="last")
@state
@click.option("--json", "as_json", is_flag=True, help="Print the stored report.")
@click.option("--diff", is_flag=True, help="Show what changed in texts.")
@click.option("-v", "--verbose", count=True, help="Show what steps returned as well.")
def show(run: str, state_dir: Path | None, as_json: bool, diff: bool, verbose: int) -> None:
    """Show a run as it was told: RUN is the beginning or the end of an id, or `last`."""
    from runbook.console import PlainConsole, say
    from runbook.report import Report

    found = _store(state_dir).find(run)
    path = found.path / "report.json"
    record = _record(path)
    if as_json:
        say(path.read_text("utf-8").rstrip("\n"), sys.stdout)
        return
    console = PlainConsole(sys.stdout, verbosity=verbose, diff=diff, report=str(path))
    for event in Report.from_json(record).events():
        console(event)
    if record["status"] == "running":
        say(f"it is still running; so far: {path}", sys.stdout)


@command.command("prune")
@state
@click.option(
    "--days", type=click.FloatRange(0), default=90, show_default=True, help="Older runs go; failed ones at 4 times."
)
@click.option("--keep", type=click.IntRange(0), default=1000, show_default=True, help="At most so many of a playbook.")
def prune(state_dir: Path | None, days: float, keep: int) -> None:
    """Remove old runs with their reports."""
    from runbook.console import say

    gone = _store(state_dir).prune(days, keep)
    say(f"{len(gone)} run{'s' * (len(gone) != 1)} removed", sys.stdout)


def _store(state_dir: Path | None) -> Store:
    """Open the store, after telling of the runs in it that crashed."""
    from runbook.console import say
    from runbook.store import Store

    store = Store(state_dir)
    for run_id in store.crashed_runs():
        if told := store.recover(run_id):
            say(told, sys.stderr)
    return store


def _record(path: Path) -> dict[str, Any]:
    from runbook.errors import RunbookError
    from runbook.folder import read_report
    from runbook.report import SCHEMA

    try:
        record = read_report(path)
    except (OSError, ValueError) as error:
        raise RunbookError(f"cannot read {path}: {error}", hint="the run was killed while it started") from error
    if record.get("schema") != SCHEMA:
        raise RunbookError(f"{path} is no report of schema {SCHEMA}", hint="another version of runbook wrote it")
    return record


def _row(run: Kept) -> tuple[str, ...]:
    from runbook.lines import duration, tally

    head = run.head
    counts = tally(head["summary"]) if "summary" in head else ""
    started = str(head.get("started_at", ""))[:19].replace("T", " ")
    names = (_short(str(head.get("playbook", ""))), head.get("mode", ""), head.get("status", ""))
    return (run.run_id, *map(str, names), started, duration(head.get("duration_s") or 0), counts)


def _short(playbook: str) -> str:
    """Name a shipped playbook as it is called, not by the folder it is installed in."""
    from runbook.playbook.find import shipped_playbooks

    path = Path(playbook)
    return path.name if shipped_playbooks().get(path.stem) == path else playbook
