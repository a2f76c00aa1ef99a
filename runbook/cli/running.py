"""A run or a check: the machine, the observers, the engine, and what is left when it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from runbook.cli.opening import reader, redactor_for, started
from runbook.cli.session import Session
from runbook.cli.stray import Forgiving, heard
from runbook.engine.ears import Ears
from runbook.engine.run import execute
from runbook.engine.stage import Stage
from runbook.engine.state import Machine
from runbook.errors import PendingChanges, RunbookError, TaskFailed
from runbook.events import Event, Note, RunFinished
from runbook.folder import Recorder
from runbook.host import LocalHost, Overlay, guard
from runbook.journal import Journal
from runbook.plan.model import Plan
from runbook.secrets import Redactor

if TYPE_CHECKING:
    from runbook.host import Host


class Telling:
    """Tells every observer what happens, masked: each is told, also when another fails, for the report must go on."""

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self.observers: list[Callable[[Event], None]] = []

    def __call__(self, event: Event) -> None:
        masked = self.redactor.event(event)
        fault: RunbookError | None = None
        for observer in self.observers:
            try:
                observer(masked)
            except RunbookError as error:
                fault = fault or error
        if fault:
            raise fault


def run(session: Session, plan: Plan) -> int:
    """Run or check a plan; gives the exit code."""
    options = session.options
    tell = Telling(redactor_for(plan))
    with ExitStack() as stack:
        crashed = [told for run_id in session.store.crashed_runs() if (told := session.store.recover(run_id))]
        recorder = _recorded(session, tell, stack)
        ears = Ears()
        real = LocalHost(
            now=session.started,
            cwd=Path.cwd(),
            env=dict(os.environ),
            run_id=session.run_id,
            secrets=tell.redactor.known,
        )
        stack.callback(real.close)
        host: Host = Overlay(real, imagined=True) if options.mode == "check" else real
        guard.install()
        stage = Stage(
            plan,
            Machine(host, real, real.stop),
            tell,
            run_id=session.run_id,
            mode=options.mode,
            diff=options.diff,
            ears=ears,
            prompt=_prompt,
            read_file=reader(session.path.resolve().parent),
            keep_secret=lambda secret: tell.redactor.add(secret.reveal()),
            forks=options.forks,
        )
        with heard(ears, tell.redactor.mask):
            code = execute(stage, [started(session, plan, tell.redactor), *_notes(plan, crashed, tell.redactor)])
        changed = recorder.report.to_json()["summary"]["changed"]
    session.store.tidy()
    return PendingChanges.exit_code if options.fail_on_change and not code and changed else code


def _recorded(session: Session, tell: Telling, stack: ExitStack) -> Recorder:
    """Open the run's folder and let its journal, its report and the screen hear of it."""
    folder = session.store.open_run(session.run_id)
    stack.callback(folder.close)
    journal = Journal(folder.journal)
    stack.callback(journal.close)
    recorder = Recorder(folder, also=session.options.report)
    tell.observers += [journal, recorder, *_screens(session, folder.report, stack)]
    return recorder


def _notes(plan: Plan, crashed: list[str], redactor: Redactor) -> list[Note]:
    """Give what is worth knowing before the first step."""
    return [
        *(Note(text) for text in crashed),
        *(Note(text, where) for where, text in plan.notes),
        *(Note(f"the secret {name!r} is too short to be masked where it is part of a text") for name in redactor.short),
    ]


def _screens(session: Session, report: Path, stack: ExitStack) -> list[Callable[[Event], None]]:
    from runbook.console import PlainConsole
    from runbook.screens import for_terminal

    options = session.options
    verbosity = -1 if options.quiet else options.verbose
    screen = for_terminal(
        sys.stdout,
        json_lines=options.as_json,
        verbosity=verbosity,
        mode=options.mode,
        diff=options.diff,
        report=str(report),
    )
    stack.callback(screen.close)

    def name_no_report(event: Event) -> None:
        if isinstance(event, RunFinished) and isinstance(screen, PlainConsole) and not report.exists():
            screen.report = None  # the disk is full: the error says so

    return [name_no_report, Forgiving(screen)]


def _prompt(text: str, seconds: float) -> None:
    """Ask a person to go on; without a terminal that fails at once."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise TaskFailed(
            "pause asks a question and there is no terminal",
            hint="give it `seconds:`, or leave the step out with --skip-tags",
        )
    terminal = sys.__stderr__  # sys.stderr is the step's while the run goes on
    if terminal is not None:
        terminal.write(f"{text}\nPress Enter to go on, Ctrl-C to stop: ")
        terminal.flush()
    sys.stdin.readline()
    del seconds
