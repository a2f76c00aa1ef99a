"""Logs kept for a while, compressed when they are old, deleted when they are older; rotated; and read for errors."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import AliasChoices, Field, model_validator

from runbook.changes import Change, Compress, Found, Remove
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.plans import folders, refuse_roots
from runbook.host.refusals import shown
from runbook.task import Params, task
from runbook.units import Age, Size

from .rotation.archived import holds
from .rotation.params import Rotate
from .rotation.steps import rotated
from .scanning.scan import Paths, Regex, scanned

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86400 * 10**9  # ns


class Archive(Params):
    """Which logs, and how long they are kept; ages count from the last line written.

    Names that end in `.json` are never touched. A link, a file with a second name (a hard link) and what is no regular
    file are left alone, and `skipped` says so.
    """

    directory: Path = Field(description="the folder of the logs; folders in it are not looked into")
    patterns: tuple[str, ...] = Field(("*.out", "*.err"), description="shell patterns of the logs' names", min_length=1)
    compress_after: Age = Field(Age.parse("7d"), description="the age from which a log is compressed into `archive`")
    delete_after: Age = Field(Age.parse("30d"), description="the age from which a log, compressed or not, is deleted")
    archive: Path | None = Field(None, description="the folder of the compressed logs; `directory/archive` without it")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.delete_after < self.compress_after:
            raise ValueError(
                f"delete_after ({self.delete_after}) is less than compress_after ({self.compress_after}): logs would be"
                " deleted that were never compressed; write a longer one"
            )
        return self


@task(
    returns={
        "archived": "the logs that were compressed",
        "deleted": "the logs and archives that were deleted",
        "skipped": "for each log that was left alone: why",
        "bytes_before": "what the compressed logs took, in bytes",
        "bytes_freed": "what the deleted logs and archives took, in bytes",
    }
)
def archive(want: Archive, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Compress old logs into an archive folder, and delete those that are older still.

    An archive keeps its log's time and mode, and never overwrites another: the next free one of `NAME.gz`, `NAME.1.gz`
    … is taken. A log that is old enough to be deleted is not compressed first.
    """
    refuse_roots(host, want.directory)
    store = want.archive or want.directory / "archive"
    now = (host.now - EPOCH) // timedelta(microseconds=1) * 1000
    compress_until, delete_until = now - _nanoseconds(want.compress_after), now - _nanoseconds(want.delete_after)
    archived: list[Found] = []
    deleted: list[Found] = []
    skipped: dict[str, str] = {}
    for log in _logs(host, want):
        reason = _unfit(log)
        if reason:
            skipped[str(log.path)] = reason
        elif log.stat.mtime <= delete_until:
            deleted.append(log)
            yield Remove(log.path, log.stat, why=_old(log, now))
        elif log.stat.mtime <= compress_until:
            archived.append(log)
            yield from _stored(host, log, store)
            yield Remove(log.path, log.stat, why="compressed")
    for old in host.find(store, "*.gz"):
        if old.stat.is_file and old.stat.mtime <= delete_until:
            deleted.append(old)
            yield Remove(old.path, old.stat, why=_old(old, now))
    return {
        "archived": [str(log.path) for log in archived],
        "deleted": [str(file.path) for file in deleted],
        "skipped": skipped,
        "bytes_before": sum(log.stat.size for log in archived),
        "bytes_freed": sum(file.stat.size for file in deleted if file.stat.links == 1),
    }


def _nanoseconds(age: Age) -> int:
    return round(age * 1e6) * 1000


def _old(file: Found, now: int) -> str:
    return f"{(now - file.stat.mtime) / DAY:.0f}d old"


def _logs(host: Host, want: Archive) -> list[Found]:
    """Give what the patterns match, each once, but folders and what is no log by its name."""
    found = {found.path: found for pattern in want.patterns for found in host.find(want.directory, pattern)}
    return [
        found[path]
        for path in sorted(found)
        if not found[path].stat.is_folder and not path.name.lower().endswith((".json", ".gz"))
    ]


def _unfit(log: Found) -> str | None:
    """Say why a log is better left alone."""
    if log.stat.is_link:
        return "a symbolic link: what it leads to may be another's log"
    if not log.stat.is_file:
        return "no regular file"
    if log.stat.links > 1:
        return f"a hard link: the file has {log.stat.links} names, and may be written by another"
    return None


def _stored(host: Host, log: Found, store: Path) -> Iterator[Change]:
    """Yield what puts the log into the archive folder, unless a run that was killed has done so already."""
    there = host.stat(store)
    if there is None:
        yield from folders(host, store)
    elif not there.is_folder:
        raise TaskFailed(f"the archive {shown(store)} is there, and is no folder", hint="give another with `archive`")
    number = 0
    while True:
        to = store / f"{log.path.name}{f'.{number}' if number else ''}.gz"
        taken = host.stat(to, follow=False)
        if taken is None:
            yield Compress(log.path, to, log.stat)
            return
        if taken.is_file and taken.mtime == log.stat.mtime and holds(host, to, log.path):
            return  # it is an archive of this very log
        number += 1


@task(
    returns={
        "rotated": "whether it was, or an earlier rotation was finished",
        "method": "how: rename, reopen, collapse, pause or copytruncate",
        "loss_possible": "whether lines may have been lost, which only `copytruncate` can do",
        "loss": "how, if so",
        "split_line": "whether a line is split between the archive and the log: whole when the two are joined",
        "paused_ms": "for how long its writers were stopped, by `pause`",
        "archive": "the archive",
        "reason": "why it was due, or was not",
        "others": "for each other method: why it was not taken",
        "doubled": "archives whose lines may stand in the log again, since a run was killed in the very cut",
        "removed": "the archives beyond `keep`",
    }
)
def rotate(want: Rotate, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Rotate a log that may be written meanwhile, into `NAME.YYYYMMDD.gz` beside it, by the date in UTC.

    It is due once it is as large as `max_size` or as old as `max_age`, if it is not empty. Its age counts from its last
    rotation, which is the time of its newest archive; before the first one from when the file was made, or from its
    last line where the file system does not remember that. A run rotates a log once. A second archive of a day is
    `NAME.YYYYMMDD.1.gz`; none is overwritten. What a run that was killed has begun is finished by the next.

    - `rename`, where nobody has the log open: an empty one takes its place.
    - `reopen`: the same, and the writers are told to open it anew, which is waited for.
    - `collapse`, on ext4 and xfs: its first blocks are archived and taken out under the writers, who notice nothing.
    - `pause`: it is archived, its writers are stopped for some milliseconds, and it is emptied.
    - `copytruncate`, only by name: it is archived and emptied; lines written in that very instant are lost.

    Who writes the log is looked up in /proc: run it where the writers' processes can be seen, as their user or root.
    What has the log open for reading, as `tail -F` or a log shipper, must know how to deal with files that get shorter.
    """
    return (yield from rotated(host, want))


class Scan(Params):
    """Which logs, how far back, and what counts as an error.

    A structured line, in JSON, is judged by its `level`; any other by words such as ERROR, ERR, CRITICAL, FATAL. Lines
    without a time belong to the one before them. With `patterns`, regular expressions, only what matches one counts.
    """

    paths: Paths = Field(
        validation_alias=AliasChoices("paths", "path"),
        min_length=1,
        description="logs, compressed ones too; a name may be a shell pattern, as `/exp/logs/api*.out`",
    )
    since: Age = Field(Age.parse("1d"), description="how far back")
    patterns: tuple[Regex, ...] = Field((), description="what counts as an error, instead of its level")
    ignore: tuple[Regex, ...] = Field((), description="what does not count, although it would")
    max: int | None = Field(None, ge=0, description="fail if there are more errors than this")
    limit: Size = Field(Size.parse("256MB"), description="how much of each log is read, from its end")
    samples: int = Field(5, ge=0, description="how many kinds of errors are shown, the most frequent first")


@task(
    kind="probe",
    returns={
        "errors": "how many errors there are",
        "entries": "how many entries were looked at",
        "samples": "for each of the most frequent kinds: count, last (its time), text",
        "read": "the logs that were read",
        "cut": "those whose part within `since` is larger than `limit`",
    },
)
def scan(want: Scan, host: Host) -> dict[str, Any]:
    """Count the errors in logs, and fail if there are more than `max`; none of the logs being there is a failure too.

    Entries that differ in numbers only are one kind. Only what is younger than `since` is read, so a log may be large.
    """
    return scanned(want, host)
