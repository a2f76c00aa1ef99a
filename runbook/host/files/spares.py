"""Temporary siblings that files are written under: named after the run, each used by one step at a time."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runbook.host.reading import TEMPORARY


def temporary(path: Path | str, run_id: str) -> Path:
    """Give the hidden sibling that a file is written under by a run: `.NAME.RUN.runbook-tmp`, at most 255 bytes.

    It is found again from the path and the run alone, so what a killed run left can be cleared away by its journal.
    """
    folder, name = os.path.split(str(path))
    end = f".{''.join(filter(str.isalnum, run_id))[-8:]}{TEMPORARY}"
    if len(os.fsencode(name)) + len(end) + 1 > 255:
        end = f".{hashlib.blake2s(os.fsencode(name), digest_size=4).hexdigest()}{end}"
        while len(os.fsencode(name)) + len(end) + 1 > 255:
            name = name[:-1]
    return Path(folder, f".{name}{end}")


def discard(path: Path | str) -> None:
    """Remove a temporary if it is there; a fault in doing so must not hide the one that led here."""
    with suppress(OSError):
        os.unlink(path)
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil

        shutil.rmtree(path, ignore_errors=True)


class Spares:
    """The temporary siblings of a run on one machine.

    Steps of several hosts that write the same file at the same time take turns: neither finds the other's temporary.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._free = threading.Condition()
        self._taken: set[Path] = set()

    @contextmanager
    def beside(self, target: Path | str) -> Iterator[Path]:
        """Give a free temporary name beside the target, and leave nothing under it if the body fails."""
        spare = temporary(target, self._run_id)
        with self._turn(spare):
            discard(spare)
            try:
                yield spare
            except BaseException:
                discard(spare)
                raise

    @contextmanager
    def _turn(self, spare: Path) -> Iterator[None]:
        with self._free:
            while spare in self._taken:
                self._free.wait()
            self._taken.add(spare)
        try:
            yield
        finally:
            with self._free:
                self._taken.discard(spare)
                self._free.notify_all()
