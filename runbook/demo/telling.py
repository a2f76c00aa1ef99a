"""What the demo says, and the runs of the command that it shows."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click


def play(root: Path, name: str, words: list[str], meaning: str, *, brief: bool = False) -> dict[str, Any]:
    """Run `runbook play` with these words in a process of its own, and give its report; `brief` shows a line a step."""
    report = root / "reports" / f"{name}.json"
    say(f"\n$ runbook {shlex.join(['play', *words])}", bold=True)
    say(f"# {meaning}", dim=True)
    say("# In a line a step here; the command itself tells every change.\n" if brief else "", dim=True)
    where = ["--report", str(report), "--state-dir", str(root / "state")]
    # From the folder, so that an installed runbook is not mistaken for the one in a checkout.
    command = [sys.executable, "-m", "runbook", "play", *words, *where]
    done = subprocess.run(command, cwd=root, env=plain_env(), check=False, capture_output=brief, text=True)
    if done.returncode:
        raise click.ClickException(
            f"runbook ended with exit code {done.returncode}\n{done.stdout or ''}{done.stderr or ''}"
        )
    result: dict[str, Any] = json.loads(report.read_text())
    if brief:
        for step in result["steps"]:
            if step["status"] != "skipped":
                say(f"  {in_short(step, result['mode'])}")
    say("The report, as JSON:")
    say(str(report))
    return result


def in_short(step: dict[str, Any], mode: str) -> str:
    """Give a step of a report in a line: what became of it, its name, and how many changes there are."""
    status = "would change" if (mode, step["status"]) == ("check", "changed") else step["status"]
    changes = sum(len(result["changes"]) for result in step.get("items") or [step])
    counted = f"  ({changes} change{'s' if changes != 1 else ''})" if changes else ""
    return f"{status:<13}{step['name']}{counted}"


def plain_env() -> dict[str, str]:
    """Give the environment without runbook's own settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith("RUNBOOK_")}


def say(text: str, *, bold: bool = False, dim: bool = False) -> None:
    click.secho(text, bold=bold, dim=dim)
    sys.stdout.flush()  # a process that shares this output writes next
