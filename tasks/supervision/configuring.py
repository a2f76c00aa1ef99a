"""How a service is configured: by a drop-in and `systemctl`, or by `sc.exe config`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runbook.changes import Change, Run, RunCommand
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.plans import fill

from .service import Service
from .systemd import properties, systemctl
from .windows import NO_SUCH_SERVICE

STARTS = {"auto": "2", "demand": "3", "disabled": "4"}  # as sc.exe numbers them
VERBS = {"auto": "enable", "demand": "disable", "disabled": "mask"}
STATES = {"auto": ("enabled", "static", "alias"), "demand": ("disabled", "static"), "disabled": ("masked",)}
HEAD = "# Kept by runbook (service.config): what is changed here by hand is undone by its next run.\n"


def on_systemd(
    host: Host, service: Service, command: str | None, start: str | None, folder: Path | None
) -> Iterator[Change]:
    """Yield the drop-in with the command line, a reload of systemd's, and when the service is started."""
    known = properties(host, service)
    if command is not None:
        unit = service.name if "." in service.name else f"{service.name}.service"
        path = (folder or _units(host, service)) / f"{unit}.d" / "runbook.conf"
        text = f"{HEAD}[Service]\nExecStart=\nExecStart={command}\n"
        drawn = list(fill(host, path, text.encode(), None, parents=True))
        yield from drawn
        if drawn:
            argv = systemctl(service, "daemon-reload")[:-1]  # which takes no name
            yield Run(RunCommand(argv, affects=()), expect=(0,))
    state = known.get("UnitFileState", "")
    if start is not None and state not in STATES[start]:
        if state == "masked":
            yield _run(systemctl(service, "unmask"))
        if (state, start) != ("masked", "demand"):  # unmasked, it may have been enabled: the next round sees
            yield _run(systemctl(service, VERBS[start]))


def _units(host: Host, service: Service) -> Path:
    if not service.user:
        return Path("/etc/systemd/system")
    home = host.env.get("XDG_CONFIG_HOME") or (f"{host.env['HOME']}/.config" if host.env.get("HOME") else None)
    if home is None:
        raise TaskFailed("the user's own units are below $HOME, which is not set", hint="write `folder`")
    return Path(home) / "systemd/user"


def on_windows(host: Host, service: Service, command: str | None, start: str | None) -> Iterator[Change]:
    """Yield one `sc.exe config` with what is not so yet."""
    done = host.probe(["sc.exe", "qc", service.name, "8192"])
    if done.rc == NO_SUCH_SERVICE:
        raise TaskFailed(
            f"Windows knows no service {service.name}", hint="windows.service makes one, with its `command`"
        )
    if done.rc != 0:
        raise TaskFailed(f"the service {service.name} cannot be read: `sc.exe qc` {done.last_words()}")
    pairs = (line.partition(":") for line in done.stdout.splitlines())
    known = {name.strip(): value.strip() for name, colon, value in pairs if colon}
    options: list[str] = []
    if command is not None and known.get("BINARY_PATH_NAME") != command:
        options += ["binPath=", command]
    if start is not None and known.get("START_TYPE", "")[:1] != STARTS[start]:
        options += ["start=", start]
    if options:
        yield _run(("sc.exe", "config", service.name, *options))


def _run(argv: tuple[str, ...]) -> Run:
    return Run(RunCommand(argv, affects=()), expect=(0,))
