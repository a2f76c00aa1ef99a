"""`runbook schedule`: a playbook at its times, by cron, systemd or the Task Scheduler; each change of it is a play."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook.errors import UsageError

if TYPE_CHECKING:
    from runbook.host import LocalHost

PROVIDERS = ("cron", "systemd", "windows")


@click.group("schedule")
def command() -> None:
    """Run a playbook at its times: install, show or remove its job."""


def _common(function: Callable[..., int]) -> Callable[..., int]:
    options = [
        click.option("--name", help="The job's name; the playbook's without it."),
        click.option("--provider", type=click.Choice(PROVIDERS), help="Who starts it; what this machine has."),
        click.option("-C", "--check", is_flag=True, help="Say what would be done; change nothing."),
        click.option("-D", "--diff", is_flag=True, help="Show the differences."),
        click.option("--state-dir", metavar="DIR", type=click.Path(path_type=Path), help="Where reports are kept."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@command.command("install")
@click.argument("playbook")
@click.option("--at", metavar="HH:MM", help="The time of day, in the machine's zone.")
@click.option("--every", metavar="DURATION", help="The time from start to start, as 1m, 15m or 2h.")
@click.option("--weekday", metavar="DAY", help="With --at: only on this day, mon to sun.")
@click.option("--day", metavar="N", type=click.IntRange(1, 28), help="With --at: only on this day of the month.")
@click.option("-e", "--extra", multiple=True, metavar="NAME=VALUE|@FILE", help="Give an input; as for `play`.")
@click.option("-i", "--inventory", metavar="FILE", envvar="RUNBOOK_INVENTORY", help="The inventory.")
@click.option("-t", "--tags", multiple=True, metavar="TAGS", help="Only steps with these tags.")
@click.option("--wait", metavar="DURATION", help="How long a start waits for another run's lock (10m).")
@click.option("--log", metavar="FILE", type=click.Path(path_type=Path), help="cron: append all output to FILE.")
@_common
def install(playbook: str, **options: Any) -> int:
    """Have PLAYBOOK run at its times. It is compiled first: what is wrong is said now, not at two in the morning."""
    from runbook.cli.jobs import Asked, check_playbook, variables

    provider = options.pop("provider") or _provider()
    asked = Asked(
        provider=provider,
        environment=dict(os.environ),
        folder=Path.cwd(),
        **{name: options.pop(name) for name in ("at", "every", "weekday", "day", "wait", "log")},
        **{name: options.pop(name) for name in ("extra", "inventory", "tags")},
        state_dir=options["state_dir"],
    )
    path = check_playbook(playbook, asked)
    name = options.pop("name") or path.stem
    return _play({"name": name, "provider": provider, **variables(path, asked)}, **options)


@command.command("remove")
@click.argument("playbook")
@_common
def remove(playbook: str, name: str | None, provider: str | None, **options: Any) -> int:
    """Have the job of PLAYBOOK no longer; the playbook itself need not be there any more."""
    values = {"name": name or Path(playbook).stem, "provider": provider or _provider(), "state": "absent"}
    return _play(values, **options)


@command.command("show")
@click.argument("playbook", required=False)
@click.option("--name", help="The job's name; the playbook's without it.")
@click.option("--provider", type=click.Choice(PROVIDERS), help="Who starts it; what this machine has.")
def show(playbook: str | None, name: str | None, provider: str | None) -> None:
    """Show the jobs that runbook has installed for this user, or the one of PLAYBOOK."""
    wanted = name or (Path(playbook).stem if playbook else None)
    found = _jobs(provider or _provider(), wanted)
    for job, text in found.items():
        click.echo(f"{job}\n  {text}" if text else job)
    if not found:
        click.echo(f"there is no job {wanted!r}" if wanted else "there are no jobs")


def _provider() -> str:
    """Give what this machine has to start jobs with."""
    from shutil import which

    if os.name == "nt":
        return "windows"
    if which("crontab"):
        return "cron"
    if which("systemctl"):
        return "systemd"
    raise UsageError("this machine has neither cron nor systemd", hint="install cron, or name another by --provider")


def _play(values: Mapping[str, Any], *, check: bool, diff: bool, state_dir: Path | None) -> int:
    """Play the shipped playbook that schedules, as any other is played."""
    from runbook.cli.session import Options
    from runbook.cli.workflow import play
    from runbook.playbook import shipped_playbooks

    path = str(shipped_playbooks()["schedule"])
    told = (json.dumps(values),)
    return play(Options(path, "check" if check else "run", extra=told, diff=diff, state_dir=state_dir))


def _jobs(provider: str, name: str | None) -> dict[str, str]:
    from datetime import UTC, datetime

    from runbook.host import LocalHost

    host = LocalHost(now=datetime.now(UTC), cwd=Path.cwd(), env=dict(os.environ), run_id="show")
    try:
        return _told_by(provider, host, name)
    finally:
        host.close()


def _told_by(provider: str, host: LocalHost, name: str | None) -> dict[str, str]:
    """Ask whoever starts the jobs; each with the line, or the lines, that it is told in."""
    if provider == "cron":
        from importlib import import_module  # the folder of tasks is no package to the type checker

        crontab = import_module("runbook.tasks.scheduling.crontab")
        blocks = crontab.blocks(crontab.table(host))
        return {job: text for job, text in blocks.items() if name in (None, job)}
    if provider == "systemd":
        argv = ["systemctl", "list-timers", "--all", "--no-pager", f"runbook-{name or '*'}.timer"]
    else:
        argv = ["schtasks.exe", "/Query", "/V", "/FO", "LIST", "/TN", f"runbook\\{name or ''}"]
    done = host.probe(argv)
    return {" ".join(argv): "\n  ".join((done.stdout or done.stderr).splitlines())}
