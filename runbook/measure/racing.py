"""Finds the fastest of many in few calls: all run side by side, and after each rung those leave that will not win."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Any

FIRST = 4  # rounds before anyone leaves: a median of four withstands one blow
EXHAUSTIVE = 20  # rounds of whole blocks that a search of everything would give each
BLOCK = 0.5  # of a whole block: twice the rounds of the same calls, and what drifts is more alike within a round
SHARE = 0.27  # of the calls of that search: what is promised is a third, and load changes what a block holds
CERTAIN, LEAST = 3.0, 0.05  # standard errors by which one is worse for certain; but sessions of one model differ, too
MOST = 2 * EXHAUSTIVE  # rounds in a rung: more tell nothing new

Known = Mapping[int, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Lap:
    """What rounds have told: how much faster than the default each was in every round, as logarithms.

    `block` is the number of calls in a round of each, `default` in one of the default; `calls` are all that were made.
    """

    ratios: Known
    block: Mapping[int, float]
    default: float
    calls: int


@dataclass(frozen=True, slots=True)
class Race:
    """Who won, what each rung told, the calls it took, and whether it came to its end."""

    winner: int
    rungs: list[dict[str, Any]]
    calls: int
    ended: bool


def race(
    count: int,
    run: Callable[[Sequence[int], int], Lap],
    *,
    most: int | None = None,
    over: Callable[[], bool] = lambda: False,
) -> Race:
    """Let so many run until one is left, or the calls or the time (`over`) are; what a rung told is kept for the next.

    After each rung the slower half leaves, and those with it that are slower for certain; what calls are left is
    shared evenly among the rungs to come. `most` are the calls it may make, about; the first rung is run anyhow.
    """
    known: dict[int, list[float]] = {number: [] for number in range(count)}
    alive, rounds, rungs, used, allowed = list(range(count)), FIRST, [], 0, 0.0
    while True:
        lap = run(alive, rounds)
        used += lap.calls
        for number, ratios in lap.ratios.items():
            known[number] += ratios
        alive.sort(key=lambda number: -median(known[number]))
        rungs.append({"rounds": rounds, "scores": {number: median(known[number]) for number in alive}})
        if not allowed:
            warming = lap.calls - rounds * (lap.default + sum(lap.block.values()))
            allowed = SHARE * (warming + sum(lap.block[number] for number in alive) / BLOCK * EXHAUSTIVE)
            allowed = allowed if most is None else min(allowed, most)
        late = over()
        alive = survivors(alive, known)
        rounds = affordable(allowed - used, alive, lap) if len(alive) > 1 else 0
        if not rounds or late:
            return Race(alive[0], rungs, used, not late or len(alive) == 1)


def survivors(ranked: Sequence[int], known: Known) -> list[int]:
    """Give the faster half, the first in front, without those that are slower than it for certain."""
    first, *others = ranked[: math.ceil(len(ranked) / 2)]
    behind = {number: _behind(known[first], known[number]) for number in ranked[1:]}
    rounds = len(known[first])
    spread = median(chain.from_iterable(_deviations(each) for each in behind.values())) if behind else 0.0
    error = 1.25 * 1.48 * spread / math.sqrt(max(rounds - 1, 1))  # of a median, by the median deviation of all
    return [first, *(number for number in others if median(behind[number]) <= max(CERTAIN * error, LEAST))]


def _behind(first: Sequence[float], other: Sequence[float]) -> list[float]:
    return [one - two for one, two in zip(first, other, strict=True)]


def _deviations(values: Sequence[float]) -> list[float]:
    middle = median(values)
    return [abs(value - middle) for value in values]


def affordable(left: float, alive: Sequence[int], lap: Lap) -> int:
    """Give how many rounds of these the next rung can have, out of the calls that are left for all rungs."""
    rungs = math.ceil(math.log2(len(alive)))
    each = lap.default + sum(lap.block[number] for number in alive)
    return max(0, min(MOST, int(left / rungs / each)))
