"""The store of runs: opens a run's folder, finds the runs that crashed, lists, and prunes."""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runbook.errors import RunbookError
from runbook.folder import ALIVE, JOURNAL, REPORT, SPARE, RunFolder, encode, read_head, read_report, replace_file
from runbook.journal import AtWork, cannot_write, crashed, read, sync_folder
from runbook.value import frozen
from runbook.wire import Json, rfc3339

RUN_ID = re.compile(r"\d{8}T\d{6}Z-\w+")
STAMP = "%Y%m%dT%H%M%SZ"
DAY_S = 86_400
FAILED_LONGER = 4
STARTING_S = 60
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError)


def state_dir(option: Path | None = None) -> Path:
    """Give the folder for state: the option's, else `$RUNBOOK_HOME`, else the platform's; absolute, not yet made."""
    if option or (given := os.environ.get("RUNBOOK_HOME")):
        return Path(option or given or "").expanduser().absolute()
    from platformdirs import user_state_dir

    return Path(user_state_dir("runbook", appauthor=False))


@frozen
class Kept:
    """A run in the store: `head` is its report without the steps; of one that cannot be read the status says so."""

    run_id: str
    path: Path
    head: Json


class Store:
    """The runs in a folder for state, one folder each: `runs/<run_id>/{report.json,journal.jsonl,alive}`."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = state_dir(home)
        self.runs = self.home / "runs"

    @staticmethod
    def new_id(now: datetime | None = None) -> str:
        """Give an id that no other run has, and that sorts by start: `20250301T020000Z-1f3a9c`."""
        return f"{(now or datetime.now(UTC)).astimezone(UTC):{STAMP}}-{os.urandom(3).hex()}"

    def open_run(self, run_id: str) -> RunFolder:
        """Make a run's folder and hold it; RunbookError where the folder for state cannot be written."""
        from filelock import FileLock

        folder = self.runs / run_id
        try:
            for path in (self.home, self.runs):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
            sync_folder(self.runs)
            # It waits for a start beside this one that is just looking at the folder.
            lock = FileLock(folder / ALIVE, timeout=10, mode=0o600, thread_local=False)
            lock.acquire()
        except OSError as error:
            raise cannot_write(folder, error) from error
        return RunFolder(folder, lock)

    def crashed_runs(self) -> list[str]:
        """Give the ids of the runs that say they are alive and are not, oldest first."""
        found = []
        for run_id in self._ids():
            if os.path.lexists(self.runs / run_id / ALIVE):
                with _held(self.runs / run_id / ALIVE) as free:
                    found.extend([run_id] if free else [])
            else:
                _begun(self.runs / run_id)
        return found

    def recover(self, run_id: str) -> str | None:
        """Write the report of a run that crashed, clear its leftovers away, and give what to tell the user.

        None: it did not crash, or another start is at it. A broken folder raises nothing.
        """
        folder = self.runs / run_id
        with _held(folder / ALIVE) as free:
            if not free:
                return None
            try:
                if not _begun(folder):
                    return None
                told = _recovered(folder)
            except BROKEN as error:
                told = f"run {run_id} crashed, and its record could not be finished ({error}); see {folder}"
            with suppress(OSError):
                os.unlink(folder / ALIVE)
            return told

    def history(self) -> list[Kept]:
        """Give all runs, the newest first."""
        return [Kept(run_id, self.runs / run_id, _head(self.runs / run_id)) for run_id in reversed(self._ids())]

    def find(self, text: str = "last") -> Kept:
        """Give the run whose id begins or ends so, or the `last`; RunbookError where that is none or several."""
        every = self._ids()
        found = (
            every[-1:] if text == "last" else [i for i in every if text and (i.startswith(text) or i.endswith(text))]
        )
        if len(found) == 1:
            return Kept(found[0], self.runs / found[0], _head(self.runs / found[0]))
        if not every:
            raise RunbookError(f"there are no runs in {self.runs}", hint="was it another --state-dir or $RUNBOOK_HOME?")
        if not found:
            raise RunbookError(f"no run has an id that begins or ends with {text!r}", hint="see `runbook runs list`")
        several = ", ".join(found[-5:]) + (" ..." if len(found) > 5 else "")
        raise RunbookError(f"{len(found)} runs have an id like {text!r}: {several}", hint="write more of the id")

    def prune(self, keep_days: float = 90, keep_runs: int = 1000, *, now: datetime | None = None) -> list[str]:
        """Remove the runs that are older, or more for their playbook; give their ids.

        A failed run is kept four times as long, and of too many the failed ones go last. A live run is never removed.
        """
        moment = now or datetime.now(UTC)
        playbooks: defaultdict[str, list[Kept]] = defaultdict(list)
        for run in self.history():
            if not os.path.lexists(run.path / ALIVE):
                playbooks[str(run.head.get("playbook"))].append(run)
        doomed = [run for runs in playbooks.values() for run in _expired(runs, keep_days, keep_runs, moment)]
        for run in doomed:
            _drop(run.path)
        return sorted(run.run_id for run in doomed)

    def tidy(self) -> None:
        """Prune with the defaults, at most once a day; it is no fault of a run if that is refused."""
        stamp = self.home / "pruned"
        with suppress(OSError):
            if stamp.exists() and time.time() - stamp.stat().st_mtime < DAY_S:
                return
            stamp.touch(0o600)
            self.prune()

    def _ids(self) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self.runs) if RUN_ID.fullmatch(entry.name))
        except OSError:
            return []


def _started(run_id: str) -> datetime:
    try:
        return datetime.strptime(run_id.partition("-")[0], STAMP).replace(tzinfo=UTC)
    except ValueError:  # the 99th of a month: nothing of ours, and never old enough to be removed
        return datetime.max.replace(tzinfo=UTC)


def _head(folder: Path) -> Json:
    try:
        return read_head(folder / REPORT)
    except BROKEN:
        return {"run_id": folder.name, "status": "unreadable", "playbook": "?"}


def _expired(runs: list[Kept], keep_days: float, keep_runs: int, now: datetime) -> Iterator[Kept]:
    """Give what goes of one playbook's runs, which come newest first."""
    kept: list[Kept] = []
    for run in runs:
        failed = run.head["status"] != "ok"
        if now - _started(run.run_id) > timedelta(days=keep_days * (FAILED_LONGER if failed else 1)):
            yield run
        else:
            kept.append(run)
    failed_first = sorted(kept, key=lambda run: run.head["status"] == "ok")
    yield from failed_first[keep_runs:]


@contextmanager
def _held(alive: Path) -> Iterator[bool]:
    """Hold a run's lock for a moment, if nobody else does; one that cannot be told is left alone."""
    from filelock import FileLock, Timeout

    lock = FileLock(alive, timeout=0, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except (Timeout, OSError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release(force=True)


def _drop(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _begun(folder: Path) -> bool:
    """Say whether there is anything of a run here; a folder that a start has just made is left to it."""
    with suppress(FileNotFoundError):  # another start has just dropped it; power failures leave empty journals
        if (folder / REPORT).exists() or ((log := folder / JOURNAL).exists() and log.stat().st_size):
            return True
        if time.time() - folder.stat().st_mtime > STARTING_S:
            _drop(folder)
    return False


def _recovered(folder: Path) -> str | None:
    """Rewrite the report of a run whose lock we hold; None where it ended, or had not begun."""
    record = read_report(folder / REPORT) if (folder / REPORT).exists() else None
    if record and record["status"] != "running":
        return None
    events = read(folder / JOURNAL)
    journal = folder / (JOURNAL if (folder / JOURNAL).exists() else REPORT)
    seen_at = journal.stat().st_mtime
    report, at_work = crashed(
        record, events, ended_at=rfc3339(datetime.fromtimestamp(seen_at, UTC)), certain=_up_since() < seen_at
    )
    _clear(at_work, folder.name)
    replace_file(folder / REPORT, encode(report), spare=folder / SPARE, mode=0o600)
    if report["status"] != "crashed":
        return None
    where = at_work.named(hosts=len(report["hosts"]) > 1)
    return f"run {folder.name} of {report['playbook']} crashed {where}; what was done: {folder / REPORT}"


def _up_since() -> float:
    import psutil

    return psutil.boot_time()


def _clear(at_work: AtWork, run_id: str) -> None:
    """Remove the half-written temporaries of the changes that were at work."""
    from runbook.host.files.spares import discard, temporary

    for change in at_work.targets():
        # `compress` and `move` say in their detail where they write to.
        for text in (change["target"], change["detail"].removeprefix("into ").removeprefix("moved to ")):
            if os.path.isabs(text):
                discard(temporary(text, run_id))
                discard(temporary(os.path.realpath(text), run_id))
