"""A service as playbooks name it, and what is known of one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from runbook.host import Host
from runbook.task import Params
from runbook.units import Duration, Secret

Provider = Literal["systemd", "windows", "process"]
STEP = 0.25  # seconds between two looks at a service that is on its way


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_@][A-Za-z0-9_@.:\\ -]{0,254}", value) or value.endswith(" "):
        raise ValueError(f"{value!r} is no name of a service; write for example cloudflared")
    return value


def _argument(value: Any) -> Any:
    if isinstance(value, Secret):
        raise ValueError(  # noqa: TRY004 - pydantic makes an error of the param out of a ValueError
            "a command line can be read by every user of the machine; hand a secret over by `env`"
        )
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _variables(value: dict[str, Any]) -> dict[str, Any]:
    for name, each in value.items():
        if not re.fullmatch(r"[^=\0]+", name) or not isinstance(each, str | Secret | int | float):
            raise ValueError(f"{name!r} cannot be handed over; a variable has a name without `=`, and a text")
    return value


Name = Annotated[str, AfterValidator(_name)]
Argument = Annotated[str, BeforeValidator(_argument)]


class Service(Params):
    """Which service, and who runs it.

    With `provider: process` runbook starts the `command` itself, in a session of its own that outlives the run, and
    writes down in `pid_file` who it is: its id, when it started, and in which boot, so that no other process is ever
    taken for it. It is not started again when it ends by itself: `health.watch` sees to that.
    """

    name: Name = Field(description="its name, as `cloudflared`")
    provider: Literal["auto", "systemd", "windows", "process"] = Field(
        "auto", description="who runs it; `auto`: a process where there is a `pid_file`, otherwise the system's own"
    )
    user: bool = Field(False, description="systemd: whether it is a service of the user instead of the system")
    pid_file: Path | None = Field(None, description="process: the file that says who it is")
    command: tuple[Argument, ...] | None = Field(None, description="process: the program and its arguments")
    chdir: Path | None = Field(None, description="process: the folder to start it in")
    env: Annotated[dict[str, Any], AfterValidator(_variables)] = Field(
        default_factory=dict, description="process: variables beside those of the run; they may be secrets"
    )
    log: Path | None = Field(None, description="process: the file that what it prints is added to; thrown away without")
    stay: Duration = Field(Duration.parse("500ms"), description="process: how long it must live to count as started")
    stop_signal: Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL"] = Field(
        "TERM", description="process: the signal that ends it"
    )
    stop_timeout: Duration = Field(
        Duration.parse("10s"), description="how long it may take to end; a process is killed then"
    )

    @model_validator(mode="after")
    def _fits_its_provider(self) -> Self:
        own = {"pid_file", "command", "chdir", "env", "log", "stay", "stop_signal"}
        given = {name for name in own & self.model_fields_set if getattr(self, name) not in (None, {})}
        if self.provider in ("systemd", "windows") and given:
            raise ValueError(
                f"{' and '.join(sorted(given))} belong to `provider: process`; {self.provider} knows its own"
            )
        if (self.provider == "process" or given) and self.pid_file is None:
            raise ValueError("a process is known by its `pid_file`; write one, as /run/api.pid")
        if self.user and (self.pid_file is not None or self.provider in ("windows", "process")):
            raise ValueError("`user` goes with `provider: systemd`")
        if self.command is not None and not (self.command and self.command[0]):
            raise ValueError("there is no command to run; write a program and its arguments")
        return self


class Startable(Service):
    """Which service, who runs it, and for a process what is started."""

    @model_validator(mode="after")
    def _has_a_command(self) -> Self:
        if self.pid_file is not None and self.command is None:
            raise ValueError("a process is started by its `command`; write it as a list: [cloudflared, tunnel, run]")
        return self


Startable.__doc__ = Service.__doc__


class Status(NamedTuple):
    """What is known of a service: whether it runs, its state in its provider's words, and its process."""

    running: bool
    state: str
    pid: int | None = None


def chosen(host: Host, want: Service) -> Provider:
    """Give who runs it."""
    if want.provider != "auto":
        return want.provider
    if want.pid_file is not None:
        return "process"
    return "windows" if host.facts.get("system") == "Windows" else "systemd"


def settled(host: Host, seconds: float, look: Callable[[], tuple[bool, Status]]) -> Status:
    """Look until it is no longer on its way to another state, or the time is over; in check mode once."""
    waited = 0.0
    moving, status = look()
    while moving and waited < seconds and host.sleep(STEP):
        waited += STEP
        moving, status = look()
    return status
