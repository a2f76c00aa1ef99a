"""What is read of a machine, as values: file status, references, results of processes and requests."""

from __future__ import annotations

import stat as bits
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from runbook.value import sealed

Kind = Literal["file", "folder", "link", "other"]


@sealed
class Stat:
    """Status of a path: `size` in bytes, `mtime` in ns since the epoch.

    `size` is an Unknown for a file that is yet to be produced. What exists on an overlay only has device 0 and a
    negative inode of its own.
    """

    kind: Kind
    size: Any
    mtime: int
    mode: int
    uid: int = 0
    gid: int = 0
    device: int = 0
    inode: int = 0
    links: int = 1

    @property
    def is_file(self) -> bool:
        return self.kind == "file"

    @property
    def is_folder(self) -> bool:
        return self.kind == "folder"

    @property
    def is_link(self) -> bool:
        return self.kind == "link"

    def same_as(self, other: Stat | None) -> bool:
        """Say whether the other status is of the same, unmodified file; a folder is the same whatever its entries."""
        if self.kind == "folder" and other is not None:
            return (other.kind, other.device, other.inode) == (self.kind, self.device, self.inode)
        return other is not None and (self.kind, self.device, self.inode, self.size, self.mtime) == (
            other.kind,
            other.device,
            other.inode,
            other.size,
            other.mtime,
        )

    def under_ansibles_names(self) -> dict[str, Any]:
        """Give it as `stat` and `find` register it; `mtime` in seconds, as a float."""
        return {
            "mode": f"{self.mode:04o}",
            "isreg": self.is_file,
            "isdir": self.is_folder,
            "islnk": self.is_link,
            "size": self.size,
            "mtime": self.mtime / 1e9,
            "uid": self.uid,
            "gid": self.gid,
            "inode": self.inode,
            "dev": self.device,
            "nlink": self.links,
        }


def kind_of(mode: int) -> Kind:
    """Give the kind of file out of `st_mode`."""
    if bits.S_ISREG(mode):
        return "file"
    if bits.S_ISDIR(mode):
        return "folder"
    return "link" if bits.S_ISLNK(mode) else "other"


@sealed
class Found:
    """A match of `Host.find`: where it is, and its status (of the link itself where it is one)."""

    path: Path
    stat: Stat


@sealed
class Usage:
    """Space of a file system, in bytes; `read_only` says that it was mounted so."""

    total: int
    used: int
    free: int
    read_only: bool = False


@sealed
class FileRef:
    """Content that stays where it is: what contents of more than 1 MB are in a change. `sha256` in hex."""

    path: Path
    size: int
    sha256: str


@sealed
class Completed:
    """A process that has ended. Output is text; bytes that are no UTF-8 come as surrogate escapes."""

    argv: tuple[str, ...]
    rc: int
    stdout: str = ""
    stderr: str = ""
    started_at: str = ""
    ended_at: str = ""
    duration_s: float = 0.0

    def last_words(self) -> str:
        """Say how it ended, with the last line that it printed of why."""
        ended = f"was killed by signal {-self.rc}" if self.rc < 0 else f"ended with rc {self.rc}"
        lines = [line for line in (self.stderr.strip() or self.stdout.strip()).splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith('See "systemctl')] or lines  # which says nothing of why
        return ended + (f": {told[-1].strip()[:500]}" if told else "")


@sealed
class Exchange:
    """An HTTP request. `headers` and `body` may hold secrets.

    `timeout` and `max_bytes` bound it, in seconds and bytes.
    """

    method: str
    url: str
    headers: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    timeout: float = 30.0
    follow_redirects: bool = False
    verify: bool = True
    max_bytes: int = 64 * 2**20


@sealed
class Response:
    """What a server answered; header names are in lower case, `elapsed_s` is in seconds."""

    status: int
    headers: dict[str, str]
    body: bytes
    elapsed_s: float
    url: str = ""
