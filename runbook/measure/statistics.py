"""What samples allow to be said: quantiles and ratios with intervals, and verdicts that noise alone never gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Verdict = Literal["better", "worse", "inconclusive"]
TRIMMED = 0.2  # the share of rounds that is left out at each end: a disturbed round says nothing
DRAWS = 2000
CONFIDENCE = 0.95
FEWEST = 6  # rounds; of fewer no interval can be given
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)  # of 95 %, for 2 to 10 values
WIDE = 0.10  # an interval wider than this share of the ratio comes of a machine that is too busy


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast `b` is as `a`, with the interval that holds the true ratio in 95 of 100 measurements."""

    ratio: float
    low: float
    high: float

    def verdict(self, margin: float = 0.0) -> Verdict:
        """Say how b does against a: a difference of less than `margin` (a share) is none."""
        if self.low > 1 + margin:
            return "better"
        return "worse" if self.high < 1 / (1 + margin) else "inconclusive"

    @property
    def noisy(self) -> bool:
        """Say whether the interval is so wide that more rounds, or a quieter machine, are needed."""
        return self.high - self.low > WIDE * self.ratio


def paired_ratio(a: Sequence[float], b: Sequence[float], *, starts: Sequence[int] = (), seed: int = 0) -> Ratio:
    """Compare the times of paired rounds: `a[i]` and `b[i]` were taken one right after the other, in any unit.

    `starts` says how many of the rounds, one after the other, were of the same processes. Rounds of one start are too
    much alike: with several the estimate is the mean of what each start tells (the median of the logarithms of its
    ratios), and the interval is Student's. Without, it is the trimmed mean of all rounds and its symmetric bootstrap-t:
    in simulations of busy machines the plain percentile one held the true ratio too rarely.
    """
    if len(a) != len(b) or len(a) < FEWEST:
        raise ValueError(f"{FEWEST} pairs at least are needed, and {len(a)} and {len(b)} times were given")
    logs = np.log(np.asarray(a, np.float64)) - np.log(np.asarray(b, np.float64))
    if len(starts) > 1:
        return _of_starts(np.array([np.median(part) for part in np.split(logs, np.cumsum(starts)[:-1])]))
    middle, error = (float(each[0]) for each in _trimmed(logs[None, :]))
    drawn = np.random.default_rng(seed).choice(logs, (DRAWS, len(logs)))
    middles, errors = _trimmed(drawn)
    known = errors > 0  # a draw of equal values says nothing of the spread
    if error == 0 or not known.any():
        return Ratio(*(float(np.exp(middle)),) * 3)
    reach = error * float(np.quantile(np.abs(middles[known] - middle) / errors[known], CONFIDENCE))
    return Ratio(float(np.exp(middle)), float(np.exp(middle - reach)), float(np.exp(middle + reach)))


def _of_starts(told: np.ndarray) -> Ratio:
    """Give Student's interval of the mean of what several starts told, each by a logarithm."""
    reach = STUDENT[min(len(told), len(STUDENT) + 1) - 2] * float(told.std(ddof=1)) / math.sqrt(len(told))
    return Ratio(*(math.exp(float(told.mean()) + way) for way in (0, -reach, reach)))


def _trimmed(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each row's trimmed mean and its standard error, of the winsorised row."""
    ordered, count = np.sort(rows, axis=1), rows.shape[1]
    cut = int(TRIMMED * count)
    kept = ordered[:, cut : count - cut]
    winsorised = np.clip(ordered, kept[:, :1], kept[:, -1:])
    deviation = winsorised.std(axis=1, ddof=1)
    return kept.mean(axis=1), deviation / ((1 - 2 * cut / count) * np.sqrt(count))


def _quantiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return float(low), float(high)


def rate_with_interval(samples: Sequence[float], seconds: Sequence[float], *, seed: int = 0) -> dict[str, Any]:
    """Give how many samples a second there were, of those of each block and its time; blocks are drawn anew.

    All samples are divided by all of the time: the mean of each block's rate would leave out what slow ones cost.
    """
    made, taken = np.asarray(samples, np.float64), np.asarray(seconds, np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(made), (DRAWS, len(made)))
    rates = made[drawn].sum(axis=1) / taken[drawn].sum(axis=1)
    return {"value": float(made.sum() / taken.sum()), "interval": list(_quantiles(rates, CONFIDENCE))}


def latency(blocks: Sequence[Sequence[float]], *, seed: int = 0) -> dict[str, Any]:
    """Give mean, p50, p90, p95 and p99 of all times, each with a 95 % interval; blocks, not calls, are drawn anew.

    Calls of one block are alike, so that intervals of single calls would be far too narrow.
    """
    marks = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
    rows = [np.asarray(block, np.float64) for block in blocks]
    whole = np.concatenate(rows)
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(400):
        some = np.concatenate([rows[number] for number in generator.integers(0, len(rows), len(rows))])
        drawn.append([some.mean(), *np.quantile(some, list(marks.values()))])
    values = [whole.mean(), *np.quantile(whole, list(marks.values()))]
    intervals = [_quantiles(column, CONFIDENCE) for column in np.asarray(drawn).T]
    found = zip(("mean", *marks), values, intervals, strict=True)
    return {name: {"value": float(value), "interval": list(interval)} for name, value, interval in found}


def upper_bound(losses: int, count: int, confidence: float = CONFIDENCE) -> float:
    """Give the largest share of losses that is still likely after `losses` of `count` samples (Clopper-Pearson)."""
    if losses >= count:
        return 1.0
    low, high = losses / count, 1.0
    for _ in range(60):  # bisection: the chance of so few losses falls as the share grows
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(losses, count, middle) > 1 - confidence else (low, middle)
    return high


def _at_most(losses: int, count: int, share: float) -> float:
    """Give the chance of at most so many losses, summed term by term."""
    term = (1 - share) ** count
    total = term
    for number in range(1, losses + 1):
        term *= (count - number + 1) / number * share / (1 - share)
        total += term
    return total
