"""How the writers of a log are told to open it anew: by a signal to the right processes, or by a request."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from runbook.changes import Exchange
from runbook.changes.rotation import Custody, Signal
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown
from runbook.task import Params
from runbook.units import Duration, Secret

SIGNALS = {number.name: number for number in signal.Signals if number.name not in {"SIGKILL", "SIGSTOP"}}


class Reopen(Params):
    """How the writers are told: by `signal`, to whoever writes the log unless a process is named, or by `url`."""

    signal: str | None = Field(None, description="as `USR1`")
    pid_file: Path | None = Field(None, description="the file with the id of the process that gets the signal")
    process: str | None = Field(None, description="the name of those of the writers that get it")
    url: str | None = Field(None, description="what is asked instead; 2xx is a yes")
    method: str = Field("POST", description="the verb of the request")
    headers: dict[str, str | Secret] = Field(default_factory=dict, description="of the request")
    timeout: Duration = Field(Duration.parse("10s"), description="the time they have to open it anew")

    @field_validator("signal")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and f"SIG{value.upper().removeprefix('SIG')}" not in SIGNALS:
            raise ValueError(f"{value!r} is no signal that a process can hear; write for example USR1")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.signal is None) == (self.url is None):
            raise ValueError("one of `signal` and `url` says how the writers are told; write exactly one")
        if self.pid_file is not None and self.process is not None:
            raise ValueError("pid_file and process exclude each other; write one of them")
        if self.url is not None and (self.pid_file is not None or self.process is not None):
            raise ValueError("pid_file and process say who gets a `signal`; with `url` write neither")
        if self.signal is not None and self.headers:
            raise ValueError("headers are of a request; a signal has none")
        return self


def telling(host: Host, reopen: Reopen, who: Custody, *, again: bool = False) -> Signal | Exchange | None:
    """Give what tells the writers, or None where there is nobody to tell; TaskFailed for one who cannot hear it.

    `again`: they have perhaps been told by an earlier run, so some may have opened the new log already.
    """
    if reopen.url is not None:
        return Exchange(reopen.method, reopen.url, dict(reopen.headers), timeout=float(reopen.timeout))
    assert reopen.signal is not None
    number = SIGNALS[f"SIG{reopen.signal.upper().removeprefix('SIG')}"]
    pids = _hearers(host, reopen, who, again=again)
    for pid in pids:
        if not _caught(host, pid, number):
            raise TaskFailed(
                f"process {pid} has no handler for {number.name}, and would be ended by it",
                hint="which signal makes it open its log anew? its documentation says so; many take USR1 or HUP",
            )
    return Signal(int(number), pids) if pids else None


def _hearers(host: Host, reopen: Reopen, who: Custody, *, again: bool) -> tuple[int, ...]:
    if reopen.pid_file is not None:
        return _from_file(host, reopen.pid_file, who)
    pids = tuple(writer.pid for writer in who.writers if reopen.process in {None, writer.name})
    if who.writers and not pids and not again:
        names = " and ".join(map(str, who.writers))
        raise TaskFailed(f"no process {reopen.process!r} has the log open", hint=f"those that have: {names}")
    return pids


def _from_file(host: Host, path: Path, who: Custody) -> tuple[int, ...]:
    if host.stat(path) is None:
        if who.writers:
            raise TaskFailed(f"there is no {shown(path)}, and the log is held open", hint="look at `pid_file`")
        return ()  # the service is not running
    text = host.read(path, limit=4096).decode("ascii", "replace").strip()
    if not text.isdecimal() or int(text) < 1:
        raise TaskFailed(f"{shown(path)} holds no process id", hint="a pid file is one number on a line")
    if host.stat(Path(f"/proc/{int(text)}")) is None:
        if who.writers:
            names = " and ".join(map(str, who.writers))
            raise TaskFailed(f"there is no process {text}, as {shown(path)} has it", hint=f"the log is held by {names}")
        return ()
    return (int(text),)


def _caught(host: Host, pid: int, number: int) -> bool:
    """Say whether a process has a handler for a signal."""
    said = host.read(Path(f"/proc/{pid}/status"), limit=2**16).decode("ascii", "replace")
    mask = int(said.partition("SigCgt:")[2].split()[0], 16)
    return bool(mask >> (number - 1) & 1)
