"""Every error that a user can meet, with the exit code that it ends a run with.

RunbookError                     1   anything below, raised with a message, a place and a hint
├── UsageError                   2   the command line could not be parsed
├── Unreachable                  3   the connection to an inventory host failed
├── Invalid                      4   what the user wrote is wrong; nothing was run
│   └── Problems                 4   several of them, found in one go
├── PendingChanges               5   `--check --fail-on-change` found something to do
├── StepError                    1   a step failed
│   ├── TaskFailed               1   a task or a change says that it cannot be done
│   │   └── Moved                1   the world changed between plan and apply: costs a round, not the step
│   ├── NotConverged             1   asked again, a state still wants the same change
│   ├── ImpurePlan               1   a plugin wrote while planning
│   └── TimedOut                 1   the step's time is over
├── Bug                         70   runbook itself is at fault
└── Busy                        75   another run holds the lock

Two stand apart, since a plugin's `except Exception` or a report of errors must not take them for one:
`Stopped` (129, 130, 143: hung up, interrupted, terminated) and `Unsure`, check mode's third answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from signal import Signals
from typing import ClassVar


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """A place in a file: line and column count from 1; 0 stands for the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class RunbookError(Exception):
    """An error with what happened, where, and what to do about it.

    `excerpt` shows the line; None leaves that to whoever knows the file, and an empty text means that it is not shown.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, where: Where | None = None, hint: str | None = None, excerpt: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.excerpt = excerpt

    def __str__(self) -> str:
        """Give the whole diagnostic: place, message, excerpt with caret, hint; never wrapped."""
        lines = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.excerpt:
            lines.append(self.excerpt)
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class UsageError(RunbookError):
    """The command line could not be parsed."""

    exit_code = 2


class Unreachable(RunbookError):
    """The connection to an inventory host failed; a refused HTTP request is not this."""

    exit_code = 3


class Invalid(RunbookError):
    """A playbook, inventory, input, tag or limit is wrong; nothing was run."""

    exit_code = 4


class Problems(Invalid):
    """Everything that is wrong, at once, in the order of the places."""

    def __init__(self, problems: list[Invalid]) -> None:
        unique = {(p.where or Where(""), p.message): p for p in problems}
        self.problems = [unique[key] for key in sorted(unique)]
        super().__init__(f"{len(self.problems)} problems")

    def __str__(self) -> str:
        return "\n\n".join(str(problem) for problem in self.problems)


class PendingChanges(RunbookError):
    """Changes are pending, and the caller asked to be told by the exit code."""

    exit_code = 5


class StepError(RunbookError):
    """A step failed; `data` is what is known of it for `register` and the report."""

    def __init__(self, message: str, *, hint: str | None = None, data: dict[str, object] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.data = data or {}


class TaskFailed(StepError):
    """A task or a change says that it cannot be done, and why: the exception that plugins raise."""


class Moved(TaskFailed):
    """What a change was planned on is no longer so; planning again may help."""


class NotConverged(StepError):
    """Asked again after its changes were applied, a state still wants one of them."""


class ImpurePlan(StepError):
    """A plugin changed something while it was planning, which only changes may do."""


class TimedOut(StepError):
    """The step did not end within its `timeout`; `undone` as of `Stopped`."""

    undone = False


class Bug(RunbookError):
    """A fault of runbook itself, to be reported."""

    exit_code = 70


class Busy(RunbookError):
    """Another run holds the lock."""

    exit_code = 75


class Stopped(BaseException):
    """A signal ended the run; `signal` is its number and the exit code is 128 more.

    `undone` says that nothing can have come of the change at work.
    """

    undone = False

    def __init__(self, signal: int) -> None:
        super().__init__(f"stopped by signal {signal}")
        self.signal = signal
        self.name = next((f"signal {signal} ({each.name})" for each in Signals if each == signal), f"signal {signal}")
        self.exit_code = 128 + signal


class Unsure(Exception):
    """The answer depends on something that only a run can tell; `reason` says on what.

    `now` is what would be said if everything stayed as it is: the message of a failure that is not certain.
    """

    def __init__(self, reason: str, *, now: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.now = now
