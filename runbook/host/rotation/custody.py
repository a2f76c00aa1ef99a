"""Who has a file open for writing, and how, as Linux tells it in /proc; and how old the file is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runbook.changes import Stat
from runbook.changes.rotation import Custody, Writer
from runbook.host.reading import status
from runbook.host.refusals import ident
from runbook.host.rotation.claims import claimed

_SHARED = {
    "9p",
    "afs",
    "ceph",
    "cifs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "gfs2",
    "lustre",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
}
_BIRTH, _AT_PATH_ITSELF, _HERE = 0x800, 0x100, -100
Descriptor = tuple[int, int]


def custody(path: Path, *, own: int | None = None) -> Custody:
    """Look through the descriptors of every process; `own` is one of this process that does not count."""
    about = status(os.lstat(path))
    system = _file_system(about.device)
    block = os.statvfs(path).f_frsize
    taken = own is None and about.is_file and claimed(path)
    if not os.path.isdir("/proc/self/fdinfo"):
        return Custody((), "this system does not tell who has a file open", system, block, taken)
    writers: list[Writer] = []
    hidden = 0 if os.path.isdir("/proc/1") else 1
    ours = _ancestry()
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            flags = list(_openings(pid, about, own if pid == os.getpid() else None))
        except PermissionError:
            hidden += _could_write(pid, about)
            continue
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        if flags:
            appends = all(flag & os.O_APPEND for flag in flags)
            writers.append(Writer(pid, _name(pid), appends, pid not in ours and _may_signal(pid)))
    writers.sort(key=lambda writer: writer.pid)
    return Custody(tuple(writers), _unseen(hidden, system), system, block, taken)


def _unseen(hidden: int, system: str) -> str | None:
    if system in _SHARED:
        return f"the file system ({system}) is shared with other machines, and these may write it"
    if hidden:
        return "processes of another user that may write it cannot be looked into"
    return None


def _openings(pid: int, about: Stat, own: int | None) -> Iterator[int]:
    """Yield the flags of each descriptor by which a process may write the file."""
    for number in os.listdir(f"/proc/{pid}/fd"):
        if number == str(own):
            continue
        try:
            found = os.stat(f"/proc/{pid}/fd/{number}")
            if (found.st_dev, found.st_ino) != ident(about):
                continue
            said = Path(f"/proc/{pid}/fdinfo/{number}").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it was just closed
        flags = int(said.partition("flags:")[2].split()[0], 8)
        if flags & os.O_ACCMODE != os.O_RDONLY:
            yield flags


def _could_write(pid: int, about: Stat) -> bool:
    """Say whether a process that cannot be looked into has a user who may write the file.

    Root is taken to write its own files only: otherwise nobody else could ever be certain of theirs. The init process
    hands logs to what it starts; where it has rights that even our root lacks it is taken to write none itself.
    """
    if pid == 1 and os.geteuid() == 0:
        return False
    said = _fields(f"/proc/{pid}/status")
    if not said or said.get("State", "Z").startswith("Z"):
        return False
    user = int(said["Uid"].split()[1])
    groups = {int(said["Gid"].split()[1]), *map(int, said.get("Groups", "").split())}
    if user == 0:
        return about.uid == 0
    bit = 0o200 if user == about.uid else 0o020 if about.gid in groups else 0o002
    return bool(about.mode & bit)


def _fields(path: str) -> dict[str, str]:
    """Read `Name: value` lines; nothing of a process that has ended."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _name(pid: int) -> str:
    return _fields(f"/proc/{pid}/status").get("Name", "?")


def catches(pid: int, number: int) -> bool | None:
    """Say whether a process has a handler for a signal, which would end it otherwise; None if there is no process."""
    said = _fields(f"/proc/{pid}/status")
    return bool(int(said["SigCgt"], 16) >> (number - 1) & 1) if "SigCgt" in said else None


def _ancestry() -> set[int]:
    """Give this process and those above it: stopping one of them would stop the run itself."""
    found, pid = set[int](), os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        pid = int(_fields(f"/proc/{pid}/status").get("PPid", "0"))
    return found


def _may_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (PermissionError, ProcessLookupError):
        return False
    return True


def _file_system(device: int) -> str:
    """Give the name of the file system on a device, as `ext4`; empty where the system does not say."""
    mark = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(" - ")[2].split(" ")[0] for line in lines if line.split(" ")[2] == mark), "")


def born(path: Path) -> int | None:
    """Give when a file was made, in ns since the epoch, where its file system remembers that."""
    about: Any = os.lstat(path)
    seconds = getattr(about, "st_birthtime", None)
    return _statx(path) if seconds is None else round(seconds * 1e9)


def _statx(path: Path) -> int | None:
    """Ask Linux, whose `stat` does not tell."""
    import ctypes
    import struct

    libc = ctypes.CDLL(None)
    call = getattr(libc, "statx", None)
    found = ctypes.create_string_buffer(256)
    if call is None or call(_HERE, os.fsencode(path), _AT_PATH_ITSELF, _BIRTH, found) != 0:
        return None
    mask: int = struct.unpack_from("=I", found, 0)[0]
    seconds, nanoseconds = struct.unpack_from("=qI", found, 80)
    return int(seconds * 10**9 + nanoseconds) if mask & _BIRTH else None
