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
    """Run `runbook play` with these words in a process of its own, and give its report; `brief` shows no more of it."""
    report = root / "reports" / f"{name}.json"
    say(f"\n$ runbook {shlex.join(['play', *words])}", bold=True)
    say(f"# {meaning}\n", dim=True)
    where = ["--report", str(report), "--state-dir", str(root / "state")]
    # From the folder, so that an installed runbook is not mistaken for the one in a checkout.
    command = [sys.executable, "-m", "runbook", "play", *words, *where]
    done = subprocess.run(command, cwd=root, env=plain_env(), check=False, capture_output=brief, text=True)
    if done.returncode:
        raise click.ClickException(
            f"runbook ended with exit code {done.returncode}\n{done.stdout or ''}{done.stderr or ''}"
        )
    say("The report, as JSON:")
    say(str(report))
    result: dict[str, Any] = json.loads(report.read_text())
    return result


def plain_env() -> dict[str, str]:
    """Give the environment without runbook's own settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith("RUNBOOK_")}


def say(text: str, *, bold: bool = False, dim: bool = False) -> None:
    click.secho(text, bold=bold, dim=dim)
    sys.stdout.flush()  # a process that shares this output writes next
