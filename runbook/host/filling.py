"""How what is known by making it comes into being: a file, or a folder with all that is in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runbook.changes import Stat
from runbook.host import durable
from runbook.host.durable import Ledger, made_by, rename_new, replacing
from runbook.host.reading import look, status
from runbook.host.refusals import appeared, nameable, refusal, refusing


def produce(
    ledger: Ledger, path: Path, make: Callable[[Path], Any], *, mode: int | None, was: Stat | None, folder: bool
) -> Any:
    """Let `make` write a temporary file, or fill a temporary folder, and publish it; gives what `make` returned."""
    if folder:
        return _produce_folder(ledger, path, make)
    return durable.produce(ledger, path, make, mode=mode, was=was)


def _produce_folder(ledger: Ledger, path: Path, make: Callable[[Path], Any]) -> Any:
    """Have the folder whole or not at all: filled under a temporary name, flushed, then renamed.

    Files get the mode 0644, or 0755 where `make` has given them to be run, folders 0755, less the umask.
    """
    nameable("produce", path)
    with refusing("produce", path):
        if look(path, follow=False) is not None:
            raise appeared(path)
        with replacing(path, ledger.run_id) as spare:
            os.mkdir(spare, 0o700)
            result = made_by(make, spare, path)
            for folder, _, files in os.walk(spare, topdown=False):
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
