"""Services that are watched: asked in every pass, restarted when they fail, and people told when that does not help."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from runbook.changes import Change, Move, Produce, Run, RunCommand, Stat, Write, after, then
from runbook.changes.adding import Append
from runbook.changes.messages import Attempt
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.plans import folders
from runbook.task import Params, task
from runbook.units import Duration

from .alerting.letters import Letter
from .supervision import process, systemd, windows
from .supervision.service import Argument, Startable, chosen
from .watching import sending, words
from .watching.checks import Check, ask
from .watching.logic import Decisions, Rules, advance, without_memory
from .watching.passing import Pass, discreet, reasons_of
from .watching.state import Unreadable, Waiting, Watched, decode, encode

PROVIDERS: dict[str, Any] = {"systemd": systemd, "windows": windows, "process": process}
RESTART_TIME = 120.0  # seconds that a restart may take
RETURNS = {
    "healthy": "whether every check is up",
    "targets": "for each check: `state` (up, failing, restarting, down, flapping, unknown), `since`, `failures`,"
    " `reason`, `elapsed_ms`",
    "restarted": "the services that were restarted",
    "restarts_failed": "for each restart that failed: why",
    "told": "what people were told, or are to be told",
    "waiting": "what some channel has not taken yet",
    "msg": "what was done, in words; empty where nothing was",
}


class Command(Params):
    """A command that restarts what is watched, for what no service manager runs."""

    run: tuple[Argument, ...] = Field(description="the program and its arguments, as a list", min_length=1)
    chdir: Path | None = Field(None, description="the folder to start it in")
    timeout: Duration = Field(Duration.parse("60s"), description="how long it may take")


def _form(value: Any) -> str:
    return "command" if (isinstance(value, dict) and "run" in value) or isinstance(value, Command) else "service"


Remedy = Annotated[Annotated[Startable, Tag("service")] | Annotated[Command, Tag("command")], Discriminator(_form)]


class Watch(Params):
    """What is asked, when it is enough, what helps, and who is told.

    The task makes one pass and ends: cron or the Task Scheduler calls it, every 30 s for what has to be noticed within
    a minute.
    """

    checks: tuple[Check, ...] = Field(description="the addresses that are asked", min_length=1)
    state: Path = Field(description="the file that keeps what is known from one pass to the next")
    log: Path | None = Field(None, description="the file that each pass adds a line to")
    failures: PositiveInt = Field(2, description="how many failures in a row are one too many")
    successes: PositiveInt = Field(1, description="how many answers in a row end an incident")
    restart: Remedy | None = Field(
        None, description="what is restarted then: a service as in service.restart, or a command as `run`"
    )
    grace: Duration = Field(Duration.parse("90s"), description="how long failures do not count after a restart")
    restarts: PositiveInt = Field(3, description="how many restarts there may be within `window`")
    window: Duration = Field(Duration.parse("1h"), description="the time in which restarts are counted", gt=0)
    flapping: bool = Field(True, description="whether coming and going is an incident of its own")
    remind: Duration | None = Field(None, description="after what time people are told again, while it lasts", gt=0)
    alert: sending.Alert = Field(default_factory=sending.Alert, description="where alerts go")
    ping: sending.Ping | None = Field(None, description="a dead-man's switch that hears of every pass")

    @model_validator(mode="after")
    def _are_apart(self) -> Self:
        names = [check.name for check in self.checks]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two checks are named {twice!r}; their results would be mixed up")
        if self.log == self.state:
            raise ValueError("log and state are the same file; write two")
        return self

    @property
    def service(self) -> str | None:
        """The name under which restarts are counted."""
        if isinstance(self.restart, Command):
            return shlex.join(self.restart.run)
        return None if self.restart is None else self.restart.name


@task(kind="action", returns=RETURNS)
def watch(want: Watch, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Ask every check once; restart the service after failures in a row, and tell people when that does not help.

    A restart is followed by a grace in which failures do not count, and there are only so many of them in a window.
    The step fails when a check is down and a restart has not helped, when there was none to be made, when a restart or
    an alert failed, or when what the watch knew is lost. People are told once of an incident, and once when it is over;
    an alert that a channel does not take is tried again in every pass. One that a restart has ended is told as such.

    What a restart has come to is acted on in the next pass, so that check mode foretells each pass as it would be. In
    check mode the checks are asked, and nothing is restarted, sent or written. Give its play a `lock` of its own.
    """
    known, was, damage = _remembered(want, host)
    found = reasons_of({check.name: ask(host, check) for check in want.checks}, host)
    rules = _rules(want)
    boot = str(host.facts.get("boot_id", ""))
    state, decisions = advance(known, found, host.now, rules, boot)
    kept = want.state.with_name(f"{want.state.name}.damaged-{host.now:%Y%m%dT%H%M%SZ}")
    state = replace(state, outbox=_outbox(want, state, _letters(want, host, decisions, damage, kept)))
    this = Pass(state, rules, found, decisions.news, host.now, damage, secrets=host.secrets, log=want.log)
    this = _with_attempts(this, want, host, decisions)
    torn = want.log is not None and _is_torn(host, want.log)
    if want.ping is not None and want.ping.start:
        yield sending.told_of_the_start(want.ping)
    if damage is not None and was is not None:
        yield Move(want.state, kept, was)
    yield from _written(want, host, this)
    if want.log is not None:
        last = this.attempts[-1:]
        line = then(last[0].outcome, lambda _: _line(this, torn=torn)) if last else _line(this, torn=torn)
        yield Append(want.log, line)
    if want.ping is not None:
        yield sending.told_of_the_end(want.ping, lambda: not this.problems())
    return _returned(this)


def _returned(this: Pass) -> dict[str, Any]:
    """Give what is known now, and the rest when everything has been tried: that may fail the step."""
    if not this.attempts and not this.problems():
        return this.judged()
    judged = after(this.attempts[-1] if this.attempts else None, lambda _: this.judged())
    return {name: judged[name] for name in ("healthy", "restarts_failed", "waiting")} | this.planned()


def _remembered(want: Watch, host: Host) -> tuple[Watched, Stat | None, str | None]:
    """Give what is known, the file's status, and what is wrong with it; damaged, it says nothing, and never `well`."""
    was = host.stat(want.state, follow=False)
    if was is None:
        return Watched(), None, None
    try:
        return decode(host.read(want.state)), was, None
    except Unreadable as error:
        services = [want.service] if want.service is not None else []
        return without_memory(services, host.now, _rules(want)), was, str(error)


def _rules(want: Watch) -> Rules:
    return Rules(
        restart={check.name: want.service if check.restart else None for check in want.checks},
        failures=want.failures,
        successes=want.successes,
        grace=timedelta(seconds=want.grace),
        budget=want.restarts,
        window=timedelta(seconds=want.window),
        flapping=want.flapping,
        remind=None if want.remind is None else timedelta(seconds=want.remind),
    )


def _letters(want: Watch, host: Host, decisions: Decisions, damage: str | None, kept: Path) -> list[Letter]:
    name = str(host.facts.get("hostname", ""))
    urls = {check.name: check.shown for check in want.checks}
    letters = [
        words.letter_of(news, host=name, now=host.now, url=urls.get(news.target), service=want.service)
        for news in decisions.news
    ]
    if damage is not None:
        window = timedelta(seconds=want.window)
        letters.append(words.lost_letter(damage, kept.name, host=name, now=host.now, window=window))
    return letters


def _outbox(want: Watch, state: Watched, letters: list[Letter]) -> tuple[Waiting, ...]:
    """Give what waits for a channel that there still is, the new letters last."""
    channels = tuple(want.alert.channels())
    waiting = [replace(each, channels=tuple(c for c in each.channels if c in channels)) for each in state.outbox]
    return tuple(each for each in (*waiting, *(Waiting(letter, channels) for letter in letters)) if each.channels)


def _with_attempts(this: Pass, want: Watch, host: Host, decisions: Decisions) -> Pass:
    """Plan the restarts and the letters that are due; a restart that cannot be planned is one that was refused."""
    restarts, refused = {}, {}
    for name in decisions.restarts:
        try:
            restarts[name] = Attempt(f"restart {name}", tuple(_remedies(want, host)))
        except TaskFailed as error:
            refused[name] = discreet(error.message, host.secrets)
    channels = want.alert.channels()
    posts = {
        (each.letter.key, name): sending.posted(each.letter, name, channels[name])
        for each, name in sending.due(this.state.outbox, channels)
    }
    return replace(this, restarts=restarts, refused=refused, posts=posts)


def _remedies(want: Watch, host: Host) -> Iterator[Change]:
    remedy = want.restart
    if isinstance(remedy, Command):
        command = RunCommand(remedy.run, cwd=remedy.chdir, timeout=float(remedy.timeout))
        yield Run(command, expect=(0,))
    elif remedy is not None:
        for change in PROVIDERS[chosen(host, remedy)].restart(host, remedy):
            bounded = isinstance(change, Run) and change.command.timeout is None
            yield replace(change, command=replace(change.command, timeout=RESTART_TIME)) if bounded else change


def _written(want: Watch, host: Host, this: Pass) -> Iterator[Change]:
    """Yield the state, before anything is tried: no restart is forgotten; the attempts; and what they came to."""
    for folder in dict.fromkeys([want.state.parent, *([want.log.parent] if want.log else [])]):
        yield from folders(host, folder)
    yield Write(want.state, encode(this.state), was=host.stat(want.state))
    if not this.attempts and not this.refused:
        return
    written = host.stat(want.state)
    yield from this.attempts

    def settled(temporary: Path) -> None:
        temporary.write_bytes(encode(this.final()))

    yield Produce(want.state, settled, was=written)


def _is_torn(host: Host, log: Path) -> bool:
    """Say whether the last line of a log has no end, as a full disk leaves it."""
    found = host.stat(log)
    if found is None or not found.is_file or not found.size:
        return False
    with host.open(log) as file:
        file.seek(found.size - 1)
        return file.read(1) != b"\n"


def _line(this: Pass, *, torn: bool) -> bytes:
    return (b"\n" if torn else b"") + this.line()
