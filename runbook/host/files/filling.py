"""How what is known by making it comes into being: a file, or a folder with all that is in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runbook.changes import Stat
from runbook.errors import RunbookError, Stopped, TaskFailed, TimedOut, Unsure
from runbook.host.files.durable import CREATE, Ledger, destination, dress, publish, rename_new
from runbook.host.reading import look, open_regular, status
from runbook.host.refusals import appeared, nameable, refusal, refusing, shown


def produce(
    ledger: Ledger, path: Path, make: Callable[[Path], Any], *, mode: int | None, was: Stat | None, folder: bool
) -> Any:
    """Let `make` write a temporary file, or fill a temporary folder, and publish it; gives what `make` returned."""
    if folder:
        return _produce_folder(ledger, path, make)
    return _produce_file(ledger, path, make, mode=mode, was=was)


def _produce_file(
    ledger: Ledger, path: Path, make: Callable[[Path], Any], *, mode: int | None, was: Stat | None
) -> Any:
    """Publish what `make` has written if it is a regular file."""
    with refusing("produce", path):
        target, old = destination(ledger, "produce", path, was)
        with ledger.spares.beside(target) as spare:
            os.close(os.open(spare, CREATE, 0o600))  # what cannot be written is told before the work, not after it
            os.unlink(spare)
            result = _made_by(make, spare, path)
            if look(spare, follow=False) is None:
                raise TaskFailed(f"cannot produce {shown(path)}: nothing was written to the path that was given")
            descriptor = open_regular(spare, follow=False)
            try:
                dress(descriptor, mode, old, ledger.umask)
                os.fsync(descriptor)
                made = status(os.fstat(descriptor))
            finally:
                os.close(descriptor)
            publish(ledger, path, spare, target, was=was, made=made)
            return result


def _made_by(make: Callable[[Path], Any], spare: Path, path: Path) -> Any:
    try:
        return make(spare)
    except (Stopped, TimedOut) as error:
        error.undone = True  # what it has written goes with its temporary name
        raise
    except (RunbookError, Unsure):
        raise
    except Exception as error:
        raise TaskFailed(f"cannot produce {shown(path)}: {type(error).__name__}: {error}") from error


def _produce_folder(ledger: Ledger, path: Path, make: Callable[[Path], Any]) -> Any:
    """Have the folder whole or not at all: filled under a temporary name, flushed, then renamed.

    Files get the mode 0644, or 0755 where `make` has given them to be run, folders 0755, less the umask.
    """
    nameable("produce", path)
    with refusing("produce", path):
        if look(path, follow=False) is not None:
            raise appeared(path)
        with ledger.spares.beside(path) as spare:
            os.mkdir(spare, 0o700)
            result = _made_by(make, spare, path)
            for folder, _, files in os.walk(spare, topdown=False, onerror=_pass_on):
                for name in files:
                    _flush(os.path.join(folder, name), path, ledger.umask)
                _flush(folder, path, ledger.umask)
            rename_new(spare, path)
        ledger.note(path, status(os.lstat(path)))
    return result


def _flush(entry: str, path: Path, umask: int) -> None:
    """Give a file or folder its mode, and have it on the disk."""
    found = look(entry, follow=False)
    if found is None or not (found.is_file or found.is_folder):
        raise refusal("produce", path, f"{os.path.basename(entry)!r} in it is neither a file nor a folder")
    descriptor = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        runs = found.is_folder or found.mode & 0o100
        os.fchmod(descriptor, (0o755 if runs else 0o644) & ~umask)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pass_on(error: OSError) -> None:
    """Raise what `os.walk` would pass over: a folder that cannot be listed has not been flushed."""
    raise error
