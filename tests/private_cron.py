"""The real crontab and cron with tables of their own: a mount namespace in which nobody else's are seen or touched."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

# Over the machine's tables, the system's own jobs and cron's pid file; $0 is the folder that stands for them.
APART = """
mount --bind "$0/spool" /var/spool/cron/crontabs && mount --bind "$0/none" /etc/cron.d &&
mount --bind "$0/empty" /etc/crontab && mount --bind "$0/run" /run && exec "$@"
"""


@functools.cache
def unable() -> str | None:
    """Say why there can be no cron of one's own here, if so."""
    missing = [name for name in ("crontab", "cron", "unshare", "mount") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    places = [path for path in ("/var/spool/cron/crontabs", "/etc/cron.d", "/etc/crontab") if not os.path.exists(path)]
    if places:
        return f"there is no {', '.join(places)}"
    tried = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "mount", "--bind", "/etc/cron.d", "/etc/cron.d"],
        check=False,
        capture_output=True,
        text=True,
    )
    return f"it takes a mount namespace: {tried.stderr.strip()}" if tried.returncode else None


def command_apart(folder: Path, argv: list[str]) -> list[str]:
    for name in ("spool", "none", "run"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "empty").touch()
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", APART, str(folder), *argv]


def run_apart(folder: Path, argv: list[str], **how) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command_apart(folder, argv), capture_output=True, check=False, **how)
