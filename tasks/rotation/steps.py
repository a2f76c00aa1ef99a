"""The steps of a rotation: finish what was left, rotate what is due, delete what is beyond the newest archives."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runbook.changes import Change, Move, Remove, Stat, then
from runbook.changes.rotation import Custody, Method, Rotate, Rotation
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown
from runbook.units import Age, human_bytes

from . import params
from .archived import Archived, archives, holds, name_of, next_name, standing
from .telling import telling
from .ways import astray, choose

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 10**9  # ns
MINUTE = 60 * SECOND
PATIENCE = 10.0
Told = dict[str, Any]
Steps = Generator[Change, None, Told]


def rotated(host: Host, want: params.Rotate) -> Steps:
    """Yield what is to be done about a log, and give what `register` gets."""
    log = _log(host, want)
    told: Told = {"rotated": False, "method": None, "loss_possible": False, "loss": None, "split_line": False}
    told |= {"paused_ms": None, "archive": None, "reason": None, "others": {}, "doubled": []}
    for left in archives(host, want.path):
        if left.kind == "aside":
            told |= yield from _resumed(host, want, left)
        elif left.kind == "pending":
            told |= yield from _settled(host, want, left)
    due, told["reason"] = _due(host, want, log)
    if log is not None and due:
        told |= yield from _rotated(host, want, log, told)
    whole = [each for each in archives(host, want.path) if each.kind == "whole"]
    old = whole[: -want.keep]
    for each in old:
        yield Remove(each.path, each.stat, why=f"{want.keep} newer ones are kept")
    return {**told, "removed": [str(each.path) for each in old]}


def _log(host: Host, want: params.Rotate) -> Stat | None:
    """Give the log's status; refuse what is better rotated by another name, or not at all."""
    log, name = host.stat(want.path, follow=False), shown(want.path)
    if log is None:
        if not want.missing_ok and not archives(host, want.path):
            hint = "is the path right? where it need not be there yet: `missing_ok: true`"
            raise TaskFailed(f"there is no log {name}, nor an archive of it", hint=hint)
        return None
    if log.is_link:
        raise TaskFailed(f"{name} is a symbolic link", hint=f"write what it leads to: {shown(host.resolve(want.path))}")
    if not log.is_file:
        raise TaskFailed(
            f"{name} is no regular file, so it is no log", hint="write the path of the file that is written"
        )
    if log.links > 1:
        hint = "what is cut off one is cut off all of them: remove the others, or make them symbolic links"
        raise TaskFailed(f"{name} is a file with {log.links} names (hard links)", hint=hint)
    return log


def _due(host: Host, want: params.Rotate, log: Stat | None) -> tuple[bool, str]:
    """Say whether the log is to be rotated, and why."""
    if log is None:
        return False, "there is no log"
    now = (host.now - EPOCH) // timedelta(microseconds=1) * 1000
    times = [each.stat.mtime for each in archives(host, want.path) if each.kind == "whole"]
    if any(time in {now, now // SECOND * SECOND} for time in times):  # some file systems know whole seconds only
        return False, "it has been rotated by this run"
    if log.size == 0:
        return False, "it is empty"
    since = _since(host.born(want.path), log, times, now)
    age = (now // MINUTE - since // MINUTE) * MINUTE
    large = want.max_size is not None and log.size >= want.max_size
    old = want.max_age is not None and age >= round(want.max_age * SECOND)
    return large or old, f"{human_bytes(log.size)}, {Age(age / SECOND)} old"


def _since(born: int | None, log: Stat, times: Sequence[int], now: int) -> int:
    """Give from when a log's age counts: its last rotation, or when it was made if that is later or the only one.

    Times to come are a clock's fault. A file that is older than its own birth was copied with its times.
    """
    own = min(born, log.mtime) if born is not None and born <= now else None
    known = [time for time in (*times, own) if time is not None and time <= now]
    return max(known, default=min(int(log.mtime), now))


def _rotated(host: Host, want: params.Rotate, log: Stat, told: Told) -> Steps:
    who = _custody(host, want.path)
    tell = telling(host, want.reopen, who) if want.reopen else None
    method, others = choose(want.path, log, who, want.method, tells=tell is not None)
    if method is None:
        return {"others": others, "reason": f"{told['reason']}: due, but {others['collapse']}"}
    to = next_name(host, want.path, archives(host, want.path))
    change = Rotate(
        Rotation(want.path, to, method, log, tell=tell if method == "reopen" else None, patience=_patience(want))
    )
    yield change
    loss = _loss(who) if method == "copytruncate" else None
    split = told["split_line"]
    goes_on = method == "collapse" or (method in {"pause", "copytruncate"} and bool(who.writers or who.unseen))
    if goes_on and not split:
        split = then(change.outcome, lambda rotated: rotated.split_line)
    return {
        "rotated": True,
        "method": method,
        "archive": str(to),
        "others": others,
        "loss_possible": loss is not None,
        "loss": loss,
        "split_line": split,
        "paused_ms": then(change.outcome, lambda rotated: rotated.paused_ms) if method == "pause" else None,
    }


def _custody(host: Host, path: Path) -> Custody:
    """Say who writes a log, or what was put aside of one, unless another run is at it."""
    who = host.custody(path)
    if who.claimed:
        raise TaskFailed(f"{shown(path)} is being rotated by another run", hint="try again once that has ended")
    return who


def _patience(want: params.Rotate) -> float:
    return float(want.reopen.timeout) if want.reopen else PATIENCE


def _loss(who: Custody) -> str | None:
    """Say what may be lost by copying and emptying; None where nobody writes."""
    if not who.writers and not who.unseen:
        return None
    said = ["what was written between the last copy and the emptying", astray(who), who.unseen]
    return "; ".join(reason for reason in said if reason)


def _free(host: Host, log: Path, left: Archived) -> tuple[Path, Stat | None]:
    """Give the name that something unfinished gets, and what has it already, in which case it is the next free one."""
    to = name_of(log, left)
    taken = host.stat(to, follow=False)
    return (to, None) if taken is None else (next_name(host, log, archives(host, log)), taken)


def _resumed(host: Host, want: params.Rotate, left: Archived) -> Steps:
    """Go on with a log that was put aside: tell its writers, compress it, remove it."""
    to, taken = _free(host, want.path, left)
    if taken is not None and taken.is_file and holds(host, name_of(want.path, left), left.path):
        yield Remove(left.path, left.stat, why="its archive stands")
        return {}
    who = _custody(host, left.path)
    if who.unseen:
        raise TaskFailed(f"whether {shown(left.path)} is still written is not known: {who.unseen}")
    tell = telling(host, want.reopen, who, again=True) if want.reopen else None
    method: Method = "reopen" if tell else "rename"
    yield Rotate(Rotation(want.path, to, method, left.stat, left.path, tell, _patience(want)))
    return {"rotated": True, "method": method, "archive": str(to)}


def _settled(host: Host, want: params.Rotate, left: Archived) -> Steps:
    """Find out whether what an archive holds was cut off the log, and keep one of the two."""
    if host.stat(want.path) is not None:
        _custody(host, want.path)
    where, split = standing(host, left.path, want.path)
    if where == "there":
        yield Remove(left.path, left.stat, why="what it holds is still in the log")
        return {}
    if where == "damaged":
        hint = "move it away; what can be read of it is read by `zcat`"
        raise TaskFailed(f"{shown(left.path)}, of a run that was interrupted, is damaged", hint=hint)
    to, _ = _free(host, want.path, left)
    yield Move(left.path, to, left.stat)
    doubled = [str(to)] if where == "doubtful" else []
    return {"rotated": True, "archive": str(to), "split_line": split, "doubled": doubled}
