"""A run from its start to its end, as one list of steps: read, lock, compile, record, run."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import ExitStack
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook.cli.play import task_folders
from runbook.cli.signals import stoppable
from runbook.events import Mode
from runbook.playbook import Playbook, find_playbook, load_playbook
from runbook.registry import Registry
from runbook.source import uncollected
from runbook.store import Store
from runbook.value import frozen, record

if TYPE_CHECKING:
    from runbook.plan.model import Plan


@frozen
class Options:
    """What was said on the command line; `wait` in seconds."""

    playbook: str
    mode: Mode = "run"
    extra: tuple[str, ...] = ()
    inventory: str | None = None
    diff: bool = False
    limit: str | None = None
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    report: Path | None = None
    as_json: bool = False
    quiet: bool = False
    verbose: int = 0
    fail_on_change: bool = False
    wait: float = 0.0
    state_dir: Path | None = None


@record
class Session:
    """What is known of a run before it starts."""

    options: Options
    path: Path
    registry: Registry
    book: Playbook
    store: Store
    run_id: str
    started: datetime = field(default_factory=lambda: datetime.now(UTC))


def play(options: Options) -> int:
    """Play a playbook and give the exit code; whatever is wrong before the first step is an error and no run."""
    from runbook.lock import acquire
    from runbook.plan.locks import lock_names

    path = find_playbook(options.playbook)
    registry = Registry(task_folders(path))
    book = load_playbook(path, is_task=registry.is_task)
    store = Store(options.state_dir)
    session = Session(options, path, registry, book, store, store.new_id())
    with ExitStack() as stack:
        stack.enter_context(stoppable())
        if options.mode == "run":
            names = lock_names(book, inventory_path(options.inventory))
            held = acquire(store.home, names, wait=options.wait, run_id=session.run_id, playbook=str(path))
            stack.enter_context(held)
        plan = _compiled(session)
        if options.mode == "dry-run":
            from runbook.cli.dryrun import dry_run

            return dry_run(session, plan)
        from runbook.cli.running import run

        return run(session, plan)


def inventory_path(option: str | None) -> Path:
    """Give the inventory's path: the one that was named, or the shipped one, which holds localhost."""
    if option:
        return Path(option).expanduser()
    from importlib.resources import files

    return Path(str(files("runbook.inventory"))) / "local.yml"


def _compiled(session: Session) -> Plan:
    from runbook.hosts import load_inventory
    from runbook.plan.compile import Request, compile_plan
    from runbook.plan.tags import Tags

    options = session.options
    inventory = load_inventory(inventory_path(options.inventory), session.path.resolve().parent)
    request = Request(
        session.path,
        options.extra,
        options.limit,
        Tags(options.tags, options.skip_tags),
        dict(os.environ),
        Path.cwd(),
    )
    with uncollected():
        plan = compile_plan(session.book, inventory, session.registry, request)
    gc.freeze()  # what was compiled lives as long as the run: the collector need not look at it again
    return plan


def machine_facts() -> dict[str, Any]:
    """Say for the report where the run took place."""
    from runbook.host.facts import Facts

    facts = Facts()
    return {
        "name": facts["hostname"],
        "os": facts["os"],
        "python": sys.version.split()[0],
        "user": facts["user"],
    }
