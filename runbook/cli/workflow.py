"""A run from its start to its end: read, lock, compile, then show the plan or run it."""

from __future__ import annotations

from contextlib import ExitStack

from runbook.cli.session import Options, compiled, inventory_path, opened
from runbook.cli.signals import stoppable


def play(options: Options) -> int:
    """Play a playbook and give the exit code; whatever is wrong before the first step is an error and no run."""
    session = opened(options)
    with ExitStack() as stack:
        stack.enter_context(stoppable())
        if options.mode == "run":
            from runbook.lock import acquire
            from runbook.plan.locks import lock_names

            names = lock_names(session.book, inventory_path(options.inventory))
            home, run_id, playbook = session.store.home, session.run_id, str(session.path)
            stack.enter_context(acquire(home, names, wait=options.wait, run_id=run_id, playbook=playbook))
        plan = compiled(session)
        if options.mode == "dry-run":
            from runbook.cli.dryrun import dry_run

            return dry_run(session, plan)
        from runbook.cli.running import run

        return run(session, plan)
