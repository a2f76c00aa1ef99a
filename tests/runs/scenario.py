"""A scenario: a folder with a playbook, and `expect.yaml`, which says what each way of running it does.

`expect.yaml` is a list of runs, each with `args` (of `runbook play`), `exit`, `summary`, and `trace`: a line for each
result in the report, `host | step | status | what it said`, indented for the items of a loop.
`peer: true` says that ansible-core does the same, which `test_peer.py` holds it to where ansible-core is at hand.
`UPDATE_RUNS=1 pytest tests/runs` writes what is there; read the difference before it is kept.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
TELLING = ("debug", "fail", "assert")  # their messages are the scenario's own words


@dataclass(frozen=True)
class Outcome:
    """What a run did: the report, with what differs from run to run taken out of it."""

    exit: int
    report: dict[str, Any]

    @property
    def summary(self) -> dict[str, int]:
        return {name: count for name, count in self.report["summary"].items() if count}

    @property
    def trace(self) -> list[str]:
        return [line for step in self.report["steps"] for line in lines_of(step)]


def scenarios() -> list[str]:
    return sorted(path.parent.name for path in HERE.glob("*/playbook.yml"))


def runs_of(scenario: str) -> list[dict[str, Any]]:
    path = HERE / scenario / "expect.yaml"
    return yaml.safe_load(path.read_text()) if path.exists() else [{"args": [], "peer": True}]


def copied(scenario: str, to: Path) -> Path:
    """Give a copy of the scenario's folder, which a run may write into."""
    return Path(shutil.copytree(HERE / scenario, to / scenario))


def run(arguments: list[str], state: Path) -> Outcome:
    """Run the playbook of the working folder through the public command."""
    from click.testing import CliRunner

    from runbook.cli.play import command

    inventory = ["-i", "inventory.yml"] if Path("inventory.yml").exists() else []
    words = ["playbook.yml", *inventory, "--state-dir", str(state), "--report", "report.json", *arguments]
    result = CliRunner().invoke(command, words, standalone_mode=False, catch_exceptions=False)
    report = json.loads(Path("report.json").read_text().replace(str(Path.cwd()), "$HERE"))
    return Outcome(int(result.return_value or 0), report)


def lines_of(step: dict[str, Any]) -> Iterator[str]:
    host = step["host"]
    marks = "".join(f" {mark}" for mark in ("ignored", "rescued", "forced") if step.get(mark))
    head = f"{host} | {step['name']} | {step['status']}{marks}"
    items = step.get("items")
    said = _said(step, step["task"]) if items is None else None
    yield head if said is None else f"{head} | {said}"
    for item in items or ():
        said = _said(item, step["task"])
        yield f"  {item['item']} | {item['status']}" + ("" if said is None else f" | {said}")


def _said(result: dict[str, Any], task: str) -> str | None:
    if result["status"] in ("unsure", "skipped"):
        return result["reason"] if result["status"] == "unsure" else None
    if task in TELLING:
        return str((result["data"] or {}).get("msg"))
    return result["error"]["message"] if result["error"] else None


def written(runs: list[dict[str, Any]]) -> str:
    """Give the text of an `expect.yaml`."""
    return yaml.safe_dump(runs, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)
