"""The task that waits until something is so: `wait_for`."""

from __future__ import annotations

import mmap
import re
import time
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeFloat, model_validator

from runbook.errors import TaskFailed, Unsure
from runbook.host import Host
from runbook.task import Params, task
from runbook.units import Duration

State = Literal["started", "stopped", "present", "absent", "drained"]
Connected = Literal["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "SYN_RECV", "SYN_SENT", "TIME_WAIT"]
ACTIVE: tuple[Connected, ...] = ("ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "SYN_RECV", "SYN_SENT", "TIME_WAIT")
MATCHES = tuple[tuple[str | None, ...], dict[str, str | None]]
NONE: MATCHES = (), {}


def _seconds(value: Any) -> Any:
    """Let a text like `5m` stand for its seconds."""
    return float(Duration.parse(value)) if isinstance(value, str) and not value.isdecimal() else value


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern.encode(), re.MULTILINE)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


Seconds = Annotated[NonNegativeFloat, BeforeValidator(_seconds)]


class Awaited(Params):
    """What to wait for: a port or a path; with neither, the whole `timeout` is waited."""

    host: str = Field("127.0.0.1", description="the name or address that the port is at")
    port: int | None = Field(None, ge=1, le=65535, description="the TCP port")
    path: Path | None = Field(None, description="the file or folder")
    state: State = Field(
        "started",
        description="`started` or `present`: the port takes connections, or the path is there; `stopped` or `absent`: "
        "it does not, or is not; `drained`: nothing is connected to the port",
    )
    search_regex: Annotated[str, AfterValidator(_regular)] | None = Field(
        None, description="what the file holds, or the port says, when it is there"
    )
    timeout: Seconds = Field(300, description="how many seconds to wait before it is a failure")
    delay: Seconds = Field(0, description="how many seconds to wait before the first look")
    sleep: Seconds = Field(1, description="how many seconds to wait between two looks")
    connect_timeout: Seconds = Field(5, description="how many seconds to wait for one connection")
    active_connection_states: tuple[Connected, ...] = Field(
        ACTIVE, description="what counts as connected for `drained`"
    )
    exclude_hosts: tuple[str, ...] | None = Field(None, description="whose connections do not count for `drained`")
    msg: str | None = Field(None, description="what is said of the failure, instead of what was waited for")

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if self.port is not None and self.path is not None:
            raise ValueError("`port` and `path` exclude each other; write a step for each")
        if self.path is not None and self.state in {"stopped", "drained"}:
            raise ValueError(f"`state: {self.state}` is for ports; write `state: absent` for a path")
        if self.port is None and self.state == "drained":
            raise ValueError("`state: drained` needs `port`")
        if self.exclude_hosts is not None and self.state != "drained":
            raise ValueError("`exclude_hosts` is for `state: drained`")
        return self

    @property
    def name(self) -> str:
        """What is waited for, in words."""
        where = f"{self.host}:{self.port}" if self.port is not None else str(self.path)
        if self.state == "drained":
            return f"{where} to drain"
        if self.state in {"absent", "stopped"}:
            return f"{where} to stop." if self.path is None else f"{where} to be absent."
        if self.search_regex is not None:
            return f"search string {self.search_regex} in {where}"
        return where if self.path is None else f"file {where}"


@task(
    kind="probe",
    returns={
        "elapsed": "how many whole seconds were waited",
        "state": "what was waited for",
        "port": "the port",
        "path": "the path",
        "search_regex": "what was looked for",
        "match_groups": "the groups of `search_regex`",
        "match_groupdict": "the named ones by their names",
    },
)
def wait_for(want: Awaited, host: Host) -> dict[str, Any]:
    """Wait until a port takes connections or a file is there, or no longer.

    Where the time is over it fails. In check mode nothing waits: what is so already is ok, anything else is unsure.
    """
    began, slept = time.monotonic(), want.delay
    if want.delay:
        host.sleep(want.delay)
    if want.port is None and want.path is None:
        host.sleep(want.timeout)
        return _told(want, slept + want.timeout, NONE)
    while True:
        passed = max(slept, time.monotonic() - began)  # a machine in memory sleeps without taking time
        left = want.timeout - passed
        found = _seen(want, host, max(left, 0.0))
        if found is not None:
            return _told(want, passed, found)
        if left <= 0:
            raise TaskFailed(want.msg or f"Timeout when waiting for {want.name}", data={"elapsed": int(passed)})
        if not host.sleep(min(want.sleep, left)):
            raise Unsure(f"a run would wait for {want.name}")
        slept += min(want.sleep, left)


def _told(want: Awaited, passed: float, found: MATCHES) -> dict[str, Any]:
    groups, named = found
    return {
        "state": want.state,
        "port": want.port,
        "path": None if want.path is None else str(want.path),
        "search_regex": want.search_regex,
        "match_groups": list(groups),
        "match_groupdict": named,
        "elapsed": int(passed),
    }


def _seen(want: Awaited, host: Host, left: float) -> MATCHES | None:
    """Look once; None where it is not so yet, else the groups of what was looked for."""
    if want.port is not None:
        return _of_port(want, want.port, host, left)
    assert want.path is not None
    there = host.stat(want.path) is not None
    if want.state == "absent":
        return None if there else NONE
    return _in_file(want.path, want.search_regex, host) if there else None


def _of_port(want: Awaited, port: int, host: Host, left: float) -> MATCHES | None:
    if want.state == "drained":
        states, without = want.active_connection_states, want.exclude_hosts or ()
        return None if host.connections(port, address=want.host, states=states, without=without) else NONE
    patience = min(want.connect_timeout, max(left, 1.0))
    if want.search_regex is None or want.state in {"stopped", "absent"}:
        taken = host.dial(want.host, port, timeout=patience) is not None
        return NONE if taken == (want.state in {"started", "present"}) else None
    search = re.compile(want.search_regex.encode(), re.MULTILINE).search
    said = host.dial(want.host, port, timeout=patience, listen=max(left, want.sleep), enough=search)
    return None if said is None else _groups(search(said))


def _in_file(path: Path, pattern: str | None, host: Host) -> MATCHES | None:
    if pattern is None:
        return NONE
    search = re.compile(pattern.encode(), re.MULTILINE).search
    with host.open(path) as file:
        try:
            content: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # it is empty, or in memory
            return _groups(search(file.read()))
        with content:
            return _groups(search(content))


def _groups(match: re.Match[bytes] | None) -> MATCHES | None:
    if match is None:
        return None
    texts = [None if group is None else group.decode("utf-8", "surrogateescape") for group in match.groups()]
    return tuple(texts), {name: texts[number - 1] for name, number in match.re.groupindex.items()}
