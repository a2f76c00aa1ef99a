"""What is registered of a file that a task has seen to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from runbook.changes import Stat
from runbook.host import Host

STATES = {"file": "file", "folder": "directory", "link": "link", "other": "file"}


def described(path: Path, host: Host, *, follow: bool = True) -> dict[str, Any]:
    """Give what is at a path: `state mode size uid gid owner group`."""
    found = host.stat(path, follow=follow)
    if found is None:
        return {"state": "absent"}
    state = "hard" if found.is_file and found.links > 1 else STATES[found.kind]
    data = {"state": state, "mode": f"{found.mode:04o}", "size": found.size, "uid": found.uid, "gid": found.gid}
    known = names_of(found)
    return data | {"owner": known.get("pw_name", str(found.uid)), "group": known.get("gr_name", str(found.gid))}


def names_of(found: Stat) -> dict[str, str]:
    """Give the names of owner and group, where they have one."""
    import grp
    import pwd

    names = {}
    with suppress(KeyError):
        names["pw_name"] = pwd.getpwuid(found.uid).pw_name
    with suppress(KeyError):
        names["gr_name"] = grp.getgrgid(found.gid).gr_name
    return names
