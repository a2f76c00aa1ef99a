"""Tasks that read one file: `stat` says what it is, `slurp` what is in it."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field

from runbook.changes import Stat, then
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import Params, task

from .describing import names_of
from .lacking import STAT

Algorithm = Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]
BITS = {
    name: 1 << bit
    for bit, name in enumerate(
        ("xoth", "woth", "roth", "xgrp", "wgrp", "rgrp", "xusr", "wusr", "rusr", "", "isgid", "isuid")
    )
    if name
}
PIECE = 2**20


class Look(Params):
    """Which path to look at."""

    lacks = STAT
    path: Path = Field(
        validation_alias=AliasChoices("path", "dest", "name"), description="what to look at; it need not exist"
    )
    follow: bool = Field(default=False, description="look at what a link leads to")
    get_checksum: bool = Field(default=True, description="read a regular file for its checksum")
    checksum_algorithm: Algorithm = Field(
        "sha1",
        validation_alias=AliasChoices("checksum_algorithm", "checksum", "checksum_algo"),
        description="how the checksum is made",
    )


class Ping(Params):
    """What to answer."""

    data: str = Field("pong", description="the answer; `crash` fails, to see what a failure looks like")


class Slurp(Params):
    """Which file to read."""

    src: Path = Field(validation_alias=AliasChoices("src", "path"), description="the file, of at most 64 MiB")


@task(kind="probe", returns={"stat": "`exists`, and if it does: path mode size mtime uid gid and the rest"})
def stat(want: Look, host: Host) -> dict[str, Any]:
    """Say whether a path exists, and what it is.

    `stat` holds `exists path mode isreg isdir islnk size mtime uid gid pw_name gr_name inode dev nlink readable
    writeable executable`, the single permission bits (`rusr`, `wgrp` …), `checksum` of a readable regular file, and
    `lnk_source` and `lnk_target` of a link. `mtime` is in seconds since the epoch, `mode` a text like "0644".
    """
    found = host.stat(want.path, follow=want.follow)
    if found is None:
        return {"stat": {"exists": False}}
    said = {"exists": True, "path": str(want.path), **_described(found)}
    means = host.stat(want.path) if found.is_link else found
    for name, bit in (("readable", 4), ("writeable", 2), ("executable", 1)):
        said[name] = means is not None and _may(means, bit)
    if found.is_link:
        said["lnk_source"] = str(host.resolve(want.path))
        said["lnk_target"] = host.readlink(want.path)
    if found.is_file and want.get_checksum and said["readable"]:
        # of a file that is yet to be produced the size is not known, and then neither is this
        said["checksum"] = then(found.size, lambda _: _checksum(host, want.path, want.checksum_algorithm))
    return {"stat": said}


@task(
    kind="probe",
    free="src",
    returns={"content": "the file's bytes in base64", "encoding": "`base64`", "source": "the file's path"},
)
def slurp(want: Slurp, host: Host) -> dict[str, Any]:
    """Read a whole file; `{{ name.content | b64decode }}` is its text."""
    if host.stat(want.src) is None:
        raise TaskFailed(f"there is no file {want.src}", hint="a `stat` step before this one can tell, for its `when`")
    content = base64.b64encode(host.read(want.src)).decode()
    return {"content": content, "encoding": "base64", "source": str(want.src)}


@task(kind="probe", returns={"ping": "`data`"})
def ping(want: Ping, host: Host) -> dict[str, Any]:
    """Answer, if the host can be reached and looked at."""
    host.stat(host.cwd)
    if want.data == "crash":
        raise TaskFailed("boom")
    return {"ping": want.data}


def _described(found: Stat) -> dict[str, Any]:
    """Give a status under the names that Ansible has for it."""
    return {
        **found.under_ansibles_names(),
        **{name: bool(found.mode & bit) for name, bit in BITS.items()},
        **names_of(found),
    }


def _may(found: Stat, bit: int) -> bool:
    """Say whether the mode lets this user read (4), write (2) or execute (1)."""
    user = os.geteuid()
    if user == 0:
        return bit != 1 or found.is_folder or bool(found.mode & 0o111)
    shift = 6 if found.uid == user else 3 if found.gid in {os.getegid(), *os.getgroups()} else 0
    return bool(found.mode >> shift & bit)


def _checksum(host: Host, path: Path, algorithm: str) -> str:
    total = hashlib.new(algorithm, usedforsecurity=False)
    with host.open(path) as file:
        while piece := file.read(PIECE):
            total.update(piece)
            host.check_deadline()
    return total.hexdigest()
