"""`runbook tasks`: what a playbook can call."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command("tasks")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the tasks with what they do, or show NAME with its params and what it returns."""
    from runbook.registry import Registry

    registry = Registry([Path("tasks"), *(Path(p) for p in os.environ.get("RUNBOOK_TASKS", "").split(os.pathsep) if p)])
    if name is None:
        rows = sorted(set(registry.summaries()))
        width = max(len(row.name) for row in rows)
        for row in rows:
            click.echo(f"{row.name:<{width}}  {row.kind:<9}  {row.line}")
        return
    from runbook.cli.taskpage import console_page

    click.echo(console_page(registry.spec(name)))
