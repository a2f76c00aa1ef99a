"""Jobs at their times: by cron, by a timer of systemd, by the Task Scheduler of Windows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from runbook.changes import Change, Remove, Run, RunCommand
from runbook.host import Host
from runbook.host.plans import fill
from runbook.task import Params, task
from runbook.units import Duration

from .scheduling import crontab as tab
from .scheduling import jobs as known
from .scheduling import task_xml, units
from .scheduling.words import Line, Wanted, Word

Minute = Annotated[str, BeforeValidator(tab.minute)]
Hour = Annotated[str, BeforeValidator(tab.hour)]
Day = Annotated[str, BeforeValidator(tab.day)]
Month = Annotated[str, BeforeValidator(tab.month)]
Weekday = Annotated[str, BeforeValidator(tab.weekday)]
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
    before = tab.table(host)
    after = tab.with_block(before, want.name, want.line)
    if after != before:
        yield tab.installed(before, after, want.name, want.line)
    return {"name": want.name, "line": want.line}


class Systemd(Params):
    """Which timer, and what it starts; both units bear the name."""

    name: str = Field(description="the units' name, as `runbook-daily`", pattern=r"^[A-Za-z0-9_][A-Za-z0-9:_.-]*$")
    calendar: Line | None = Field(
        None, description="when, as systemd writes it: `*-*-* 02:00:00`, `Mon 03:30`, `daily`"
    )
    argv: tuple[Word, ...] = Field((), description="the program, by its whole path, and its arguments")
    description: Line | None = Field(None, description="what it is for; the name without it")
    chdir: Path | None = Field(None, description="the folder to start it in")
    environment: dict[str, Word] = Field({}, description="variables; everybody can read them, so no secrets")
    persistent: bool = Field(default=True, description="make up for a time at which the machine was off")
    limit: Duration = Field(Duration.parse("12h"), description="the time after which it is ended")
    user: bool = Field(default=False, description="units of the user's own manager, not of the machine's")
    folder: Path | None = Field(None, description="where the units go, if not where systemd looks for such")
    state: State = Field("present", description="`absent` stops the timer and removes both units")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.state == "present" and (self.calendar is None or not self.argv):
            raise ValueError("`calendar` (when) and `argv` (what) are needed")
        if self.argv and not re.fullmatch(r"/[^$%\"'\\]*", self.argv[0]):
            raise ValueError(f"{self.argv[0]!r} is no whole path of a program, as systemd wants it; write /usr/bin/...")
        if self.chdir is not None and not self.chdir.is_absolute():
            raise ValueError(f"chdir: {str(self.chdir)!r} is no whole path")
        return self


@task(returns={"units": "the paths of both units", "calendar": "when it runs"})
def systemd(want: Systemd, host: Host) -> Plan:
    """Have a timer of systemd, enabled and running, and the service that it starts; or have neither.

    A service that is still at work when the timer elapses is not started again. The units are what they are wanted to
    be: what is changed in them by hand is undone.
    """
    control = ("systemctl", *(["--user"] if want.user else []))
    timer, service = f"{want.name}.timer", f"{want.name}.service"
    folder = want.folder or units.folder(host, user=want.user)
    paths = [folder / service, folder / timer]
    known = units.shown(
        host, (*control, "show", "--property=ActiveState,UnitFileState,NeedDaemonReload", timer, service)
    )
    data = {"units": [str(path) for path in paths], "calendar": want.calendar}
    if want.state == "absent":
        if known["ActiveState"][0] == "active" or known["UnitFileState"][0] == "enabled":
            yield units.control(control, "disable", "--now", timer)
        there = [(path, found) for path in paths if (found := host.stat(path, follow=False)) is not None]
        yield from (Remove(path, found) for path, found in there)
        if there:
            yield units.control(control, "daemon-reload")
        return data
    units.require_calendar(host, want.calendar or "")
    texts = _unit_texts(want)
    changes = [
        change
        for path, text in zip(paths, texts, strict=True)
        for change in fill(host, path, text.encode(), 0o644, parents=True)
    ]
    yield from changes
    if changes or "yes" in known["NeedDaemonReload"]:
        yield units.control(control, "daemon-reload")
    if known["UnitFileState"][0] != "enabled" or known["ActiveState"][0] != "active":
        yield units.control(control, "enable", "--now", timer)
    elif any(change.target == str(paths[1]) for change in changes):
        yield units.control(control, "restart", timer)
    return data


def _unit_texts(want: Systemd) -> tuple[str, str]:
    said = want.description or want.name
    chdir = str(want.chdir) if want.chdir else None
    limit = f"{round(want.limit)}s"
    return (
        units.service(said, want.argv, chdir, want.environment, limit),
        units.timer(said, want.calendar or "", persistent=want.persistent),
    )


class Windows(Params):
    """Which task of the Task Scheduler: daily `at` a time, or `every` so often.

    It never runs twice at a time, makes up for a missed start, runs on batteries too, and is ended after `limit`.
    """

    name: str = Field(description=r"its name, with folders as `runbook\daily`", pattern=r"^[^/:*?\"<>|\x00-\x1f]+$")
    at: str | None = Field(
        None, description='the time of day, in quotes: `"03:00"`', pattern=r"^([01]\d|2[0-3]):[0-5]\d$"
    )
    every: Duration | None = Field(None, description="the time from start to start, from 1m to 31d, as `1m`")
    argv: tuple[Word, ...] = Field((), description="the program, by its whole path, and its arguments")
    chdir: str | None = Field(None, description="the folder to start it in")
    description: Line | None = Field(None, description="what it is for; the name without it")
    account: Literal["system", "me"] = Field("system", description="the machine's own account, or who runs this")
    limit: Duration = Field(Duration.parse("12h"), description="the time after which it is ended")
    folder: Path = Field(Path(r"C:\ProgramData\runbook"), description="where the XML that it is made of is kept")
    state: State = Field("present", description="`absent` removes it")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.state == "absent":
            return self
        if (self.at is None) == (self.every is None) or not (self.argv and self.argv[0]):
            raise ValueError("`argv` (what), and one of `at` and `every` (when) are needed")
        if self.every is not None and not 60 <= self.every <= 31 * 86400:
            raise ValueError(f"every: {self.every} is not within 1m to 31d")
        return self


@task(returns={"path": "the XML it is made of"})
def windows(want: Windows, host: Host) -> Plan:
    r"""Have a task in the Windows Task Scheduler, or have none of that name.

    It is made of an XML file by `schtasks.exe /Create /XML`, and known again by a digest in its `Source`: a task that
    was made of another file, or by hand, is replaced. Tested to the byte of the file and of the command line; it has
    not been run on Windows.
    """
    path = want.folder / f"{want.name.replace(chr(92), '-')}.xml"
    done = host.probe(["schtasks.exe", "/Query", "/TN", want.name, "/XML"])
    there = done.stdout.replace("\0", "") if done.rc == 0 else None
    if want.state == "absent":
        if there is not None:
            yield Run(RunCommand(("schtasks.exe", "/Delete", "/TN", want.name, "/F"), affects=()), expect=(0,))
        if (found := host.stat(path, follow=False)) is not None:
            yield Remove(path, found)
        return {"path": None}
    content = task_xml.document(_job(want))
    yield from fill(host, path, content, None, parents=True)
    if there is None or task_xml.mark(content) not in there:
        argv = ("schtasks.exe", "/Create", "/TN", want.name, "/XML", str(path), "/F")
        yield Run(RunCommand(argv, affects=()), expect=(0,))
    return {"path": str(path)}


def _job(want: Windows) -> task_xml.Job:
    every = None if want.every is None else round(want.every)
    return task_xml.Job(
        description=want.description or want.name,
        command=want.argv[0],
        arguments=subprocess.list2cmdline(want.argv[1:]),
        folder=want.chdir,
        at=want.at,
        every=every,
        limit=round(want.limit),
        system=want.account == "system",
    )


class Jobs(Params):
    """Which jobs there must be, by the names that `runbook schedule install` gives them; a timer has to be enabled."""

    jobs: Wanted = Field(
        description='names, or `name: when` as whoever starts it writes it: `[health, {daily: "0 2 * * *"}]`'
    )
    provider: known.Provider = Field("auto", description="who starts them; `auto`: what this machine has")


@task(
    kind="probe",
    free="jobs",
    returns={"provider": "who starts them", "jobs": "when each starts: a crontab's fields, a calendar, a time of day"},
)
def jobs(want: Jobs, host: Host) -> dict[str, Any]:
    """Fail unless jobs are scheduled, and at their times: in the crontab, as timers, or in the Task Scheduler."""
    provider = want.provider if want.provider != "auto" else known.provider_of(host)
    found = known.times(host, provider, want.jobs)
    data: dict[str, Any] = {"provider": provider, "jobs": found}
    known.refuse_other(want.jobs, found, data)
    return data
