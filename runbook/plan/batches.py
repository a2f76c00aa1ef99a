"""How many hosts go through a play at a time: `serial`."""

from __future__ import annotations

from collections.abc import Sequence

from runbook.playbook.model import Play


def batches_of(play: Play, hosts: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Cut the hosts into batches: the list of `serial` is consumed in turn and its last size repeats.

    A share is of all the play's hosts, rounded down, one host at least.
    """
    if not play.serial:
        return (tuple(hosts),)
    batches, rest, turn = [], list(hosts), 0
    while rest:
        size = _size(play, min(turn, len(play.serial) - 1), len(hosts))
        batches.append(tuple(rest[:size]))
        rest, turn = rest[size:], turn + 1
    return tuple(batches)


def _size(play: Play, position: int, count: int) -> int:
    written = str(play.serial[position]).strip()
    share = written.endswith("%")
    number = written.rstrip("%").strip()
    if not number.isdecimal() or (not share and int(number) < 1):
        hint = "write a number of hosts, or a share such as 30%"
        raise play.problem(
            f"serial must be a whole number of hosts or a share, not {written!r}", "serial", position, hint=hint
        )
    return max(1, count * int(number) // 100) if share else int(number)
