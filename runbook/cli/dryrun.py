"""`--dry-run`: the ordered steps with their resolved params, hosts and tags; no task runs, no host is read."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from runbook.cli.opening import reader, redactor_for, started
from runbook.cli.session import Session
from runbook.engine.clock import stamp
from runbook.engine.quiet import HIDDEN, silent
from runbook.errors import RunbookError, Unsure
from runbook.events import Event, Note, Result, RunFinished, StepFinished, StepId
from runbook.folder import Recorder
from runbook.plan.magic import IN_THE_RUN, Place, static_magic
from runbook.plan.model import Plan, PlannedPlay, StepNode, flat
from runbook.plan.names import sets
from runbook.templates import render_value
from runbook.unknown import Unknown
from runbook.variables import Variables
from runbook.wire import event_json, plain


def dry_run(session: Session, plan: Plan) -> int:
    """Print the plan, and record it as a run that skipped every step."""
    began = time.monotonic()
    redactor = redactor_for(plan)
    folder = session.store.open_run(session.run_id)
    recorder = Recorder(folder, also=session.options.report)

    def emit(event: Event) -> None:
        masked = redactor.event(event)
        recorder(masked)
        if session.options.as_json:
            click.echo(json.dumps(event_json(masked), ensure_ascii=False))

    try:
        emit(started(session, plan, redactor))
        later: dict[str, Any] = {}
        for where, text in plan.notes:
            emit(Note(text, where))
        for play in plan.plays:
            _say(session, f"PLAY {play.name}  [{', '.join(play.hosts)}]")
            for step in (*flat(play.nodes), *play.handlers):
                result = _planned(plan, play, step, later)
                later |= dict.fromkeys(sets(step), Unknown("known in the run"))
                emit(StepFinished(result))
                _say(session, redactor.mask(_shown(step, result, handler=step in play.handlers)))
        emit(RunFinished("ok", 0, stamp(), round(time.monotonic() - began, 6)))
    finally:
        folder.close()
    _say(session, f"\ndry run: {len(plan.steps)} steps; no host was read, none was changed")
    if not session.options.quiet:
        _say(session, f"report: {folder.report}")
    return 0


def _say(session: Session, text: str) -> None:
    if not session.options.as_json and not session.options.quiet:
        sys.stdout.write(text + "\n")


def _planned(plan: Plan, play: PlannedPlay, step: StepNode, later: Mapping[str, Any]) -> Result:
    """Resolve a step's params on the play's first host; `later` are the variables that steps before it set."""
    host = play.hosts[0] if play.hosts else "localhost"
    place = Place(play.name, play.hosts, str(plan.playbook_dir), plan.tags, plan.inventory)
    layers: tuple[Any, ...] = (
        dict.fromkeys(IN_THE_RUN, Unknown("known in the run")),
        static_magic(place, host),
        plan.extra.values,
        later,
        *step.effect.vars,
        *(layer.values for layer in reversed(play.layers.get(host, ()))),
    )
    view = Variables(layers, environ=dict(os.environ), reader=reader(Path(plan.playbook_dir)))
    hidden = silent(step, view)
    params = {name: HIDDEN if hidden else _param(step, name, value, view) for name, value in step.params.items()}
    name = _resolved(step.name, view) if step.name is not None else step.task
    name = step.task if isinstance(name, Unknown) else str(name)
    identity = StepId(step.index, play.name, name, step.task, host, step.where)
    return Result(
        identity, "skipped", reason="dry run", data={"params": params, "tags": list(step.tags)}, started_at=stamp()
    )


def _param(step: StepNode, name: str, value: Any, view: Variables) -> Any:
    if step.spec.use_of(name) in ("expression", "conditions"):
        return value.text
    return _resolved(value, view)


def _resolved(value: Any, view: Variables) -> Any:
    try:
        return render_value(value, view)
    except (RunbookError, Unsure):
        return Unknown("known in the run")


def _shown(step: StepNode, result: Result, *, handler: bool) -> str:
    data = result.data or {}
    tags = f"  tags: {', '.join(step.tags)}" if step.tags else ""
    role = "handler " if handler else ""
    lines = [f"{step.index:>4}  {role}{result.step.name}  [{step.task}]{tags}"]
    width = max((len(name) for name in data["params"]), default=0)
    lines += [f"        {name:<{width}}  {_value(value)}" for name, value in data["params"].items()]
    lines += [f"        when {condition.text}" for condition in step.effect.when]
    if step.loop:
        lines.append(f"        for each {step.loop.variable}")
    return "\n".join(lines)


def _value(value: Any) -> str:
    text = plain(value)
    return text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
