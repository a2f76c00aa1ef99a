"""What is known of a run before it starts: what was asked for, and what that means on this machine."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import redirect_stdout
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

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
    forks: int = 5


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


def opened(options: Options) -> Session:
    """Find and read the playbook; what is wrong with its structure is Problems."""
    path = find_playbook(options.playbook)
    registry = Registry(task_folders(path))
    book = load_playbook(path, is_task=registry.is_task)
    store = Store(options.state_dir)
    return Session(options, path, registry, book, store, store.new_id())


def task_folders(playbook: Path) -> list[Path]:
    """Give where a user's own tasks are looked for: beside the playbook, then `$RUNBOOK_TASKS`."""
    named = os.environ.get("RUNBOOK_TASKS", "").split(os.pathsep)
    return [playbook.resolve().parent / "tasks", *(Path(name).expanduser() for name in named if name)]


def inventory_path(option: str | None) -> Path:
    """Give the inventory's path: the one that was named, here or among the shipped ones; without one, localhost's."""
    named = Path(option or "local.yml").expanduser()
    if option and (named.exists() or named.name != option):
        return named
    from importlib.resources import files

    shipped = Path(str(files("runbook.inventory"))) / named
    return shipped if shipped.is_file() else named


def compiled(session: Session) -> Plan:
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
    # What the user's own modules print when they are imported is no event of a run: stdout may be read as JSON.
    with uncollected(), redirect_stdout(sys.stderr):
        plan = compile_plan(session.book, inventory, session.registry, request)
    gc.freeze()  # what was compiled lives as long as the run: the collector need not look at it again
    gc.enable()
    return plan
