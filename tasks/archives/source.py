"""Which source a release is of: the git commit, and the time that everything in the release bears."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from runbook.errors import TaskFailed
from runbook.host import Host

from .contents import Content

EPOCH = "SOURCE_DATE_EPOCH"
LATEST = 253402300799  # the last second of the year 9999
_COMMIT = re.compile(r"(\d+) ([0-9a-f]{40,64})\s*")


def commit(host: Host, folder: Path) -> tuple[str | None, int | None]:
    """Give the SHA of the commit that a folder is at, and its time in seconds; None without git or a repository.

    One plumbing command that runs no hook, pager or signature check of the repository, whoever owns it.
    """
    real = host.resolve(folder)
    if not any(host.stat(above / ".git") is not None for above in (real, *real.parents)):
        return None, None
    try:
        said = host.probe(
            ["git", "-c", "safe.directory=*", "-C", str(real), "rev-list", "--max-count=1", "--timestamp", "HEAD"]
        )
    except TaskFailed:  # there is no git on this machine
        return None, None
    found = _COMMIT.fullmatch(said.stdout)
    return (None, None) if said.rc or found is None else (found[2], int(found[1]))


def moment(host: Host, committed: int | None, contents: Iterable[Content]) -> int:
    """Give the time inside, in seconds: `SOURCE_DATE_EPOCH`, else the commit's, else that of the newest content."""
    text = host.env.get(EPOCH, "")
    if text:
        if not text.isascii() or not text.isdigit() or int(text) > LATEST:
            raise TaskFailed(f"{EPOCH} is {text!r:.40}; write a whole number of seconds since 1970, or unset it")
        return int(text)
    if committed is not None:
        return committed
    return max(0, *(content.stat.mtime for content in contents)) // 10**9
