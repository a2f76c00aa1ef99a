"""Times what processes have loaded: each is warmed up, then all take turns in rounds of short blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from runbook.measure import machine
from runbook.measure.crew import Hand
from runbook.measure.rounds import Block, Samples, interleaved

MOST_CALLS = 500  # in a block; more tell nothing new, and make the report's intervals slow to find
HELD_UP = 2  # a block ends when it has taken so many times as long as planned: others have the cores


@dataclass(frozen=True, slots=True)
class Timed:
    """The samples by name, the typical time of each when it was warm (seconds), and all calls that were made."""

    samples: dict[str, Samples]
    typical: dict[str, float]
    calls: int


def timed(
    hands: Mapping[str, Hand],
    asked: Mapping[str, Any],
    rounds: int,
    *,
    known: Mapping[str, float] = MappingProxyType({}),
    what: str = "",
) -> Timed:
    """Time all in interleaved rounds; `asked` says batch, images, seed, and a block's length: in seconds, and in calls.

    Those whose typical time is `known` of an earlier process are warmed up by two calls.
    """
    typical, warming = {}, 0
    for name, hand in hands.items():
        feed = {"batch": asked["batch"], "images": asked.get("images"), "seed": asked.get("seed", 0)}
        warm = hand.ask("warm", key=name, known=known.get(name), **feed)
        typical[name] = warm["typical"]
        warming += warm["calls"]
    most = asked.get("most", MOST_CALLS)
    calls = {name: block_calls(asked["block"], each, most) for name, each in typical.items()}

    def run(name: str) -> Block:
        return hands[name].block(name, asked["batch"], calls[name], HELD_UP * asked["block"])

    samples = interleaved(list(hands), rounds, run, seed=asked.get("seed", 0), what=what)
    made = sum(len(block.times) for each in samples.values() for block in each.blocks)
    return Timed(samples, typical, warming + made)


def block_calls(block: float, typical: float, most: int = MOST_CALLS) -> int:
    """Give how many calls of a typical time make a block of a length, both in seconds."""
    return max(1, min(most, round(block / max(typical, 1e-9))))


@dataclass(frozen=True, slots=True)
class Restarted:
    """What several starts gave: samples by batch and name, what loading told, peak memory, and when it was measured."""

    starts: list[int]
    samples: dict[int, dict[str, Samples]]
    told: dict[str, dict[str, Any]]
    peaks: dict[str, int]
    spans: list[tuple[machine.Moment, machine.Moment]]


def restarted(
    names: Sequence[str], load: Callable[[Mapping[str, Hand]], dict[str, dict[str, Any]]], asked: Mapping[str, Any]
) -> Restarted:
    """Time candidates in processes of their own, which are started anew for every few of the rounds.

    Two processes of one model differ by where its memory happens to lie, and no number of rounds in them would tell.
    """
    starts = shares(asked["rounds"], asked["starts"])
    found = Restarted(starts, {batch: {name: Samples() for name in names} for batch in asked["batches"]}, {}, {}, [])
    for number, rounds in enumerate(starts, 1):
        with ExitStack() as stack:
            hands = {name: stack.enter_context(Hand()) for name in names}
            told = load(hands)
            found.told.update({} if found.told else told)
            before = machine.moment()
            for batch in asked["batches"]:
                what = f"batch {batch}, start {number} of {len(starts)}: "
                for name, samples in timed(hands, {**asked, "batch": batch}, rounds, what=what).samples.items():
                    found.samples[batch][name].add(samples)
            found.spans.append((before, machine.moment()))
            for name, hand in hands.items():
                found.peaks[name] = max(found.peaks.get(name, 0), hand.peak_bytes())
    return found


def shares(rounds: int, starts: int) -> list[int]:
    """Give how many of the rounds each start gets: at least one."""
    starts = min(starts, rounds)
    return [rounds // starts + (number < rounds % starts) for number in range(starts)]
