"""The folder of one run: its report, its journal, and the lock that says that it is alive."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook.errors import RunbookError
from runbook.events import Event, RunFinished, RunStarted
from runbook.journal import cannot_write, sync_folder
from runbook.report import Report
from runbook.wire import Json

if TYPE_CHECKING:
    from filelock import BaseFileLock

REPORT, JOURNAL, ALIVE, SPARE = "report.json", "journal.jsonl", "alive", ".report.json.tmp"
EVERY_S = 2.0
HEAD_END = b',"steps":['


class RunFolder:
    """A run's own folder, held by this process until `close`; whoever finds its lock free knows of a crash."""

    def __init__(self, path: Path, lock: BaseFileLock) -> None:
        self.path = path
        self.run_id = path.name
        self.report = path / REPORT
        self.journal = path / JOURNAL
        self._lock = lock
        self._told = True

    def write_report(self, record: Json) -> None:
        """Replace the report, whole and durable; RunbookError where that is refused."""
        self._told = False
        try:
            replace_file(self.report, encode(record), spare=self.path / SPARE, mode=0o600)
        except OSError as error:
            raise cannot_write(self.report, error) from error
        self._told = True

    def close(self) -> None:
        """Say that the run has ended. A run that did not come to begin leaves nothing.

        One whose last report could not be written stays `alive`, for the next start to write it out of the journal.
        """
        if not self.report.exists():
            shutil.rmtree(self.path, ignore_errors=True)
        if self._told:
            with suppress(OSError):  # the next start finds a finished report and clears this away
                os.unlink(self.path / ALIVE)
        self._lock.release(force=True)


class Recorder:
    """An observer that folds the events into `report` and keeps the files up to date.

    They are written at the start, at the end, and between at most every 2 seconds, or more rarely where writing a long
    report would take more than a twentieth of the time. A fault in between is forgiven, at the end it is not.
    """

    def __init__(
        self, folder: RunFolder, *, also: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.report = Report()
        self._folder = folder
        self._also = also
        self._clock = clock
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        self.report.fold(event)
        if isinstance(event, RunStarted | RunFinished):
            self._write()
        elif self.report.started and self._clock() >= self._next:
            with suppress(RunbookError):  # the disk may be full just now, and this very run be clearing it
                self._write()

    def _write(self) -> None:
        begun = self._clock()
        record = self.report.to_json()
        try:
            self._folder.write_report(record)
            if self._also:
                write_copy(self._also, record)
        finally:
            ended = self._clock()
            self._next = ended + max(EVERY_S, 20 * (ended - begun))


def write_copy(path: Path, record: Json) -> None:
    """Write the report where the user wants it too; a device or pipe gets it once, when it is finished."""
    try:
        if path.exists() and not path.is_file():
            if record["status"] != "running":
                path.write_bytes(encode(record))
            return
        target = path.resolve()
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        replace_file(target, encode(record), spare=target.with_name(f".{target.name}.runbook-tmp"), mode=mode)
    except OSError as error:
        raise RunbookError(
            f"cannot write the report to {path}: {error.strerror or error}",
            hint="give --report a file in a folder that is there and may be written",
        ) from error


def replace_file(path: Path, data: bytes, *, spare: Path, mode: int | None) -> None:
    """Write a file whole or not at all, by a temporary sibling; `mode` None leaves it to the umask."""
    try:
        descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o666)
        with open(descriptor, "wb") as file:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(spare, path)
    except OSError:
        with suppress(OSError):
            os.unlink(spare)
        raise
    sync_folder(path.parent)


def encode(record: Json) -> bytes:
    """Write a report: its first line is everything but the steps, then one step a line, so that lists read one line."""
    head = json.dumps({name: value for name, value in record.items() if name != "steps"}, separators=(",", ":"))
    steps = ",\n".join(json.dumps(step, separators=(",", ":")) for step in record["steps"])
    return head[:-1].encode() + HEAD_END + b"\n" + steps.encode() + b"\n]}\n"


def read_report(path: Path) -> Json:
    """Give a report as it was written; OSError or ValueError where it cannot be read."""
    record: Any = json.loads(path.read_bytes())
    if not isinstance(record, dict):
        raise ValueError(f"{path} holds no report")  # noqa: TRY004 - what is wrong is the file's content
    return record


def read_head(path: Path) -> Json:
    """Give a report without its steps, reading one line of it."""
    with path.open("rb") as file:
        line = file.readline().rstrip()
    if line.endswith(HEAD_END):
        head: Json = json.loads(line.removesuffix(HEAD_END) + b"}")
        return head
    return {name: value for name, value in read_report(path).items() if name != "steps"}
