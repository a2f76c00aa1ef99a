"""A timer of systemd and the service that it starts: their text, quoted as systemd reads it, and how it is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from runbook.changes import Run, RunCommand
from runbook.errors import TaskFailed
from runbook.host import Host

HEAD = "# Kept by runbook (schedule.systemd): what is changed here by hand is undone by its next run.\n"
_PLAIN = re.compile(r"[A-Za-z0-9_./:=@,+-]+")


def service(
    description: str, argv: Sequence[str], folder: str | None, environment: Mapping[str, str], limit: str
) -> str:
    """Give the service: one process that ends, and is not started again while it is at work."""
    lines = ["[Unit]", f"Description={_specified(description)}", "", "[Service]", "Type=oneshot"]
    lines += [f"WorkingDirectory={_specified(folder)}"] if folder else []
    lines += [f"Environment={_word(f'{name}={value}')}" for name, value in environment.items()]
    command = " ".join([_word(argv[0]), *(_word(each, variables=True) for each in argv[1:])])
    return HEAD + "\n".join([*lines, f"ExecStart={command}", f"TimeoutStartSec={limit}"]) + "\n"


def timer(description: str, calendar: str, *, persistent: bool) -> str:
    """Give the timer; a persistent one makes up for a time at which the machine was off."""
    lines = ["[Unit]", f"Description={_specified(description)}", "", "[Timer]", f"OnCalendar={calendar}"]
    lines += [f"Persistent={str(persistent).lower()}", "", "[Install]", "WantedBy=timers.target"]
    return HEAD + "\n".join(lines) + "\n"


def _specified(text: str) -> str:
    """Keep a `%` from being read as one of systemd's specifiers."""
    return text.replace("%", "%%")


def _word(text: str, *, variables: bool = False) -> str:
    """Write one word; with `variables` a `$` would be read as one, and is doubled."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\t", "\\t")
    escaped = escaped.replace("$", "$$") if variables else escaped
    return escaped if _PLAIN.fullmatch(escaped) else f'"{escaped}"'


def folder(host: Host, *, user: bool) -> Path:
    """Give where systemd looks for units that an administrator, or the user, has made."""
    if not user:
        return Path("/etc/systemd/system")
    home = host.env.get("HOME")
    if not home:
        raise TaskFailed("the user's own units are below $HOME, which is not set", hint="write `folder`")
    return Path(host.env.get("XDG_CONFIG_HOME") or f"{home}/.config") / "systemd/user"


def shown(host: Host, argv: tuple[str, ...]) -> dict[str, list[str]]:
    """Read what systemd knows: each property with its value for every unit asked for, in their order."""
    done = host.probe(argv)
    if done.rc != 0:
        raise TaskFailed(
            f"systemd cannot be asked: `{' '.join(argv[:-2])}` {done.last_words()}",
            hint="is this machine run by systemd? elsewhere use schedule.cron",
        )
    found: dict[str, list[str]] = {"ActiveState": [], "UnitFileState": [], "NeedDaemonReload": []}
    for line in done.stdout.splitlines():
        name, _, value = line.partition("=")
        found.setdefault(name, []).append(value)
    return found


def require_calendar(host: Host, calendar: str) -> None:
    """Raise `TaskFailed` for a time that systemd does not understand."""
    done = host.probe(["systemd-analyze", "calendar", calendar])
    if done.rc != 0:
        raise TaskFailed(
            f"calendar: systemd does not understand {calendar!r}: {done.last_words()}",
            hint="write for example `*-*-* 02:00:00`; see systemd.time(7)",
        )


def control(program: tuple[str, ...], *arguments: str) -> Run:
    """Give the change that tells systemd something."""
    return Run(RunCommand((*program, *arguments), affects=()), expect=(0,))
