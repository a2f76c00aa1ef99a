"""Services: started, stopped, restarted, looked at, and configured, whoever runs them."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from runbook.changes import Change, then
from runbook.host import Host
from runbook.task import Params, task

from .supervision import configuring, process, systemd, windows
from .supervision.service import Name, Provider, Service, Startable, chosen

Plan = Generator[Change, None, dict[str, Any]]
RETURNS = {"name": "the service", "provider": "who runs it: systemd, windows or process"}
PROVIDERS: dict[Provider, Any] = {"systemd": systemd, "windows": windows, "process": process}


@task(affects=(), returns={**RETURNS, "pid": "of a process: its id, known after the run if it was started"})
def start(want: Startable, host: Host) -> Plan:
    """Have a service running.

    The step waits for one that is on its way. What it reads or answers is not looked at: put `http.check` with
    `until` after it. One that ends as soon as it has started fails the step.
    """
    provider = chosen(host, want)
    changes = list[Change]()
    for change in PROVIDERS[provider].start(host, want):
        changes.append(change)
        yield change
    pid = PROVIDERS[provider].status(host, want).pid if not changes else _pid(changes)
    return {"name": want.name, "provider": provider, "pid": pid}


@task(affects=(), returns=RETURNS)
def stop(want: Service, host: Host) -> Plan:
    """Have a service stopped; a process that does not end in time is killed, with what it has started."""
    provider = chosen(host, want)
    yield from PROVIDERS[provider].stop(host, want)
    return {"name": want.name, "provider": provider}


@task(kind="action", affects=(), returns={**RETURNS, "pid": "of a process: its new id, known after the run"})
def restart(want: Startable, host: Host) -> Plan:
    """Stop a service and start it again; one that is stopped is started."""
    provider = chosen(host, want)
    changes = list[Change]()
    for change in PROVIDERS[provider].restart(host, want):
        changes.append(change)
        yield change
    return {"name": want.name, "provider": provider, "pid": _pid(changes)}


@task(
    kind="probe",
    returns={
        **RETURNS,
        "running": "whether it is",
        "state": "its state in its provider's words",
        "pid": "its process, null where that is not known",
    },
)
def status(want: Service, host: Host) -> dict[str, Any]:
    """Look at a service. One that is stopped does not fail the step; one that is not known does."""
    provider = chosen(host, want)
    return {"name": want.name, "provider": provider, **PROVIDERS[provider].status(host, want)._asdict()}


def _pid(changes: list[Change]) -> Any:
    outcome = getattr(changes[-1], "outcome", None) if changes else None
    return then(outcome, lambda value: getattr(value, "pid", None))


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable() or re.search(r"[\r\n]", text):
        raise ValueError("write a text on one line, of printable characters")
    return text


class Config(Params):
    """What a service runs, and when; a process has no configuration, its command stands where it is started."""

    name: Name = Field(description="its name, as `cloudflared`")
    provider: Literal["auto", "systemd", "windows"] = Field("auto", description="who runs it; `auto`: by the system")
    user: bool = Field(False, description="systemd: whether it is a service of the user instead of the system")
    command: Annotated[str, AfterValidator(_one_line)] | None = Field(
        None,
        description="its whole command line, quoted as its provider wants it: on Windows paths in double quotes, for"
        " systemd as after `ExecStart=`",
    )
    start: Literal["auto", "demand", "disabled"] | None = Field(
        None, description="when it is started: with the machine, when somebody asks, or never"
    )
    folder: Path | None = Field(None, description="systemd: where its units are; where systemd looks first without it")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.command is None and self.start is None:
            raise ValueError("there is nothing to configure; write `command`, `start` or both")
        return self


@task(returns=RETURNS)
def config(want: Config, host: Host) -> Plan:
    """Have a service run this command line, and start when it is to.

    For systemd the command goes into a drop-in, `NAME.service.d/runbook.conf`, and `start` is enable, disable or mask;
    for Windows it is `sc.exe config`. A service that is running goes on with what it was started with: restart it.
    The command lines of Windows are tested to the byte; they have not been run there.
    """
    service = Service(name=want.name, provider=want.provider, user=want.user)
    provider = chosen(host, service)
    if provider == "windows":
        yield from configuring.on_windows(host, service, want.command, want.start)
    else:
        yield from configuring.on_systemd(host, service, want.command, want.start, want.folder)
    return {"name": want.name, "provider": provider}
