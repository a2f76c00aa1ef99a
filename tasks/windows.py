"""Services and permissions of Windows, by its own `sc.exe` and `icacls`."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from runbook.changes import Change, Run, RunCommand
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import Params, task

Plan = Generator[Change, None, dict[str, Any]]
STARTS = {"auto": 2, "demand": 3, "disabled": 4}
NO_SUCH_SERVICE = 1060
_ENTRY = re.compile(r"\s*(?:[^\\:()]+\\)?(?P<name>[^\\:()]+):(?P<rights>(?:\([A-Z,]+\))+)\s*")


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("write a text on one line, of printable characters")
    return text


Line = Annotated[str, AfterValidator(_one_line)]


class Service(Params):
    """Which service, what it runs, and whether it does."""

    name: str = Field(description="its name, as `Cloudflared`", pattern=r"^[^/\\\s\"][^/\\\"\r\n]{0,255}$")
    command: Line | None = Field(
        None,
        description=r'its whole command line, paths in double quotes: `"C:\cf\cloudflared.exe" tunnel run ID`; without'
        " it an existing service keeps its own",
    )
    start: Literal["auto", "demand", "disabled"] | None = Field(None, description="when Windows starts it")
    state: Literal["started", "stopped"] | None = Field(None, description="whether it is to run now")


@task(returns={"name": "the service"})
def service(want: Service, host: Host) -> Plan:
    """Have a service of Windows with this command line and start, running or not; made if it is missing.

    A service that is running takes another command line when it is next started. Tested to the byte of the command
    lines; it has not been run on Windows.
    """
    asked = host.probe(["sc.exe", "qc", want.name, "8192"])
    known = _values(asked.stdout)
    if asked.rc not in (0, NO_SUCH_SERVICE):
        raise TaskFailed(f"the service {want.name} cannot be read: `sc.exe qc` {asked.last_words()}")
    options: list[str] = []
    if want.command is not None and known.get("BINARY_PATH_NAME") != want.command:
        options += ["binPath=", want.command]
    if want.start is not None and known.get("START_TYPE", "").split(" ")[0] != str(STARTS[want.start]):
        options += ["start=", want.start]
    if asked.rc == NO_SUCH_SERVICE and want.command is None:
        raise TaskFailed(f"there is no service {want.name}", hint="give its `command`, and it is made")
    if options:
        yield _run("sc.exe", "create" if asked.rc else "config", want.name, *options)
    if want.state is not None:
        running = _state(host, want.name) in ("2", "4") if not asked.rc else False  # start pending, running
        if running != (want.state == "started"):
            yield _run("sc.exe", "start" if want.state == "started" else "stop", want.name)
    return {"name": want.name}


def _values(text: str) -> Mapping[str, str]:
    """Read the lines `NAME : value` of sc.exe."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def _state(host: Host, name: str) -> str:
    done = host.probe(["sc.exe", "query", name])
    if done.rc != 0:
        raise TaskFailed(f"the service {name} cannot be read: `sc.exe query` {done.last_words()}")
    return _values(done.stdout).get("STATE", "").split(" ")[0]


def _run(*argv: str) -> Run:
    return Run(RunCommand(argv, affects=()), expect=(0,))


Rights = Annotated[str, Field(pattern=r"^(\((OI|CI|IO|NP)\))*\((N|F|M|RX|R|W|D|[A-Z]{1,3}(,[A-Z]{1,3})*)\)$")]


class Acl(Params):
    """Which folder or file, and who may do what there: these, and nobody else."""

    path: Line = Field(description=r"the folder or file, as `C:\cloudflared`")
    grants: dict[Line, Rights] = Field(
        {"Administrators": "(OI)(CI)(F)", "SYSTEM": "(OI)(CI)(F)"},
        description="for each user or group its rights, as icacls writes them: (OI)(CI) are handed on, (F) is all",
        min_length=1,
    )


@task(returns={"path": "the folder or file"})
def acl(want: Acl, host: Host) -> Plan:
    """Have these permissions on a folder and all that is in it, and inherit none.

    Looked at is the folder itself. Tested to the byte of the command lines; it has not been run on Windows.
    """
    done = host.probe(["icacls", want.path])
    if done.rc != 0:
        raise TaskFailed(f"{want.path}: its permissions cannot be read: `icacls` {done.last_words()}")
    there = _entries(done.stdout, want.path)
    wanted = {name.rpartition("\\")[2].lower(): rights for name, rights in want.grants.items()}
    if there != wanted:
        grants = [f"{name}:{rights}" for name, rights in want.grants.items()]
        yield _run("icacls", want.path, "/inheritance:r", "/grant:r", *grants, "/T", "/C")
    others = [name for name, rights in there.items() if name not in wanted and "(I)" not in rights]
    for name in others:
        yield _run("icacls", want.path, "/remove:g", name, "/T", "/C")
    return {"path": want.path}


def _entries(text: str, path: str) -> dict[str, str]:
    """Give the rights by the name they are for, without its domain, in lower case; inherited ones begin with (I)."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        entry = _ENTRY.fullmatch(line.removeprefix(path))
        if entry is not None:
            name = entry["name"].strip().lower()
            found[name] = found.get(name, "") + entry["rights"]
    return found
