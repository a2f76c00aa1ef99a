"""The jobs that whoever starts them knows of, and when they start."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from runbook.errors import TaskFailed
from runbook.host import Host

from . import crontab

Provider = Literal["auto", "cron", "systemd", "windows"]
FIELDS = 5  # of a line in a crontab, before the command
PROPERTIES = "--property=ActiveState,UnitFileState,TimersCalendar"


def provider_of(host: Host) -> str:
    """Give what this machine has to start jobs with: `windows`, `cron` or `systemd`."""
    if os.name == "nt":
        return "windows"
    folders = [Path(folder) for folder in host.env.get("PATH", os.defpath).split(os.pathsep) if folder]
    return next((name for name, program in _PROGRAMS.items() if _is_there(host, folders, program)), "none")


_PROGRAMS = {"cron": "crontab", "systemd": "systemctl"}


def _is_there(host: Host, folders: Iterable[Path], program: str) -> bool:
    return any((found := host.stat(folder / program)) is not None and found.is_file for folder in folders)


def times(host: Host, provider: str, names: Iterable[str]) -> dict[str, str | None]:
    """Give when each job starts, as its provider writes it; None for one that is not there, or is switched off."""
    if provider == "cron":
        blocks = crontab.blocks(crontab.table(host))
        return {name: _of_lines(blocks.get(name, "")) for name in names}
    if provider == "systemd":
        return {name: _of_timer(host, name) for name in names}
    if provider == "windows":
        return {name: _of_task(host, name) for name in names}
    raise TaskFailed("this machine has neither cron nor systemd", hint="install cron, or name another `provider`")


def refuse_other(wanted: Mapping[str, str | None], found: Mapping[str, str | None], data: dict[str, Any]) -> None:
    """Raise TaskFailed, with this data, for jobs that are not there, or not at the times that are wanted."""
    lacking = [name for name, when in found.items() if when is None]
    faults = [f"not scheduled: {', '.join(lacking)}"] if lacking else []
    faults += [
        f"{name} is scheduled at {found[name]!r}, not at {when!r}"
        for name, when in wanted.items()
        if when is not None and found[name] not in (None, when)
    ]
    if faults:
        first = next(iter(lacking or wanted))
        hint = f"`runbook schedule install {first}.yml --at 02:00 -e ...`; `runbook schedule show` says what there is"
        raise TaskFailed("; ".join(faults), hint=hint, data=data)


def _of_lines(block: str) -> str | None:
    """Give the time of the block's first line that is no comment."""
    lines = (line.split() for line in block.split("\n"))
    line = next((words for words in lines if words and not words[0].startswith("#")), None)
    if line is None:
        return None
    return line[0] if line[0].startswith("@") else " ".join(line[:FIELDS])


def _of_timer(host: Host, name: str) -> str | None:
    argv = ("systemctl", "show", PROPERTIES, f"runbook-{name}.timer")
    done = host.probe(argv)
    if done.rc != 0:
        raise TaskFailed(f"systemd cannot be asked: `{' '.join(argv)}` {done.last_words()}")
    lines = done.stdout.splitlines()
    if not {"ActiveState=active", "UnitFileState=enabled"} <= set(lines):
        return None
    found = re.search(r"OnCalendar=(.*?) ;", done.stdout)
    return found[1] if found else ""


def _of_task(host: Host, name: str) -> str | None:
    done = host.probe(["schtasks.exe", "/Query", "/TN", rf"runbook\{name}", "/XML"])
    text = done.stdout.replace("\0", "")
    if done.rc != 0 or "<Enabled>false</Enabled>" in text:
        return None
    found = re.search(r"<Interval>(.+?)</Interval>", text) or re.search(r"<StartBoundary>.+?T(\d\d:\d\d)", text)
    return found[1] if found else ""
