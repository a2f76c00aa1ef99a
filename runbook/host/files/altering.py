"""What is done to files that are there: remove, move, compress, chmod, link; and folders made."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from runbook.changes import Stat
from runbook.errors import TaskFailed
from runbook.host.files.durable import Ledger, Meter, created, pour, rename_new
from runbook.host.files.packing import packing
from runbook.host.reading import PIECE, look, open_regular, require_file, resolve, status
from runbook.host.refusals import (
    altered,
    appeared,
    expect,
    foreign,
    ident,
    nameable,
    refusal,
    refusing,
    shown,
    vanished,
)

# A folder that may be entered but not listed is still opened by path, where the system can.
_PATH = getattr(os, "O_PATH", os.O_RDONLY)
_FOLDER = _PATH | os.O_DIRECTORY | os.O_CLOEXEC


def remove(ledger: Ledger, path: Path, *, was: Stat, mounts: Sequence[Path]) -> None:
    """Remove a file, a link or an empty folder through its folder's descriptor, never what a link means."""
    nameable("remove", path)
    ledger.secure()  # what took its place, an archive perhaps, must not be lost with it
    with refusing("remove", path):
        try:
            folder = os.open(path.parent, _FOLDER)
        except FileNotFoundError as error:
            raise vanished(path) from error
        try:
            _remove_in(ledger, folder, path, was, mounts)
        finally:
            os.close(folder)
    ledger.note(path)


def _remove_in(ledger: Ledger, folder: int, path: Path, was: Stat, mounts: Sequence[Path]) -> None:
    try:
        found = status(os.stat(path.name, dir_fd=folder, follow_symlinks=False))
        expect(path, found, was, ledger.made)
        if found.is_folder:
            refuse_mount(path, mounts)
            os.rmdir(path.name, dir_fd=folder)
        else:
            os.unlink(path.name, dir_fd=folder)
            if found.links == 1:
                ledger.made.pop(ident(found), None)
    except FileNotFoundError as error:
        raise vanished(path) from error
    except FileExistsError as error:  # some systems say so of a folder that is not empty
        raise refusal("remove", path, errno.ENOTEMPTY) from error


def refuse_mount(path: Path, mounts: Sequence[Path]) -> None:
    if Path(os.path.realpath(path.parent), path.name) in mounts:
        raise refusal("remove", path, "it is a mount point")


def move(ledger: Ledger, path: Path, to: Path, *, was: Stat, meter: Meter) -> None:
    """Rename, never over what is there; a file that goes to another file system is copied, then removed."""
    nameable("move", path)
    with refusing(f"move {shown(path)} to", to):
        found = look(path, follow=False)
        expect(path, found, was, ledger.made)
        assert found is not None
        if look(to, follow=False) is not None:
            raise appeared(to)
        try:
            rename_new(path, to)
        except OSError as error:
            if error.errno != errno.EXDEV or not found.is_file:
                raise
            _carry_over(ledger, path, to, found, meter)
    ledger.note(path)
    ledger.note(to)


def _carry_over(ledger: Ledger, path: Path, to: Path, found: Stat, meter: Meter) -> None:
    with (
        open(open_regular(path, follow=False), "rb", buffering=0) as source,
        ledger.spares.beside(to) as spare,
    ):
        with created(spare) as descriptor:
            while piece := source.read(PIECE):
                pour(piece, descriptor)
                meter(len(piece))
            made = alike(descriptor, found)
        expect(path, status(os.fstat(source.fileno())), found, ledger.made)
        rename_new(spare, to)
    ledger.note(to, made)
    ledger.flush()
    expect(path, look(path, follow=False), found, ledger.made)
    os.unlink(path)


def alike(descriptor: int, original: Stat) -> Stat:
    """Give a new file the owner, mode and time of another."""
    if os.geteuid() == 0:
        os.fchown(descriptor, original.uid, original.gid)
    os.fchmod(descriptor, original.mode)
    os.utime(descriptor, ns=(original.mtime, original.mtime))
    return status(os.fstat(descriptor))


def compress(ledger: Ledger, path: Path, to: Path, *, was: Stat, level: int, meter: Meter) -> None:
    """Write the gzip of a file that is still the one planned on, also once it is copied; never over an archive."""
    if level not in range(4):
        raise TaskFailed(f"cannot compress with level {level}; write one from 0, the fastest, to 3, the smallest")
    with refusing(f"compress {shown(path)} into", to):
        found = look(path, follow=False)
        expect(path, found, was, ledger.made)
        assert found is not None
        require_file("compress", path, found)
        if look(to, follow=False) is not None:
            raise appeared(to)
        with (
            open(open_regular(path, follow=False), "rb", buffering=0) as source,
            ledger.spares.beside(to) as spare,
        ):
            before = status(os.fstat(source.fileno()))
            expect(path, before, was, ledger.made)
            with created(spare) as descriptor:
                _zip(source, descriptor, level, meter)
                made = alike(descriptor, before)
            if not before.same_as(status(os.fstat(source.fileno()))) or not before.same_as(look(path, follow=False)):
                raise altered(path)  # it has grown, or another has taken its place
            rename_new(spare, to)
    ledger.note(to, made)


def _zip(source: BinaryIO, descriptor: int, level: int, meter: Meter) -> None:
    with packing(descriptor, level) as archive:
        while piece := source.read(PIECE):
            archive.write(piece)
            meter(len(piece))


def make_folder(ledger: Ledger, path: Path, *, mode: int | None) -> None:
    """Make one folder; the mode is exact where it is given."""
    wanted = 0o755 & ~ledger.umask if mode is None else mode
    with refusing("make the folder", path):
        os.mkdir(path, wanted & 0o777)  # never wider than asked for, not for an instant
        ledger.note(path)
        folder = os.open(path, _FOLDER | os.O_NOFOLLOW)
        try:
            found = status(os.fstat(folder))
            if found.mode & (0o777 if mode is None else 0o7777) != wanted:
                keep = found.mode & 0o7000 if mode is None else 0  # a set-group-id bit that the parent handed on
                _chmod(folder, path, wanted | keep)
            ledger.note(path, status(os.fstat(folder)))
        finally:
            os.close(folder)


def chmod(ledger: Ledger, path: Path, mode: int, *, was: Stat) -> None:
    """Change the mode of the very file that was planned on; a link's target is meant, as by `chmod`."""
    with refusing("change the mode of", path):
        if look(path, follow=True) is None:
            raise vanished(path)
        descriptor = os.open(resolve(path), _PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = status(os.fstat(descriptor))
            known = ident(found) in ledger.made if foreign(was) else ident(found) == ident(was)
            if not known or found.kind != was.kind:
                raise altered(path)
            _chmod(descriptor, path, mode)
        finally:
            os.close(descriptor)


def _chmod(descriptor: int, path: Path, mode: int) -> None:
    """Change the mode through the descriptor; one opened by path alone has to go by its name in /proc."""
    name = f"/proc/self/fd/{descriptor}"
    os.chmod(name if os.path.exists(name) else path, mode)


def link(ledger: Ledger, path: Path, to: str, *, hard: bool, was: Stat | None, cwd: Path) -> None:
    """Make a link under a temporary name and rename it over what was planned on."""
    if hard:
        with refusing(f"link {shown(path)} to", cwd / to):
            os.lstat(cwd / to)
    with refusing("make the link", path):
        found = look(path, follow=False)
        expect(path, found, was, ledger.made)
        if found is not None and found.is_folder:
            raise refusal("make the link", path, errno.EISDIR)
        with ledger.spares.beside(path) as spare:
            if hard:
                os.link(cwd / to, spare, follow_symlinks=False)
            else:
                os.symlink(to, spare)
            made = look(spare, follow=False)
            expect(path, look(path, follow=False), was, ledger.made)
            if was is None:
                rename_new(spare, path)
            else:
                os.replace(spare, path)
            with suppress(FileNotFoundError):
                os.unlink(spare)  # a rename between two names of one file does nothing
    ledger.note(path, made)
