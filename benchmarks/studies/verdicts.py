"""How often `bench.infer` is right: on the same model twice, and on one with 1.3 times the work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.studies.models import chain

PAIRS = {"the same twice": "twin", "1.3 times the work": "more"}
SETTINGS = {"rounds": 30, "starts": 5, "block": 0.05, "margin": 0.03}  # of a step that has none
Comparison = Mapping[str, Any]


def write_pairs(folder: Path) -> dict[str, Path]:
    """Write the model, its copy, and the one that has 13 layers where it has 10."""
    one = chain(folder / "one.onnx")
    shutil.copyfile(one, folder / "twin.onnx")
    return {"one": one, "twin": folder / "twin.onnx", "more": chain(folder / "more.onnx", depth=13)}


def measured(job: str, **asked: Any) -> dict[str, Any]:
    """Let the measuring process do a job as the tasks do, and give its report."""
    told = json.dumps({"job": job, "out": None, "created": "", "images": None, "dims": {}, **asked})
    done = subprocess.run(
        [sys.executable, "-P", "-m", "runbook.measure"], input=told, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout.splitlines()[-1])
    made: dict[str, Any] = said["made"]
    return made


def compared(a: Path, b: Path, seed: int) -> Comparison:
    """Compare two models with the settings that a step has without others, one thread each."""
    candidates = [
        {"name": name, "engine": "onnx", "model": str(path), "providers": ["CPU"], "options": {"threads": 1}}
        for name, path in (("a", a), ("b", b))
    ]
    report = measured("bench", candidates=candidates, batches=[1], seed=seed, **SETTINGS)
    found: dict[str, Any] = report["comparisons"][0]
    return found


def right(pair: str, found: Comparison) -> bool:
    """Say whether the answer is right: for the same twice none, or an interval that holds 1."""
    if pair == "the same twice":
        return found["verdict"] == "inconclusive" or holds(found, 1.0)
    return bool(found["verdict"] == "worse")


def holds(found: Comparison, ratio: float) -> bool:
    low, high = found["interval"]
    return bool(low <= ratio <= high)


def summary(pair: str, found: Sequence[Comparison]) -> dict[str, Any]:
    """Count what was right, and how often the interval alone held the ratio of the same twice."""
    ratios = [one["ratio"] for one in found]
    return {
        "runs": len(found),
        "right": sum(right(pair, one) for one in found),
        "holds_one": sum(holds(one, 1.0) for one in found),
        "verdicts": {
            name: sum(one["verdict"] == name for one in found) for name in ("better", "worse", "inconclusive")
        },
        "lowest": min(ratios),
        "highest": max(ratios),
    }


def verdicts(folder: Path, runs: int) -> dict[str, Any]:
    """Run both pairs in turn, so many times each."""
    models = write_pairs(folder)
    found: dict[str, list[Comparison]] = {pair: [] for pair in PAIRS}
    for seed in range(runs):
        for pair, other in PAIRS.items():
            found[pair].append(compared(models["one"], models[other], seed))
    return {pair: summary(pair, many) for pair, many in found.items()}
