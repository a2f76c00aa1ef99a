"""What the system would refuse the user who plans, told from the status of folders and files."""

from __future__ import annotations

import errno
import os

from runbook.changes import Stat
from runbook.host.imagined.index import Node, Tree
from runbook.host.refusals import ident

STICKY = 0o1000


def fault(number: int) -> OSError:
    """Give the error that the system would raise."""
    return OSError(number, os.strerror(number))


def may(stat: Stat, bits: int) -> bool:
    """Say whether the mode lets this user do it; `bits` as in `chmod`: 4 read, 2 write, 1 enter."""
    user = os.geteuid()
    if user == 0:
        return True
    shift = 6 if stat.uid == user else 3 if stat.gid in {os.getegid(), *os.getgroups()} else 0
    return stat.mode >> shift & bits == bits


def may_change(tree: Tree, folder: Node) -> bool:
    """Say whether entries may be made and removed; the system is asked where the folder's mode is still its own."""
    if folder.origin is not None:
        found = tree.real.stat(folder.origin, follow=False)
        if found is not None and ident(found) == ident(folder.stat) and found.mode == folder.stat.mode:
            return tree.real.writable(folder.origin)
    return may(folder.stat, 3)


def permit(tree: Tree, folder: Node, going: Stat | None = None) -> None:
    """Raise OSError unless the folder's entries may be changed, and `going`, one of them, may be taken away."""
    if not may_change(tree, folder):
        read_only = folder.origin is not None and tree.real.usage(folder.origin).read_only
        raise fault(errno.EROFS if read_only else errno.EACCES)
    if going is not None and folder.stat.mode & STICKY and os.geteuid() not in {0, folder.stat.uid, going.uid}:
        raise fault(errno.EPERM)
