"""Whether a target changes its mind too often, weighed as Nagios does: what is newer counts for more."""

from __future__ import annotations

from itertools import pairwise

from .state import KEPT

HIGH, LOW = 30.0, 15.0  # percent of changes at which it begins, and below which it is over


def percent(results: str) -> float:
    """Give the share of changes among the last results, from 0.8 of a change for the oldest to 1.2 for the newest."""
    most = KEPT - 1
    recent = results[-KEPT:]
    first = most - (len(recent) - 1)
    changes = (
        0.8 + 0.4 * (first + number) / (most - 1)
        for number, (one, other) in enumerate(pairwise(recent))
        if one != other
    )
    return 100 * sum(changes) / most


def flaps(results: str, *, before: bool) -> bool:
    """Say whether it does; `before` is whether it did: it stops later than it begins."""
    share = percent(results)
    return share >= LOW if before else share >= HIGH
