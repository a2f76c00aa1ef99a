"""Shows the nightly upkeep at work: `python -m runbook.demo` plans, checks and runs it on real files, and once more."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from runbook.demo_folder import LIVE_LOG, fresh, make_experiment
from runbook.errors import Invalid
from runbook.units import human_bytes

PASSES: tuple[tuple[str, list[str], str], ...] = (
    ("dry-run", ["--dry-run"], "What would be asked, with every variable filled in. No file is looked at."),
    ("check", ["--check"], "What would change, found out by the very code that does it. Nothing is written."),
    ("run", [], "The same, for real."),
    ("again", [], "And once more: everything is as it should be, so there is nothing left to do."),
)
# Appends as a server does, until its standard input is closed: also when the demo itself is killed.
WRITER = """
import select, sys, time
with open(sys.argv[1], "a", buffering=1) as log:
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        print(time.strftime("%F %T"), 'INFO uvicorn.access 10.2.0.9 "GET /health HTTP/1.1" 200', file=log)
"""


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default="demo", show_default=True, help="Where to make it.")
@click.option("--prepare-only", type=click.Path(path_type=Path), help="Only make the experiment folder, here.")
def main(folder: Path, prepare_only: Path | None) -> None:
    """Make an experiment folder of real files and run maintenance.yml on it, in every mode."""
    try:
        with fresh(prepare_only or folder) as root:
            if prepare_only:
                make_experiment(root)
            else:
                show(root)
    except Invalid as refused:
        raise click.ClickException(str(refused)) from None


def show(root: Path) -> None:
    """Run the four passes on a new experiment folder; raise ClickException unless each does what it promises."""
    experiment = make_experiment(root / "experiment")
    (root / "reports").mkdir()
    say(f"An experiment folder of real files: {experiment}")
    with live_log(experiment / "logs" / LIVE_LOG):
        say(f"A process keeps writing to logs/{LIVE_LOG}, which must lose nothing.\n")
        trees = [tree(experiment)]
        list_folders(trees[0])
        reports = []
        for number, (name, options, meaning) in enumerate(PASSES, 1):
            reports.append(play(root, experiment, f"{number}-{name}", options, meaning))
            trees.append(tree(experiment))
        list_changes(trees[0], trees[-1])
    judge(trees, reports)
    say(f"All as promised. The folder stays for you to look at: {experiment}")


def play(root: Path, experiment: Path, name: str, options: list[str], meaning: str) -> dict[str, Any]:
    """Run the playbook once in a process of its own, and give its report."""
    report = root / "reports" / f"{name}.json"
    command = ["play", "maintenance.yml", *options, "-e", f"exp_dir={experiment}"]
    say(f"\n$ runbook {shlex.join(command)}", bold=True)
    say(f"# {meaning}\n", dim=True)
    where = ["--report", str(report), "--state-dir", str(root / "state")]
    env = {key: value for key, value in os.environ.items() if not key.startswith("RUNBOOK_")}
    # From the folder, so that an installed runbook is not mistaken for the one in a checkout.
    done = subprocess.run([sys.executable, "-m", "runbook", *command, *where], cwd=root, env=env, check=False)
    if done.returncode:
        raise click.ClickException(f"runbook ended with exit code {done.returncode}")
    say("\nThe report, as JSON:")
    say(str(report))
    result: dict[str, Any] = json.loads(report.read_text())
    return result


@contextmanager
def live_log(path: Path) -> Iterator[None]:
    """Have a process append to the log for as long as the block lasts; each of its lines must be there at the end."""
    before = path.read_bytes()
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE) as writer:
        while path.stat().st_size == len(before):
            time.sleep(0.01)
        yield
        writer.communicate()
    if writer.returncode or not path.read_bytes().startswith(before):
        raise click.ClickException(f"{path} was not left to its writer")


def tree(folder: Path) -> dict[str, tuple[int, str, int, int]]:
    """Give mode, link, size and time (ns) of everything below the folder but the live log, by relative path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about, link = path.lstat(), os.readlink(path) if path.is_symlink() else ""
        if path.name != LIVE_LOG:
            weight = (0, 0) if link or path.is_dir() else (about.st_size, about.st_mtime_ns)
            found[str(path.relative_to(folder))] = (about.st_mode, link, *weight)
    return found


def list_folders(files: dict[str, tuple[int, str, int, int]]) -> None:
    """Say how many files each folder holds, of what size and age."""
    now = time.time()
    for folder in ("logs", "logs/archive", "checkpoints", "export"):
        inside = [about for path, about in files.items() if os.path.dirname(path) == folder and about[2]]
        oldest = max(now - about[3] / 1e9 for about in inside) / 86400
        size = human_bytes(sum(about[2] for about in inside))
        say(f"  {folder + '/':<14}{len(inside):>3} files  {size:>7}  the oldest {oldest:.0f} days")


def list_changes(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Say which files have gone and come."""
    say("\nWhat changed on disk:", bold=True)
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            say(f"  - {path}", fg="red")
        elif path not in before:
            say(f"  + {path}", fg="green")


def judge(trees: list[dict[str, Any]], reports: list[dict[str, Any]]) -> None:
    """Raise ClickException unless check wrote nothing, foretold the run, and the second run found nothing to do."""
    start, planned, checked, ran, again = trees
    foretold, done, left = (changes(report) for report in reports[1:])
    if not start == planned == checked:
        raise click.ClickException("dry-run or check mode changed a file")
    if foretold != done:
        raise click.ClickException(f"check mode foretold {foretold}, and the run did {done}")
    if left or reports[3]["summary"]["changed"] or ran != again:
        raise click.ClickException(f"the second run changed something: {left}")
    say(f"\nCheck foretold {len(foretold)} changes and wrote nothing; the run made just those; the second run, none.")


def changes(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Give kind and target of each change of a report, in order."""
    found = []
    for step in report["steps"]:
        for result in step.get("items") or [step]:
            found += [(change["kind"], change["target"]) for change in result["changes"]]
    return found


def say(text: str, *, bold: bool = False, dim: bool = False, fg: str | None = None) -> None:
    click.secho(text, bold=bold, dim=dim, fg=fg)
    sys.stdout.flush()  # a process that shares this output writes next


if __name__ == "__main__":
    main()
