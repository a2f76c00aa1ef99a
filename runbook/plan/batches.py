"""Keywords about a play as a whole, which may be templates: how many hosts at a time, how many may fail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from runbook.errors import StepError
from runbook.plan.context import at
from runbook.playbook.model import Play
from runbook.templates import compile_value, render_value
from runbook.unknown import first_unknown
from runbook.variables import Variables


def batches_of(play: Play, hosts: Sequence[str], view: Variables) -> tuple[tuple[str, ...], ...]:
    """Cut the hosts into batches: the list of `serial` is consumed in turn and its last size repeats.

    A share is of all the play's hosts, rounded down, one host at least. `view` is the first host's.
    """
    if not play.serial:
        return (tuple(hosts),)
    sizes = [_size(play, position, len(hosts), view) for position in range(len(play.serial))]
    batches, rest, turn = [], list(hosts), 0
    while rest:
        size = sizes[min(turn, len(sizes) - 1)]
        batches.append(tuple(rest[:size]))
        rest, turn = rest[size:], turn + 1
    return tuple(batches)


def _size(play: Play, position: int, count: int, view: Variables) -> int:
    value = settled(play, play.serial[position], view, "serial", position)
    written = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]*[1-9][0-9]*%?", written):
        hint = "write a number of hosts, or a share such as 30%"
        message = f"serial must be a whole number of hosts or a share, not {value!r}"
        raise play.problem(message, "serial", position, hint=hint)
    number = int(written.removesuffix("%"))
    return max(1, count * number // 100) if written.endswith("%") else number


def percentage_of(play: Play, view: Variables) -> float | None:
    """Give `max_fail_percentage`, 0 to 100."""
    value = settled(play, play.max_fail_percentage, view, "max_fail_percentage")
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?%?", value.strip()):
        value = float(value.strip().removesuffix("%"))
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100):
        return None if value is None else float(value)
    message = f"max_fail_percentage must be a share from 0 to 100, not {value!r}"
    raise play.problem(message, "max_fail_percentage", hint="write for example `max_fail_percentage: 30`")


def flag_of(play: Play, keyword: str, view: Variables) -> bool:
    """Give a keyword of the play that is true or false."""
    value = settled(play, getattr(play, keyword), view, keyword)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise play.problem(f"{keyword} must be true or false, not {value!r}", keyword, hint=f"write `{keyword}: true`")


def settled(play: Play, value: Any, view: Variables, *keys: str | int) -> Any:
    """Render a keyword of a play, which has to be known before the run."""
    if not isinstance(value, str):
        return value
    try:
        rendered = render_value(compile_value(value, at(play, *keys)), view)
    except StepError as error:
        raise play.problem(f"{keys[0]}: {error.message}", *keys, hint=error.hint) from error
    if first_unknown(rendered) is None:
        return rendered
    hint = "make it from inputs, inventory and vars"
    raise play.problem(f"{keys[0]} is not known before the run", *keys, hint=hint)
