"""How files come into being, whole or not at all: temporary sibling, fsync, close, rename, fsync of the folder."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from runbook.changes import Content, FileRef, Gate, Stat
from runbook.errors import Moved
from runbook.host.files.spares import Spares
from runbook.host.reading import PIECE, look, open_regular, require_file, resolve, status
from runbook.host.refusals import Ident, expect, ident, refusing, shown
from runbook.units import Secret

Meter = Callable[[int], None]
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_REPLACE, _HERE = 1, -100


class Ledger:
    """What a step has made so far, by identity, and the folders it has yet to flush."""

    def __init__(self, spares: Spares, umask: int) -> None:
        self.spares = spares
        self.umask = umask
        self.made: dict[Ident, Stat] = {}
        self._folders: dict[str, bool] = {}  # whether something was born there that no crash may lose

    def fresh(self) -> Ledger:
        """Give an empty one, for the next step."""
        return Ledger(self.spares, self.umask)

    def note(self, path: Path | str, made: Stat | None = None) -> None:
        """Remember that the path's folder has got or lost an entry, and what was made there."""
        folder = os.path.dirname(str(path))
        self._folders[folder] = self._folders.get(folder, False) or made is not None
        if made is not None:
            self.made[ident(made)] = made

    def secure(self) -> None:
        """Flush before something is removed whose replacement is not yet durable."""
        if any(self._folders.values()):
            self.flush()

    def flush(self) -> None:
        """Make the entries durable: one fsync for each folder that has changed."""
        while self._folders:
            folder = next(iter(self._folders))
            with refusing("flush the folder", folder), suppress(FileNotFoundError, NotADirectoryError):
                _sync_folder(folder)
            del self._folders[folder]


def _sync_folder(folder: str) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return  # a folder that may be written but not read cannot be opened; its entries reach the disk by and by
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # file systems that know no fsync of folders
            raise
    finally:
        os.close(descriptor)


@contextmanager
def created(spare: Path) -> Iterator[int]:
    """Create the temporary and give its descriptor; what was written is on the disk when the body is left."""
    descriptor = os.open(spare, CREATE, 0o600)
    try:
        yield descriptor
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@cache
def _rename_exclusively() -> Callable[[bytes, bytes], int]:
    """Give the system's rename that does not overwrite; it returns 0 or the error's number."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "renameat2", None)

    def rename(source: bytes, target: bytes) -> int:
        if call is None:
            return errno.ENOSYS
        return ctypes.get_errno() if call(_HERE, source, _HERE, target, _NO_REPLACE) else 0

    return rename


def rename_new(source: Path | str, target: Path | str) -> None:
    """Rename and never overwrite: raises FileExistsError where the kernel finds something at the target."""
    number = _rename_exclusively()(os.fsencode(source), os.fsencode(target))
    if not number:
        return
    if number not in {errno.EINVAL, errno.ENOSYS}:  # the file system, or the C library, does not know how
        raise OSError(number, os.strerror(number))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(source, target)


def publish(ledger: Ledger, path: Path, spare: Path, target: str, *, was: Stat | None, made: Stat) -> None:
    """Put the finished temporary in its place, if what was planned on is still there."""
    expect(path, look(target, follow=False), was, ledger.made)
    if was is None:
        rename_new(spare, target)
    else:
        os.replace(spare, target)
    ledger.note(target, made)


def destination(ledger: Ledger, verb: str, path: Path, was: Stat | None) -> tuple[str, Stat | None]:
    """Give where the content really goes (a link's target is written, the link stays) and what is there."""
    target = str(path)
    found = look(target, follow=False)
    if found is not None and found.is_link:
        target = resolve(path)
        found = look(target, follow=False)
    expect(path, found, was, ledger.made)
    if found is not None:
        require_file(verb, path, found)
    return target, found


def dress(descriptor: int, mode: int | None, old: Stat | None, umask: int) -> None:
    """Give a new file the mode asked for, else that of the old one; root keeps the old owner."""
    if old is not None and os.geteuid() == 0:
        os.fchown(descriptor, old.uid, old.gid)
    if mode is None:
        mode = old.mode if old is not None else 0o644 & ~umask
    os.fchmod(descriptor, mode)


def write(
    ledger: Ledger,
    path: Path,
    content: Content,
    *,
    mode: int | None,
    was: Stat | None,
    mtime: int | None,
    meter: Meter,
    gate: Gate | None = None,
) -> None:
    """Write a file, unless `gate`, which is given the temporary, raises.

    Through a symbolic link its target is replaced, as `open` would; the link stays.
    Access control lists and extended attributes of a file that is replaced are not kept.
    """
    with refusing("write", path):
        target, old = destination(ledger, "write", path, was)
        with ledger.spares.beside(target) as spare:
            with created(spare) as descriptor:
                _pour(content, descriptor, meter)
                dress(descriptor, mode, old, ledger.umask)
                if mtime is not None:
                    os.utime(descriptor, ns=(mtime, mtime))
                made = status(os.fstat(descriptor))
            if gate is not None:
                gate(spare)
            publish(ledger, path, spare, target, was=was, made=made)


def _pour(content: Content, descriptor: int, meter: Meter) -> None:
    if isinstance(content, FileRef):
        _copy_checked(content, descriptor, meter)
        return
    data = content.reveal().encode("utf-8", "surrogateescape") if isinstance(content, Secret) else content
    pour(data, descriptor)


def pour(data: bytes | memoryview, descriptor: int) -> None:
    """Write all of it, in as many calls as the system takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _copy_checked(reference: FileRef, to: int, meter: Meter) -> None:
    total = hashlib.sha256()
    with refusing("read", reference.path):
        descriptor = open_regular(reference.path)
    with open(descriptor, "rb", buffering=0) as source:
        while piece := source.read(PIECE):
            total.update(piece)
            pour(piece, to)
            meter(len(piece))
    if total.hexdigest() != reference.sha256:
        raise Moved(f"{shown(reference.path)} has not the content that this was planned with")
