"""What is said when a path cannot be had: one wording for the real machine and for its overlay."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from runbook.changes import Stat
from runbook.errors import Moved, TaskFailed

Ident = tuple[int, int]

HINTS = {
    errno.ENOSPC: "free some space on that file system, then run it again",
    errno.EDQUOT: "free some of the quota, then run it again",
    errno.EACCES: "run it as a user who may do this, or change the mode or owner of the folder",
    errno.EPERM: "run it as the owner or as root",
    errno.EROFS: "the file system is mounted read-only: look into the kernel's log for why",
    errno.ENOENT: "does its folder exist? a step before this one can make it",
    errno.ENOTDIR: "something on the way to it is a file where a folder is needed",
    errno.ENOTEMPTY: "remove what is in it first",
    errno.ENAMETOOLONG: "a name has at most 255 bytes and a path 4095",
    errno.ELOOP: "links on the way to it lead to each other: look at them with `ls -l`",
}


def shown(path: Path | str) -> str:
    """Write a path on one line; one with newlines, or bytes that are no UTF-8, with escapes and in quotes."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def shortened(text: str, limit: int) -> str:
    """Cut a text between two words: half a secret would not be known for one, and would show."""
    if len(text) <= limit:
        return text
    head = re.match(r"(?s)(.*)[\s,;]", text[:limit])
    return f"{head[1]} ..." if head else f"({len(text)} characters without a space)"


def refusal(verb: str, path: Path | str, error: OSError | ValueError | int | str) -> TaskFailed:
    """Give the error that says what cannot be done to which path, and why, with a hint where there is one."""
    number = error.errno if isinstance(error, OSError) else error
    if isinstance(number, int):
        return TaskFailed(f"cannot {verb} {shown(path)}: {os.strerror(number)}", hint=HINTS.get(number))
    reason = (
        "the path holds a NUL or a character that no file name can hold" if isinstance(error, ValueError) else error
    )
    return TaskFailed(f"cannot {verb} {shown(path)}: {reason}")


@contextmanager
def refusing(verb: str, path: Path | str) -> Iterator[None]:
    """Turn what the system refuses into `TaskFailed`, and what appeared meanwhile into `Moved`."""
    try:
        yield
    except FileExistsError as error:
        raise appeared(path) from error
    except (OSError, ValueError) as error:
        raise refusal(verb, path, error) from error


def appeared(path: Path | str) -> Moved:
    return Moved(f"{shown(path)} is there now, and was not when this was planned")


def vanished(path: Path | str) -> Moved:
    return Moved(f"{shown(path)} is gone, and was there when this was planned")


def altered(path: Path | str) -> Moved:
    return Moved(f"{shown(path)} is not the one that this was planned on: it has been changed or replaced")


def ident(stat: Stat) -> Ident:
    """Give what a file is known by, whatever its names are."""
    return stat.device, stat.inode


def foreign(was: Stat) -> bool:
    """Say whether a status is out of an overlay, where what it is of was planned and not made."""
    return was.inode < 0


def expect(path: Path | str, now: Stat | None, was: Stat | None, made: Mapping[Ident, Stat]) -> None:
    """Raise `Moved` unless what is there now is what a change was planned on.

    A change planned on a file that an earlier change of the same list makes has a foreign status: it means whatever
    this host has made in this step, of which `made` holds the latest status by identity.
    """
    if was is None:
        if now is not None:
            raise appeared(path)
        return
    if now is None:
        raise vanished(path)
    if not (was.kind == now.kind and now.same_as(made.get(ident(now))) if foreign(was) else was.same_as(now)):
        raise altered(path)


def nameable(verb: str, path: Path) -> None:
    """Refuse a root, and a path that ends in `..`: neither has a name that an entry could have."""
    if path.name in {"", ".."}:
        raise refusal(verb, path, "it is a root or ends in `..`; write the path by its name")


def below(cwd: Path, path: Path) -> Path:
    """Give a relative path from the working folder; a `~` is nobody's folder here, and never made one."""
    if path.parts and path.parts[0].startswith("~"):
        raise TaskFailed(
            f"{shown(path)}: ~ is not expanded",
            hint="write the whole path, or `{{ lookup('env', 'HOME') }}` before it",
        )
    return cwd / path
