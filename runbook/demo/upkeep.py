"""The nightly upkeep in every mode, on real files, in short: what each mode promises is held against what it did."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from runbook.demo.telling import play, say
from runbook.demo_folder import LIVE_LOG, make_experiment
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


def show_upkeep(root: Path) -> None:
    """Run the four passes on a new experiment folder; raise ClickException unless each does what it promises."""
    experiment = make_experiment(root / "upkeep")
    say(f"\nThe upkeep by itself, in every mode, on another folder of real files: {experiment}", bold=True)
    with live_log(experiment / "logs" / LIVE_LOG):
        say(f"A process keeps writing to logs/{LIVE_LOG}, which must lose nothing.\n")
        trees = [tree(experiment)]
        list_folders(trees[0])
        reports = []
        for number, (name, options, meaning) in enumerate(PASSES, 1):
            words = ["maintenance.yml", *options, "-e", f"exp_dir={experiment}"]
            reports.append(play(root, f"upkeep-{number}-{name}", words, meaning, brief=number > 1))
            say(f"  {counted(reports[-1])}")
            trees.append(tree(experiment))
    judge(trees, reports)


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


def counted(report: dict[str, Any]) -> str:
    """Say in a line what a report holds."""
    found = changes(report)
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(kind for kind, _ in found).items())
    return f"{len(report['steps'])} steps, {len(found)} changes{f': {kinds}' if kinds else ''}"


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
