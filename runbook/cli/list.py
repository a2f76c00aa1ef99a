"""`runbook list`: the playbooks there are, with what they are for."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("list")
def command() -> None:
    """List the playbooks in ./, in ./playbooks and those that are shipped, each with its first play's name."""
    from runbook.errors import RunbookError
    from runbook.playbook import shipped_playbooks
    from runbook.source import read_document

    here = sorted(path for folder in (Path(), Path("playbooks")) for path in folder.glob("*.yml"))
    rows = []
    for shown, path in [
        *((str(path), path) for path in here),
        *((f"{n}.yml", p) for n, p in shipped_playbooks().items()),
    ]:
        try:
            plays = read_document(path).value
        except RunbookError as error:
            rows.append((shown, f"cannot be read: {error.message}"))
            continue
        if isinstance(plays, list) and any(isinstance(play, dict) and "hosts" in play for play in plays):
            rows.append((shown, str(next((play["name"] for play in plays if "name" in play), ""))))
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        click.echo(f"{name:<{width}}  {text}".rstrip())
