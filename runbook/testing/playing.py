"""Play a playbook within the test's own process, on real files or in memory, and look at its report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook import __version__
from runbook.errors import TaskFailed
from runbook.events import Mode, RunStarted
from runbook.host import Host, LocalHost, Overlay, guard
from runbook.report import Report

if TYPE_CHECKING:  # cases need neither the compiler nor the walk through a play
    from runbook.plan.model import Plan


def plan_of(playbook: Path | str, inputs: Mapping[str, str] | None = None, *, tags: tuple[str, ...] = ()) -> Plan:
    """Compile a playbook, by path or by the name of a shipped one, for localhost; `inputs` are as after `-e`.

    Raises `Invalid`, with the place, for whatever is wrong with it.
    """
    from runbook.hosts import load_inventory
    from runbook.plan.compile import Request, compile_plan
    from runbook.plan.tags import Tags
    from runbook.playbook import find_playbook, load_playbook
    from runbook.registry import Registry

    path = find_playbook(str(playbook))
    registry = Registry([path.parent / "tasks"])
    book = load_playbook(path, is_task=registry.is_task)
    extra = tuple(f"{name}={value}" for name, value in (inputs or {}).items())
    inventory = load_inventory(_inventory(), path.resolve().parent)
    request = Request(path, extra, tags=Tags(tags), environ=dict(os.environ))
    return compile_plan(book, inventory, registry, request)


def play(plan: Plan, *, mode: Mode = "run", now: datetime | None = None, host: Host | None = None) -> dict[str, Any]:
    """Run a plan, or check it, and give the report; on this machine, or on `host`, a `MemoryHost` for example."""
    from runbook.engine.ears import Ears
    from runbook.engine.run import execute
    from runbook.engine.stage import Stage
    from runbook.engine.state import Machine

    now = now or datetime.now(UTC)
    run_id = f"{now:%Y%m%dT%H%M%SZ}-test00"
    secrets = [secret for _, secret in plan.secrets()]
    real = host or LocalHost(now=now, cwd=Path.cwd(), env=dict(os.environ), run_id=run_id, secrets=secrets)
    report = Report()
    guard.install()
    report(_started(plan, run_id, mode, now))
    stage = Stage(
        plan,
        Machine(Overlay(real, imagined=True) if mode == "check" else real, real),
        report,
        run_id=run_id,
        mode=mode,
        diff=True,
        ears=Ears(),
        prompt=_nobody,
        read_file=lambda name: (Path(plan.playbook_dir) / name).read_text(encoding="utf-8"),
        keep_secret=secrets.append,
    )
    execute(stage)
    return report.to_json()


def _started(plan: Plan, run_id: str, mode: Mode, now: datetime) -> RunStarted:
    from runbook.engine.clock import stamp

    return RunStarted(
        run_id=run_id,
        playbook=str(plan.playbook_dir),
        playbook_sha256=plan.sha256,
        mode=mode,
        started_at=stamp(now),
        runbook_version=__version__,
        machine={"name": "localhost", "os": os.name, "python": "", "user": ""},
        inputs=dict(plan.inputs),
        hosts=("localhost",),
        steps=len(plan.steps),
        tags=plan.tags,
    )


def changes_of(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give every change of a report, those of loops too, in order."""
    results = [each for step in report["steps"] for each in (step.get("items") or [step])]
    return [change for result in results for change in result["changes"]]


def _nobody(text: str, seconds: float) -> None:
    del seconds
    raise TaskFailed(f"nobody is there to answer: {text}", hint="leave the step out of the test by its tags")


def _inventory() -> Path:
    from importlib.resources import files

    return Path(str(files("runbook.inventory"))) / "local.yml"
