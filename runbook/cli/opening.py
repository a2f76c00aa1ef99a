"""How a run begins: which secrets are known, where it takes place, and what it was told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runbook import __version__
from runbook.cli.session import Session
from runbook.engine.clock import stamp
from runbook.errors import TaskFailed
from runbook.events import RunStarted
from runbook.plan.model import Plan
from runbook.secrets import Redactor


def redactor_for(plan: Plan) -> Redactor:
    """Know every secret that is known before the run, so that no output shows it."""
    redactor = Redactor()
    for name, secret in plan.secrets():
        redactor.add(secret.reveal(), name=name)
    return redactor


def started(session: Session, plan: Plan, redactor: Redactor) -> RunStarted:
    """Make the first event of a run."""
    hosts = tuple(dict.fromkeys(name for play in plan.plays for name in play.hosts))
    inputs: dict[str, Any] = {name: redactor.mask_value(value) for name, value in plan.inputs.items()}
    return RunStarted(
        session.run_id,
        str(session.path),
        plan.sha256,
        session.options.mode,
        stamp(session.started),
        __version__,
        _machine(),
        inputs,
        hosts,
        len(plan.steps),
        plan.tags,
    )


def reader(folder: Path) -> Callable[[str], str]:
    """Give the function that reads the controller's files for `lookup('file')`, from the playbook's folder."""

    def read(path: str) -> str:
        try:
            return (folder / Path(path).expanduser()).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise TaskFailed(f"lookup('file'): cannot read {path}: {error}") from error

    return read


def _machine() -> dict[str, Any]:
    """Say for the report where the run took place."""
    from runbook.host.facts import Facts

    facts = Facts()
    return {
        "name": facts["hostname"],
        "os": facts["os"],
        "python": sys.version.split()[0],
        "user": facts["user"],
    }
