"""How often the search of `ort.optimize` finds what a search of everything would have found, and for how many calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.studies.models import SEARCHED
from runbook.measure.crew import Hand
from runbook.measure.optimising import described, search, space
from runbook.measure.racing import EXHAUSTIVE
from runbook.measure.searching import loadable
from runbook.measure.statistics import paired_ratio
from runbook.measure.timing import timed

SPACE = {
    "providers": [["CPU"]],
    "level": ["disable_all", "basic", "extended", "layout", "all"],
    "threads": [1, 2],
    "spinning": [False, True],
    "parallel": [False],
    "inter_threads": [0],
    "arena": [True],
    "workspace": [None],
}
STARTS = 4  # processes of the exhaustive search and of the final, one after the other: each lies elsewhere in memory
FINAL, MOST_STARTS = 15, 16  # rounds of the final in each, and processes at most
NEAR, SHARE = 1.03, 1 / 3  # what is promised


def asked_of(model: Path, seed: int) -> dict[str, Any]:
    """Give what the search is asked for, with the settings that a step has without others."""
    return {
        **SPACE,
        "model": str(model),
        "dims": {},
        "images": None,
        "batch": 1,
        "block": 0.05,
        "budget": 60,
        "seed": seed,
    }


def exhaustive(asked: Mapping[str, Any], tried: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Give each of all the same rounds, side by side; gives the fastest by the median of its rounds, and the calls."""
    names = [str(number) for number in range(len(tried))]
    behind: dict[str, list[float]] = {name: [] for name in names}
    calls, known = 0, {}
    for _ in range(STARTS):
        with Hand() as hand:
            for name in names:
                hand.load(name, loadable(asked, tried[int(name)]))
            found = timed(dict.fromkeys(names, hand), asked, EXHAUSTIVE // STARTS, known=known)
        calls, known = calls + found.calls, found.typical
        for times in zip(*(found.samples[name].times for name in names), strict=True):
            fastest = min(times)
            for name, time in zip(names, times, strict=True):
                behind[name].append(time / fastest)
    return min(range(len(tried)), key=lambda number: sorted(behind[str(number)])[EXHAUSTIVE // 2]), calls


def held_against(asked: Mapping[str, Any], a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Give how many times as fast b is as a: paired rounds in ever new processes, until it is known, or for long enough."""
    times: dict[str, list[float]] = {"a": [], "b": []}
    for start in range(MOST_STARTS):
        with ExitStack() as stack:
            hands = {name: stack.enter_context(Hand()) for name in times}
            for name, one in (("a", a), ("b", b)):
                hands[name].load(name, loadable(asked, one))
            for name, samples in timed(hands, {**asked, "seed": start}, FINAL).samples.items():
                times[name] += samples.times
        found = paired_ratio(times["a"], times["b"])
        if start + 1 >= STARTS and not found.low < 1 / NEAR < found.high and not found.low < NEAR < found.high:
            break
    return {"ratio": found.ratio, "interval": [found.low, found.high], "rounds": len(times["a"])}


def once(model: Path, seed: int) -> dict[str, Any]:
    """Search in both ways, the one or the other first, and hold their winners against each other."""
    asked = asked_of(model, seed)
    tried, _ = space(asked, ["CPUExecutionProvider"])
    if seed % 2:
        found, (best, everything) = search(asked, tried), exhaustive(asked, tried)
    else:
        (best, everything), found = exhaustive(asked, tried), search(asked, tried)
    same = {"ratio": 1.0, "interval": [1.0, 1.0]}
    return {
        "model": model.stem,
        "found": described(tried[found.winner]),
        "best": described(tried[best]),
        "calls": found.calls,
        "exhaustive": everything,
        "rungs": [[one["rounds"], len(one["scores"])] for one in found.rungs],
        **(same if best == found.winner else held_against(asked, tried[best], tried[found.winner])),
    }


def near(one: Mapping[str, Any]) -> bool:
    """Say whether what was found is as fast as the best but for 3 %, and took a third of the calls."""
    return bool(one["ratio"] >= 1 / NEAR and one["calls"] <= SHARE * one["exhaustive"])


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count what was near, and give the share of calls."""
    shares = [one["calls"] / one["exhaustive"] for one in runs]
    return {
        "runs": list(runs),
        "near": sum(near(one) for one in runs),
        "same": sum(one["found"] == one["best"] for one in runs),
        "slowest": min(one["ratio"] for one in runs),
        "shares": [min(shares), max(shares)],
    }


def study(folder: Path, runs: int, models: Sequence[str] = ()) -> dict[str, Any]:
    """Run so many searches of each model."""
    found = {}
    for name, write in SEARCHED.items():
        if models and name not in models:
            continue
        model = write(folder / f"{name}.onnx")
        many = []
        for seed in range(runs):
            many.append(once(model, seed))
            print(json.dumps(many[-1]), flush=True)
        found[name] = summary(many)
    return found
