"""Reading the real file system: status, search, regular files opened safely, links resolved."""

from __future__ import annotations

import errno
import fnmatch
import gc
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runbook.changes import Found, Stat
from runbook.changes.values import kind_of
from runbook.errors import TaskFailed
from runbook.host.refusals import refusal, shown

TEMPORARY = ".runbook-tmp"
PIECE = 2**20
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def status(found: os.stat_result) -> Stat:
    return Stat(
        kind_of(found.st_mode),
        found.st_size,
        found.st_mtime_ns,
        found.st_mode & 0o7777,
        found.st_uid,
        found.st_gid,
        found.st_dev,
        found.st_ino,
        found.st_nlink,
    )


def look(path: Path | str, *, follow: bool) -> Stat | None:
    """Give the status, or None where nothing is; a link that leads nowhere, or in a circle, leads to nothing."""
    try:
        return status(os.stat(path) if follow else os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if follow and error.errno == errno.ELOOP:
            return None
        raise


def open_regular(path: Path | str, *, follow: bool = True) -> int:
    """Open a regular file for reading and give its descriptor; what is none is never opened: a FIFO would hang."""
    found = look(path, follow=follow)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    require_file("read", path, found)
    descriptor = os.open(path, _READ if follow else _READ | os.O_NOFOLLOW)
    try:
        require_file("read", path, status(os.fstat(descriptor)))  # it may have been replaced between the two calls
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def require_file(verb: str, path: Path | str, found: Stat) -> None:
    """Raise `TaskFailed` unless the status is of a regular file."""
    if found.is_folder:
        raise refusal(verb, path, errno.EISDIR)
    if found.is_link:
        raise refusal(verb, path, "it is a symbolic link")
    if not found.is_file:
        raise refusal(verb, path, "it is no regular file")


def bounded(path: Path | str, file: BinaryIO, limit: int) -> bytes:
    """Read a whole file of at most `limit` bytes."""
    data = file.read(limit + 1)
    if len(data) > limit:
        raise refusal("read", path, f"it holds more than {limit} bytes")
    return data


def digest(file: BinaryIO, tick: Callable[[], None]) -> str:
    """Give the SHA-256 in hex; `tick` is called at every piece."""
    total = hashlib.sha256()
    while piece := file.read(PIECE):
        total.update(piece)
        tick()
    return total.hexdigest()


def resolve(path: Path | str) -> str:
    """Follow every link as far as the path exists; raises OSError for a loop."""
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise
    return os.path.realpath(path)


def matcher(pattern: str) -> Callable[[str], object]:
    """Compile a shell pattern for names."""
    if "/" in pattern:
        raise TaskFailed(
            f"the pattern {shown(pattern)} holds a slash, but is matched against names",
            hint="give the folder as the directory, and search below it with `recursive`",
        )
    return re.compile(fnmatch.translate(pattern)).match


def entries(directory: str) -> list[os.DirEntry[str]]:
    """List a folder by name, without half-written temporaries."""
    with os.scandir(directory) as found:
        return sorted((entry for entry in found if not entry.name.endswith(TEMPORARY)), key=lambda entry: entry.name)


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector away while many objects are made and none is garbage: it would double the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def search(directory: Path, pattern: str, *, recursive: bool) -> Iterator[Found]:
    """Yield the matches in the order of their paths. An entry that vanishes meanwhile is left out."""
    matches = matcher(pattern)
    levels = [(directory, iter(entries(str(directory))))]
    while levels:
        folder, rest = levels[-1]
        for entry in rest:
            if matches(entry.name):
                try:
                    yield Found(folder / entry.name, status(entry.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue
            if recursive and entry.is_dir(follow_symlinks=False):
                levels.append((folder / entry.name, iter(_below(folder / entry.name))))
                break
        else:
            levels.pop()


def _below(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return entries(str(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refusal("list", folder, error) from error
