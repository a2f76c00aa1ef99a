"""The command that a schedule starts: whole paths, the settings that cron lacks, and one run at a time."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbook.errors import UsageError
from runbook.units import Duration
from runbook.value import frozen

# What a run looks at and cron does not hand on.
KEPT = ("PATH", "LANG", "LC_ALL", "XDG_STATE_HOME", "RUNBOOK_HOME", "RUNBOOK_TASKS")
WAIT = Duration.parse("10m")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@frozen
class Asked:
    """What was asked of `runbook schedule install`."""

    provider: str
    environment: Mapping[str, str]
    folder: Path
    at: str | None = None
    every: str | None = None
    weekday: str | None = None
    day: int | None = None
    wait: str | None = None
    log: Path | None = None
    extra: tuple[str, ...] = ()
    inventory: str | None = None
    tags: tuple[str, ...] = ()
    state_dir: Path | None = None


def check_playbook(name: str, asked: Asked) -> Path:
    """Compile the playbook with what it will be given, so that it is known to start; gives its whole path."""
    from runbook.cli.session import Options, compiled, opened

    tags = tuple(word.strip() for text in asked.tags for word in text.split(",") if word.strip())
    session = opened(Options(playbook=name, extra=asked.extra, inventory=asked.inventory, tags=tags))
    secret = {key for play in session.book.plays for key, each in play.inputs.items() if each.type == "secret"}
    for text in asked.extra:
        if not text.startswith("@") and any(re.search(rf"\b{re.escape(key)}\b", text) for key in secret):
            raise UsageError(
                "a secret in a schedule can be read by everybody who sees the job",
                hint="put it into a file that only its user may read: -e @FILE, or the playbook's env_files",
            )
    compiled(session)
    return session.path.resolve()


def variables(playbook: Path, asked: Asked) -> dict[str, Any]:
    """Give what schedule.yml is to be told."""
    every = _duration("--every", asked.every) if asked.every else None
    if (asked.at is None) == (every is None):
        raise UsageError("when? give one of --at 02:00 and --every 15m")
    if asked.at is not None and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", asked.at):
        raise UsageError(f"--at: {asked.at!r} is no time of day", hint="write for example 02:00 or 23:30")
    if every is not None and (asked.weekday or asked.day):
        raise UsageError("--weekday and --day go with --at")
    if asked.weekday is not None and asked.weekday not in DAYS:
        raise UsageError(f"--weekday: {asked.weekday!r} is no day", hint=f"write one of: {', '.join(DAYS)}")
    if asked.log is not None and asked.provider != "cron":
        raise UsageError("--log is for cron", hint="systemd keeps the output: journalctl -u runbook-NAME")
    argv = _argv(playbook, asked, every)
    environment = {name: asked.environment[name] for name in KEPT if asked.environment.get(name)}
    if asked.provider == "windows":
        if asked.weekday or asked.day:
            raise UsageError("--weekday and --day are for cron and systemd")
        return {"argv": argv, "chdir": str(asked.folder), "at": asked.at, "every": asked.every}
    when = _fields(asked, every)
    if asked.provider == "systemd":
        chosen = {"argv": argv, "chdir": str(asked.folder), "environment_of_job": environment}
        return {**chosen, "calendar": _calendar(asked.weekday, when)}
    return {**when, "weekday": asked.weekday or "*", "job": _line(argv, environment, asked)}


def _argv(playbook: Path, asked: Asked, every: Duration | None) -> list[str]:
    program = Path(sys.executable).with_name("runbook.exe" if asked.provider == "windows" else "runbook")
    start = [str(program)] if program.is_file() else [sys.executable, "-P", "-m", "runbook"]
    quiet = [] if asked.log else ["-q"]
    wait = _duration("--wait", asked.wait) if asked.wait else WAIT if every is None else Duration(every / 2)
    argv = [*start, "play", str(playbook), *quiet, "--wait", str(wait)]
    argv += [word for text in asked.extra for word in ("-e", text)]
    argv += [word for text in asked.tags for word in ("-t", text)]
    argv += ["-i", str(asked.folder / Path(asked.inventory).expanduser())] if asked.inventory else []
    argv += ["--state-dir", str(asked.folder / asked.state_dir)] if asked.state_dir else []
    return argv


def _line(argv: list[str], environment: Mapping[str, str], asked: Asked) -> str:
    """Give the line for cron: in the folder that it was installed from, so that relative paths mean the same."""
    words = ["/usr/bin/env", *(f"{name}={value}" for name, value in environment.items()), *argv]
    line = f"cd {shlex.quote(str(asked.folder))} && {shlex.join(words)}"
    if asked.log is None:
        return line
    log = shlex.quote(str(asked.folder / asked.log))
    return f"{line} >> {log} 2>&1 || tail -n 40 {log}"  # what cron is told of a failure, and mails


def _fields(asked: Asked, every: Duration | None) -> dict[str, str]:
    """Give minute, hour and day as cron and systemd both write them, but for the step."""
    if every is None:
        hour, minute = (str(int(part)) for part in str(asked.at).split(":"))
        return {"minute": minute, "hour": hour, "day": str(asked.day) if asked.day else "*"}
    minutes, rest = divmod(round(every), 60)
    if not rest and minutes and (60 % minutes == 0 or (minutes % 60 == 0 and 24 % (minutes // 60) == 0)):
        if minutes < 60:
            return {"minute": f"*/{minutes}", "hour": "*", "day": "*"}
        return {"minute": "0", "hour": f"*/{minutes // 60}", "day": "*"}
    raise UsageError(
        f"--every: {every} does not divide an hour or a day",
        hint="write 1m 2m 3m 4m 5m 6m 10m 12m 15m 20m 30m 1h 2h 3h 4h 6h 8h or 12h",
    )


def _calendar(weekday: str | None, when: Mapping[str, str]) -> str:
    """Write the fields as systemd does: `Mon *-*-* 02:00:00`."""
    hour, minute = (
        each.replace("*/", "00/").zfill(2) if each != "*" else each for each in (when["hour"], when["minute"])
    )
    day = when["day"].zfill(2) if when["day"] != "*" else "*"
    days = f"{weekday.capitalize()} " if weekday else ""
    return f"{days}*-*-{day} {hour}:{minute}:00"


def _duration(option: str, text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
