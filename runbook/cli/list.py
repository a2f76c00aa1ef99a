"""`runbook list`: the playbooks there are, with what they are for."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

import click


@click.command("list")
def command() -> None:
    """List the playbooks in ./, in ./playbooks and those that are shipped, each with the sentence that it begins with.

    That is the first of the comment at its top, or else its first play's name.
    """
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
            rows.append((shown, first_sentence(path) or str(next((p["name"] for p in plays if "name" in p), ""))))
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        click.echo(f"{name:<{width}}  {text}".rstrip())


def first_sentence(path: Path) -> str:
    """Give the first sentence of the comment that a playbook begins with; empty where it begins otherwise."""
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    comment = " ".join(line[1:].strip() for line in takewhile(lambda line: line.startswith("#") and line != "#", lines))
    return comment.partition(". ")[0].removesuffix(".")
