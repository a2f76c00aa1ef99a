"""Tasks that start processes: `command` runs a program, `shell` a line of shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Generator
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from runbook.changes import Change, Completed, Run, RunCommand, then
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import Params, task
from runbook.units import Secret

RETURNS = {
    "cmd": "what was run: a list of arguments, or the line given to the shell",
    "rc": "the exit status",
    "stdout": "what the process printed",
    "stdout_lines": "the same as a list of lines",
    "stderr": "what it printed as errors",
    "stderr_lines": "the same as a list of lines",
    "start": "when it started, in RFC 3339",
    "end": "when it ended",
    "delta": "how long it took, as h:mm:ss.ffffff",
    "msg": "why it was not run, or `non-zero return code`",
}
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})")
_WILD = re.compile(r"[*?\[]")


def _open_text(value: Any) -> Any:
    if isinstance(value, Secret):
        raise ValueError(  # noqa: TRY004 - pydantic makes an error of the param out of a ValueError
            "a command line can be read by every user of the machine; hand a secret over by `stdin` or `environment`"
        )
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_open_text)]


class Process(Params):
    """What every process can be given."""

    chdir: Path | None = Field(None, description="the folder to start it in")
    creates: str | None = Field(None, description="skip it if this path, or a match of this pattern, exists")
    removes: str | None = Field(None, description="skip it unless this path, or a match of this pattern, exists")
    stdin: str | Secret | None = Field(None, description="what it reads from its standard input")
    stdin_add_newline: bool = Field(default=True, description="end `stdin` with a newline")
    strip_empty_ends: bool = Field(default=True, description="drop empty lines from the ends of stdout and stderr")
    affects: tuple[str, ...] | None = Field(
        None,
        description="paths and origins (http://host:port) that it may change: check mode then holds just these for "
        "uncertain; without it, a later step that fails there is unsure, and one that does not is believed",
    )


class Command(Process):
    """A program with its arguments: one of `cmd` and `argv`."""

    cmd: Text | None = Field(None, description="the program and its arguments in one text, split as a shell would")
    argv: tuple[Text, ...] | None = Field(None, description="the program and its arguments as a list")
    expand_argument_vars: bool = Field(
        default=True, description="replace `$NAME` by the environment's variable and a leading `~` by its HOME"
    )

    @field_validator("cmd")
    @classmethod
    def _splits(cls, cmd: str | None) -> str | None:
        try:
            shlex.split(cmd or "")
        except ValueError as error:  # No closing quotation, No escaped character
            raise ValueError(f"{error} in {cmd!r}; quote it whole, or write `argv` as a list") from error
        return cmd

    @model_validator(mode="after")
    def _one_command(self) -> Self:
        if (self.cmd is None) == (self.argv is None):
            raise ValueError("write one of `cmd` (a text) and `argv` (a list)")
        if not (self.argv or shlex.split(self.cmd or "")):
            raise ValueError("there is no program to run; write `command: ls -l`, for example")
        return self


class Shell(Process):
    """A line, or a script, of shell."""

    cmd: Text = Field(min_length=1, description="what the shell is to run")
    executable: str | None = Field(None, description="the full path of the shell; /bin/sh without it")


@task(kind="action", free="cmd", affects=("affects",), returns=RETURNS)
def command(want: Command, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Run a program, without a shell: pipes, `>` and `&&` mean nothing here.

    It runs every time, unless `creates` or `removes` says that it need not. An exit status other than 0 fails the step,
    whose register still holds all that was returned. Say what the program changes with `affects`, so that check mode
    can be sure of the steps after it. What it leaves running in its process group is ended with it: a server is started
    by a service manager, or by `setsid`.
    """
    argv = want.argv if want.argv is not None else tuple(shlex.split(want.cmd or ""))
    run = tuple(_expanded(text, host) for text in argv) if want.expand_argument_vars else argv
    return (yield from _run(want, host, RunCommand(run), list(argv)))


@task(kind="action", free="cmd", affects=("affects",), returns=RETURNS)
def shell(want: Shell, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Run a line of shell, with its pipes and redirections.

    As `command`, which is the better choice where no shell is needed: values in a line of shell have to be quoted
    (`{{ name | quote }}`).
    """
    line = RunCommand((want.cmd,), shell=True, executable=want.executable)  # noqa: S604 - the task is for that
    return (yield from _run(want, host, line, want.cmd))


def _run(want: Process, host: Host, line: RunCommand, cmd: Any) -> Generator[Change, None, dict[str, Any]]:
    reason = _needless(want, host)
    if reason:
        nothing: dict[str, Any] = {"stderr": "", "stderr_lines": [], "start": None, "end": None, "delta": None}
        said = f"skipped, since {reason[0]} {reason[1]}"
        msg = f"Did not run command since '{reason[0]}' {reason[1]}"
        return {"cmd": cmd, "rc": 0, "stdout": said, "stdout_lines": [said], "msg": msg, **nothing}
    full = RunCommand(
        line.argv,
        shell=line.shell,
        executable=line.executable,
        cwd=want.chdir,
        stdin=_stdin(want),
        affects=want.affects,
    )
    run = Run(full)
    yield run
    readings = _readings(cmd, strip=want.strip_empty_ends)
    return {"cmd": cmd, "msg": ""} | {name: then(run.outcome, read) for name, read in readings.items()}


def _readings(cmd: Any, *, strip: bool) -> dict[str, Callable[[Completed], Any]]:
    """Say how each returned value is read of a process that has ended; `rc` fails the step if it is not 0."""

    def cut(text: str) -> str:
        return text.rstrip("\r\n") if strip else text

    readings: dict[str, Callable[[Completed], Any]] = {
        "stdout": lambda done: cut(done.stdout),
        "stdout_lines": lambda done: cut(done.stdout).splitlines(),
        "stderr": lambda done: cut(done.stderr),
        "stderr_lines": lambda done: cut(done.stderr).splitlines(),
        "start": lambda done: done.started_at,
        "end": lambda done: done.ended_at,
        "delta": lambda done: str(timedelta(seconds=done.duration_s)),
    }

    def status(done: Completed) -> int:
        if done.rc != 0:
            data = {"cmd": cmd, "msg": "non-zero return code", "rc": done.rc}
            raise TaskFailed(
                f"the command {done.last_words()}", data=data | {name: read(done) for name, read in readings.items()}
            )
        return done.rc

    return {"rc": status, **readings}


def _stdin(want: Process) -> str | Secret | None:
    if want.stdin is None or not want.stdin_add_newline:
        return want.stdin
    return want.stdin + "\n"


def _needless(want: Process, host: Host) -> tuple[str, str] | None:
    """Say why there is nothing to run, as what and how it is."""
    start = host.cwd / (want.chdir or "")
    if want.creates and _there(host, start, want.creates):
        return want.creates, "exists"
    if want.removes and not _there(host, start, want.removes):
        return want.removes, "does not exist"
    return None


def _there(host: Host, start: Path, pattern: str) -> bool:
    """Say whether a path exists, or one that matches a shell pattern; a hidden name is matched by a dot only."""
    places = [start / Path(pattern).anchor]
    for part in Path(pattern).relative_to(Path(pattern).anchor).parts:
        if not _WILD.search(part):
            places = [place / part for place in places]
            continue
        folders = (place for place in places if (found := host.stat(place)) is not None and found.is_folder)
        entries = (entry.path for folder in folders for entry in host.find(folder))
        places = [path for path in entries if fnmatchcase(path.name, part) and (part[0] == "." or path.name[0] != ".")]
    return any(host.stat(place, follow=False) is not None for place in places)


def _expanded(text: str, host: Host) -> str:
    """Put the environment's variables in; an unset one stays as it is written."""
    text = _VARIABLE.sub(lambda found: host.env.get(found[1] or found[2] or "", found[0]), text)
    home = host.env.get("HOME")
    return f"{home}{text[1:]}" if home and (text == "~" or text.startswith("~/")) else text
