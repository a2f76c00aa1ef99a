"""Facts of a machine, each found when it is first asked for; mount points; the process's umask."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runbook.changes import Usage

_ESCAPED = re.compile(r"\\([0-7]{3})")


class Facts(Mapping[str, Any]):
    """`os`, `system`, `boot_id`, `arch`, `hostname`, `python`, `user`, `cpus`, `cpu`, `memory` (bytes) as a mapping."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = FINDERS[name]()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(FINDERS)

    def __len__(self) -> int:
        return len(FINDERS)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _os() -> str:
    for line in _lines("/etc/os-release"):
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip().strip('"')
    return f"{os.uname().sysname} {os.uname().release}"


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # containers run as users that have no name
        return str(os.geteuid())


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model", "cpu model"}:
            return value.strip()
    return os.uname().machine


def _memory() -> int:
    import psutil

    return int(psutil.virtual_memory().total)


def boot_id() -> str:
    """Give what tells this boot of the machine from any other; empty where the system has no such thing."""
    return "".join(_lines("/proc/sys/kernel/random/boot_id")[:1])


FINDERS: Mapping[str, Callable[[], Any]] = {
    "os": _os,
    "system": lambda: os.uname().sysname if hasattr(os, "uname") else "Windows",
    "boot_id": boot_id,
    "arch": lambda: os.uname().machine,
    "hostname": lambda: os.uname().nodename,
    "python": lambda: ".".join(map(str, sys.version_info[:3])),
    "user": _user,
    "cpus": _cpus,
    "cpu": _cpu,
    "memory": _memory,
}


def mount_points() -> list[Path]:
    """Give where file systems are mounted, folders and files alike."""
    lines = _lines("/proc/self/mountinfo")
    if not lines:
        import psutil

        return sorted({Path(part.mountpoint) for part in psutil.disk_partitions(all=True)})
    points = (_ESCAPED.sub(lambda match: chr(int(match[1], 8)), line.split(" ")[4]) for line in lines)
    return sorted({Path(point) for point in points})


def usage(path: Path) -> Usage:
    """Give the space of the file system, counted as `df` does: `free` is what the user may still take."""
    found = os.statvfs(path)
    return Usage(
        total=found.f_blocks * found.f_frsize,
        used=(found.f_blocks - found.f_bfree) * found.f_frsize,
        free=found.f_bavail * found.f_frsize,
        read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def kernels_own(folder: Path) -> bool:
    """Say whether a folder is one of those that the kernel fills: root may write there, and yet make nothing."""
    top = Path(*folder.parts[:2])
    kernels = str(top) in {"/proc", "/sys"} and os.path.ismount(top)
    return kernels and os.stat(folder).st_dev == os.stat(top).st_dev


def process_umask() -> int:
    """Read the umask without setting it, which would be seen by every thread."""
    for line in _lines("/proc/self/status"):
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
