"""The command `python -m benchmarks`: measures, judges the budgets, and writes the results."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks import suites
from benchmarks.budgets import verdicts
from benchmarks.instances import instances
from benchmarks.measure import RUNBOOK, machine
from benchmarks.releases import release
from benchmarks.table import render, write_between

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
SUITES = ("files", "scale", "archive", "release", "instances", "start-up")


@click.command()
@click.option("--quick", is_flag=True, help="A slice of a minute, whose numbers say little; docs are left alone.")
@click.option(
    "--peers",
    type=click.Path(path_type=Path),
    envvar="RUNBOOK_PEERS",
    default=ROOT / ".venv-peers" / "bin",
    help="The bin folder that holds ansible-playbook and pyinfra.",
)
@click.option("--work", type=click.Path(path_type=Path, exists=True), help="Where to write: on a disk, not in memory.")
@click.option("--only", type=click.Choice(SUITES), multiple=True, help="Measure this only, and keep the other results.")
@click.option("--steps", type=int, multiple=True, help="Of the files suite measure this many steps only.")
def main(*, quick: bool, peers: Path, work: Path | None, only: tuple[str, ...], steps: tuple[int, ...]) -> None:
    """Measure runbook beside ansible-core, pyinfra, gzip, logrotate and bare Python, in turn."""
    stored = RESULTS / ("quick.json" if quick else "latest.json")
    numbers: dict[str, Any] = json.loads(stored.read_text()) if only and stored.exists() else {}
    folder = Path(tempfile.mkdtemp(prefix="runbook-bench-", dir=work))
    versions = [[RUNBOOK, "--version"]]
    versions += [
        [str(peers / tool), "--version"] for tool in ("ansible-playbook", "pyinfra") if (peers / tool).exists()
    ]
    try:
        numbers |= {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine(folder, versions)}
        for name in only or SUITES:
            click.echo(f"measuring {name} ...")
            found = measure(name, folder, peers.absolute(), quick=quick, steps=steps)
            numbers[name] = numbers.get(name, {}) | found if steps else found
    finally:
        shutil.rmtree(folder)
    numbers["load_after"] = [round(load, 2) for load in os.getloadavg()]
    numbers["budgets"] = list(verdicts(numbers))
    RESULTS.mkdir(exist_ok=True)
    stored.write_text(json.dumps(numbers, indent=1) + "\n")
    for verdict in numbers["budgets"]:
        mark = "met    " if verdict["met"] else "NOT MET"
        click.echo(f"{mark}  {verdict['promise']}: {verdict['value']:.1f} (limit {verdict['limit']})")
    if not quick and set(SUITES) <= numbers.keys():
        write_between(PAGE, render(numbers))
        click.echo(f"written to {stored} and {PAGE}")


def measure(name: str, folder: Path, peers: Path, *, quick: bool, steps: tuple[int, ...] = ()) -> dict[str, Any]:
    if name == "files":
        return suites.file_steps(folder, peers, quick=quick, only=steps)
    if name == "instances":
        return instances(folder, peers, quick=quick)
    alone = {"scale": suites.scale, "archive": suites.archive, "release": release, "start-up": suites.start_up}
    return alone[name](folder, quick=quick)


if __name__ == "__main__":
    main()
