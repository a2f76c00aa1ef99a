"""Jobs at their times: by cron, by a timer of systemd, by the Task Scheduler of Windows."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from runbook.changes import Change, Run, RunCommand
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import Params, task

from . import _crontab as tab

Minute = Annotated[str, BeforeValidator(tab.minute)]
Hour = Annotated[str, BeforeValidator(tab.hour)]
Day = Annotated[str, BeforeValidator(tab.day)]
Month = Annotated[str, BeforeValidator(tab.month)]
Weekday = Annotated[str, BeforeValidator(tab.weekday)]
SPOOL = "/var/spool/cron"
Plan = Generator[Change, None, dict[str, Any]]
State = Literal["present", "absent"]


class Cron(Params):
    """Which job, and when: fields as in a crontab, a number or a text such as `"*/5"`, `"1-5"`, `mon,thu`.

    Where both `day` and `weekday` are given, cron runs the job on either. Times are those of the machine's zone: what
    is set between 01:00 and 03:00 may run twice, or not at all, in the night that the clocks are changed.
    """

    name: Annotated[str, BeforeValidator(tab.owner)] = Field(description="whose block it is, as `nightly upkeep`")
    minute: Minute = Field("*", description="0-59")
    hour: Hour = Field("*", description="0-23")
    day: Day = Field("*", description="of the month, 1-31")
    month: Month = Field("*", description="1-12 or jan-dec")
    weekday: Weekday = Field("*", description="0-7 or sun-sat; 0 and 7 are Sunday")
    job: str | None = Field(None, description="the command, as for a shell, on one line; `%` is escaped for cron")
    state: State = Field("present", description="`absent` removes the block")

    @property
    def line(self) -> str | None:
        """The line of the table; None for a job that is to go."""
        if self.state == "absent" or self.job is None:
            return None
        times = (self.minute, self.hour, self.day, self.month, self.weekday)
        return " ".join([*times, tab.escaped(self.job)])

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.state == "present" and self.job is None:
            raise ValueError("`job` is missing: the command to run")
        if self.state == "present" and self.minute == "*" and self.hour != "*":
            raise ValueError(
                f'without `minute` it would run 60 times from {self.hour}:00 on; write `minute: 0`, or "*/1"'
            )
        _ = self.line
        return self


@task(returns={"name": "whose block it is", "line": "the line in the table; none if there is to be none"})
def cron(want: Cron, host: Host) -> Plan:
    """Have a job in the crontab of the user who runs this, in a block of its own; all other lines stay to the byte.

    The block begins with `# BEGIN runbook: NAME` and ends with `# END runbook: NAME`: what is changed by hand between
    them is undone. Markers that do not fit together are refused. The `crontab` command reads and writes the table.
    """
    before = _table(host)
    after = tab.with_block(before, want.name, want.line)
    if after != before:
        yield _installed(want, before, after)
    return {"name": want.name, "line": want.line}


def _table(host: Host) -> str:
    done = host.probe(["crontab", "-l"])
    if done.rc == 0:
        return done.stdout
    if done.rc == 1 and "no crontab for" in done.stderr:
        return ""
    raise TaskFailed(
        f"cannot read the crontab: `crontab -l` {done.last_words()}",
        hint="may this user have one? see crontab(1) on cron.allow and cron.deny",
    )


def _installed(want: Cron, before: str, after: str) -> Run:
    argv = ("crontab", "-") if after else ("crontab", "-r")
    old = tab.blocks(before).get(want.name)
    shows = "".join(
        f"{sign}{line}\n"
        for sign, text in (("-", old), ("+", want.line))
        if text is not None
        for line in text.split("\n")
    )
    detail = f"{want.name}: {'removed' if want.line is None else want.line}"
    return Run(
        RunCommand(argv, stdin=after or None, affects=(SPOOL,)),
        expect=(0,),
        detail=detail,
        shows=f"--- crontab\n+++ crontab\n@@ {want.name} @@\n{shows}",
    )
