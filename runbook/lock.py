"""Who may run: one lock a name, held by at most one run and freed by the kernel when its process ends."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from runbook.errors import Busy, RunbookError

if TYPE_CHECKING:
    from filelock import BaseFileLock

POLL_S = 0.05


class Locks:
    """The locks that a run holds, until `release` or the end of the `with`."""

    def __init__(self) -> None:
        self._held: list[tuple[BaseFileLock, Path]] = []

    @property
    def held(self) -> bool:
        return bool(self._held)

    def add(self, lock: BaseFileLock, holder: Path) -> None:
        self._held.append((lock, holder))

    def release(self) -> None:
        """Free them all; the lock files stay, for a file that is removed could be locked twice."""
        while self._held:
            lock, holder = self._held.pop()
            with suppress(OSError):
                os.unlink(holder)
            lock.release(force=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lock_name(inventory: Path) -> str:
    """Give the name of an inventory's lock: the same for every way to write its path."""
    path = inventory.resolve()
    return f"{_safe(path.stem)}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"


def acquire(state: Path, names: list[str], *, wait: float, run_id: str, playbook: str) -> Locks:
    """Take all locks, in the order of their names, within `wait` seconds in all.

    Raises `Busy`, which says who holds the first that is not free, and RunbookError where `state/locks` is refused.
    """
    from filelock import FileLock, Timeout

    folder, locks, deadline = state / "locks", Locks(), time.monotonic() + wait
    try:
        for path in (state, folder):  # a mode is for the last folder only, not for those that lead to it
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in sorted(set(names)):
            path = folder / f"{_file_name(name)}.lock"
            holder = path.with_suffix(".holder")
            lock = FileLock(path, mode=0o600, thread_local=False)
            try:
                lock.acquire(timeout=max(0.0, deadline - time.monotonic()), poll_interval=POLL_S)
            except Timeout:
                raise _busy(name, holder, wait) from None
            locks.add(lock, holder)
            _sign(holder, run_id, playbook)
    except OSError as error:
        locks.release()
        raise RunbookError(
            f"cannot take the lock in {folder}: {error.strerror or error}",
            hint="keep state in a folder that you may write and that has space: --state-dir DIR, or $RUNBOOK_HOME",
        ) from error
    except BaseException:
        locks.release()
        raise
    return locks


def _sign(holder: Path, run_id: str, playbook: str) -> None:
    """Write who holds the lock beside it, whole or not at all."""
    since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    text = json.dumps({"pid": os.getpid(), "run_id": run_id, "playbook": playbook, "since": since})
    spare = holder.with_suffix(".holder.tmp")
    with open(os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(spare, holder)


def _busy(name: str, holder: Path, wait: float) -> Busy:
    who = _holder(holder)
    told = "who holds it has not said its name yet"
    if who:
        told = f"pid {who['pid']}, run {who['run_id']} of {who['playbook']}, since {who['since']}"
    waited = f" after {wait:g} s of waiting" if wait else ""
    return Busy(
        f"another run holds the lock {name!r}{waited}: {told}",
        hint="let it end, wait for it with --wait 10m, or see `runbook runs list`",
    )


def _holder(holder: Path) -> dict[str, Any] | None:
    """Read who holds the lock; what a run that was killed left there is not believed."""
    try:
        who: dict[str, Any] = json.loads(holder.read_text("utf-8"))
        return who if {"run_id", "playbook", "since"} <= who.keys() and _lives(int(who["pid"])) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def _lives(pid: int) -> bool:
    if os.name != "posix":
        return True  # there is no signal that only asks
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _file_name(name: str) -> str:
    """Give a name that is safe as a file's, and never the same for two locks."""
    safe = _safe(name)
    return safe if safe == name else f"{safe}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}"


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:60] or "lock"
