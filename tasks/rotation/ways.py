"""The ways to rotate a log: which of them its writers and its file system allow, and why the others are out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from runbook.changes import Stat
from runbook.changes.rotation import Custody, Method, Writer
from runbook.errors import TaskFailed
from runbook.host.imagined.permits import may
from runbook.host.refusals import shown

Wish = Literal["auto", "reopen", "collapse", "pause", "copytruncate"]
WANTED: Mapping[Wish, tuple[Method, ...]] = {
    "auto": ("reopen", "rename", "collapse", "pause"),
    "reopen": ("reopen", "rename"),  # where nobody has it open, there is nobody to tell
    "collapse": ("collapse",),
    "pause": ("pause",),
    "copytruncate": ("copytruncate",),
}
COLLAPSING = ("ext4", "xfs")
SMALL = "it is no larger than a block of its file system"
BY_NAME = "may lose lines, so it is only taken when it is asked for by name"


class Way(NamedTuple):
    """The way that was chosen, or None: the log has to grow first. `others` says of each other way why not."""

    method: Method | None
    others: Mapping[str, str]


def choose(path: Path, log: Stat, who: Custody, wish: Wish, *, tells: bool) -> Way:
    """Choose the best way that is open; `tells`: there is somebody to tell, and a way to do so.

    Raises TaskFailed with the reasons where there is none.
    """
    reasons = _obstacles(log, who, tells=tells)
    chosen = next((way for way in WANTED[wish] if reasons[way] is None), None)
    if chosen is None and ("collapse" not in WANTED[wish] or reasons["collapse"] != SMALL):
        raise _impossible(path, {way: reasons[way] or "" for way in WANTED[wish]}, who)
    others = {
        str(way): reason or f"not needed, as {chosen} can do it" for way, reason in reasons.items() if way != chosen
    }
    if chosen != "copytruncate":
        others["copytruncate"] = BY_NAME
    return Way(chosen, others)


def _obstacles(log: Stat, who: Custody, *, tells: bool) -> dict[Method, str | None]:
    """Say of each way what stands against it."""
    writers = _listed(who.writers)
    lasting = _listed(writer for writer in who.writers if not writer.stoppable)
    readable = None if may(log, 4) else "this user may not read it"
    writable = readable or (None if may(log, 2) else "this user may not write it")
    uncut = writable or who.unseen or astray(who)
    return {
        "reopen": readable
        or who.unseen
        or (None if tells else "there is nobody to tell, or no `reopen` that says how"),
        "rename": readable or who.unseen or (f"{writers} has it open" if writers else None),
        "collapse": uncut or _uncollapsible(log, who),
        "pause": uncut or (f"{lasting} may not be stopped" if lasting else None),
        "copytruncate": writable,
    }


def astray(who: Custody) -> str | None:
    """Name the writers that would go on at their old place, after a hole, once the log is cut."""
    names = _listed(writer for writer in who.writers if not writer.appends)
    return f"{names} writes without O_APPEND, and would go on at its old place, after a hole" if names else None


def _listed(writers: Iterable[Writer]) -> str:
    return " and ".join(map(str, writers))


def _uncollapsible(log: Stat, who: Custody) -> str | None:
    if who.file_system not in COLLAPSING:
        return f"the file system is {who.file_system or 'unknown'}; it can be done on {' and '.join(COLLAPSING)}"
    return SMALL if log.size <= who.block else None


def _impossible(path: Path, reasons: Mapping[Method, str], who: Custody) -> TaskFailed:
    several = len(reasons) > 1
    said = "; ".join(f"{way}: {reason}" if several else reason for way, reason in reasons.items())
    if "copytruncate" in reasons:
        return TaskFailed(f"{shown(path)} cannot be rotated: {said}")
    first = "run it as root or as the writers' user" if who.unseen else "say in `reopen` how its writers are told"
    return TaskFailed(
        f"no way to rotate {shown(path)} and lose no line: {said}",
        hint=f"{first}; or write `method: copytruncate`, which may lose lines",
    )
