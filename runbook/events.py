"""What happens in a run, as values; every output is a fold over them."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from runbook.errors import Where
from runbook.value import frozen, record

Status = Literal["ok", "changed", "failed", "skipped", "unsure", "unreachable"]
RunStatus = Literal["running", "ok", "failed", "unreachable", "interrupted", "crashed"]
Mode = Literal["run", "check", "dry-run"]


@frozen
class StepId:
    """Which step, of which host: `index` counts the steps of the plan from 1, in the order they stand in."""

    index: int
    play: str
    name: str
    task: str
    host: str
    where: Where


@frozen
class Failure:
    """Why something failed: the class of the error, what happened, what to do."""

    type: str
    message: str
    hint: str | None = None


@record
class Result:
    """What became of one step on one host, or of one item of its loop.

    `changes` are `Change.to_json()` values with `applied` (bool) beside them; `data` is what `register` gets. `entry`
    keeps its JSON, which the journal, the report and the screens share, once the first of them has made it.
    """

    step: StepId
    status: Status
    started_at: str = ""
    duration_s: float = 0.0
    attempts: int = 1
    changes: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, Any] | None = None
    reason: str | None = None
    error: Failure | None = None
    ignored: bool = False
    rescued: bool = False
    forced: bool = False
    item: str | None = None
    items: list[Result] | None = None
    notified: tuple[str, ...] = ()
    entry: dict[str, Any] | None = field(default=None, compare=False, repr=False)


@frozen
class Event:
    """Anything that happens."""


@frozen
class RunStarted(Event):
    run_id: str
    playbook: str
    playbook_sha256: str
    mode: Mode
    started_at: str
    runbook_version: str
    machine: dict[str, Any]
    inputs: dict[str, Any]
    hosts: tuple[str, ...]
    steps: int
    tags: tuple[str, ...] = ()


@frozen
class PlayStarted(Event):
    name: str
    hosts: tuple[str, ...]


@frozen
class StepStarted(Event):
    step: StepId
    at: str


@frozen
class Planned(Event):
    """The whole list of changes of a step or item, before the first is applied; the journal makes it durable."""

    step: StepId
    changes: list[dict[str, Any]]
    item: str | None = None
    round: int = 1


@frozen
class Applied(Event):
    """The change at this position (from 0) of the list planned last was applied."""

    step: StepId
    position: int


@frozen
class Settled(Event):
    """The last change of the list planned last was applied, or failed; the journal makes it durable."""

    step: StepId
    ok: bool


@frozen
class Progress(Event):
    """How far a long change is, in bytes (or in `unit`); `total` 0 is unknown."""

    step: StepId
    text: str
    done: float
    total: float = 0
    unit: str = "B"


@frozen
class Output(Event):
    """A line that a process printed, without its newline."""

    step: StepId
    stream: Literal["stdout", "stderr"]
    line: str


@frozen
class ItemFinished(Event):
    result: Result


@frozen
class StepFinished(Event):
    result: Result


@frozen
class Rescued(Event):
    """A rescue has made good the failure of this step."""

    step: StepId


@frozen
class Notified(Event):
    """Handlers wait to run on a host; the journal keeps them."""

    host: str
    handlers: tuple[str, ...]


@frozen
class Note(Event):
    """Something worth knowing that is no failure."""

    text: str
    where: Where | None = None


@frozen
class RunFinished(Event):
    status: RunStatus
    exit_code: int
    finished_at: str
    duration_s: float
