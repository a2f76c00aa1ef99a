"""Who is measured when: every round takes a block of each contestant, one right after the other, in changing order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from runbook.measure.telling import tell

EVERY = 1.0  # seconds between two words on how far it is
Contestant = TypeVar("Contestant")


@dataclass(frozen=True, slots=True)
class Block:
    """Calls that were made one after the other. `times` and `cpu` in seconds; `switches` that nobody asked for."""

    times: tuple[float, ...]
    cpu: float = 0.0
    switches: int = 0

    @property
    def typical(self) -> float:
        """The median time, which one disturbed call does not change."""
        ordered = sorted(self.times)
        middle = len(ordered) // 2
        return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@dataclass(frozen=True, slots=True)
class Samples:
    """What was measured of one contestant, one block a round."""

    blocks: list[Block] = field(default_factory=list)

    def add(self, more: Samples) -> None:
        """Put what was measured later behind it."""
        self.blocks.extend(more.blocks)

    @property
    def times(self) -> list[float]:
        """The typical time of each round: what is compared in pairs."""
        return [block.typical for block in self.blocks]


def orders(contestants: Sequence[Contestant], rounds: int, seed: int = 0) -> Iterator[list[Contestant]]:
    """Yield the order of each round: at random, and every second one the reverse of that before it.

    So whatever drifts in time, heat or other people's work, falls on all alike.
    """
    generator = random.Random(seed)  # noqa: S311 - nothing here is secret
    order = list(contestants)
    for number in range(rounds):
        if number % 2 == 0:
            generator.shuffle(order)
            yield list(order)
        else:
            yield order[::-1]


def interleaved(
    contestants: Sequence[Contestant],
    rounds: int,
    run: Callable[[Contestant], Block],
    *,
    seed: int = 0,
    what: str = "",
) -> dict[Contestant, Samples]:
    """Run a block of each contestant in every round; now and then it is told how far it is, after `what` it is."""
    found = {contestant: Samples() for contestant in contestants}
    told = time.monotonic()
    for number, order in enumerate(orders(contestants, rounds, seed), 1):
        for contestant in order:
            found[contestant].blocks.append(run(contestant))
        if time.monotonic() - told >= EVERY:
            told = time.monotonic()
            tell(f"{what}round {number} of {rounds}")
    return found
