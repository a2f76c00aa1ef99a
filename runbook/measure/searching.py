"""Runs the rungs of a search: each in a process of its own, with all that are still in it loaded at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil

from runbook.measure.crew import Hand
from runbook.measure.racing import BLOCK, Lap
from runbook.measure.rounds import Samples
from runbook.measure.telling import tell
from runbook.measure.timing import MOST_CALLS, timed

FEWEST = 4  # configurations that are loaded at once, however little memory there is
DEFAULT = "default"

Configuration = Mapping[str, Any]


def lapper(
    asked: Mapping[str, Any], tried: Sequence[Configuration], default: Configuration
) -> Callable[[Sequence[int], int], Lap]:
    """Give what runs a rung: so many rounds of some of what is tried, with the default among them.

    Each rung has a new process, since where a session's memory happens to lie makes it faster or slower, by as much as
    options do; threads that spin are stopped after each call, so that none disturbs the next.
    """
    typical: dict[str, float] = {}

    def run(alive: Sequence[int], rounds: int) -> Lap:
        tell(f"{len(alive)} configurations, {rounds} rounds")
        ratios: dict[int, list[float]] = {}
        block: dict[str, float] = {}
        calls, waiting = 0, list(alive)
        while waiting:
            with Hand() as hand:
                room = _room(hand, loadable(asked, default))
                heat, waiting = waiting[:room], waiting[room:]
                for number in heat:
                    hand.load(str(number), loadable(asked, tried[number]))
                names = [DEFAULT, *map(str, heat)]
                half = {**asked, "block": asked["block"] * BLOCK, "most": int(MOST_CALLS * BLOCK)}
                found = timed(dict.fromkeys(names, hand), half, rounds, known=typical)
            typical.update({name: found.typical[name] for name in names})
            calls += found.calls
            block |= {name: _calls(found.samples[name], rounds) for name in names}
            base = found.samples[DEFAULT].times
            for number in heat:
                times = found.samples[str(number)].times
                ratios[number] = [math.log(one / other) for one, other in zip(base, times, strict=True)]
        return Lap(ratios, {number: block[str(number)] for number in alive}, block[DEFAULT], calls)

    return run


def _calls(samples: Samples, rounds: int) -> float:
    """Give the calls of a round as they were made: what others hold up makes fewer than was planned."""
    return sum(len(block.times) for block in samples.blocks) / rounds


def _room(hand: Hand, default: Mapping[str, Any]) -> int:
    """Load the default, and give how many more like it fit into half of the memory that is free."""
    before = hand.peak_bytes()
    hand.load(DEFAULT, default)
    return max(FEWEST, psutil.virtual_memory().available // 2 // max(1, hand.peak_bytes() - before))


def loadable(asked: Mapping[str, Any], one: Configuration) -> dict[str, Any]:
    """Give a configuration as a worker loads it."""
    return {"engine": "onnx", "model": asked["model"], "dims": asked["dims"], **one}
