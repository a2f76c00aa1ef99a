"""The same questions put to other tools, each as its users put them: which model is faster, which options are best."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.studies.models import SEARCHED
from benchmarks.studies.search import asked_of, held_against
from benchmarks.studies.verdicts import PAIRS, compared, write_pairs
from runbook.measure.optimising import described, search, space

SCRIPTS = Path(__file__).parent / "peer"
LEVELS = {0: "disable_all", 1: "basic", 2: "extended", 3: "layout", 99: "all"}
TRIALS, OWN = 10, 70  # of Olive's tuning: configurations, and calls of each besides those that can be set
APART = 0.03  # ratios that differ from 1 by more are taken as an answer, by whoever reads them

Ask = Callable[[str], float]


def script(python: Path, name: str, *given: str) -> Any:
    """Run a peer's script in its own Python, offline, and read what it answers."""
    quiet = {"OLIVE_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as folder:  # for the logs that they leave where they are
        done = subprocess.run(
            [str(python), str(SCRIPTS / f"{name}.py"), *given],
            cwd=folder,
            env=os.environ | quiet,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
    return answer(done.stdout)


def answer(said: str) -> Any:
    """Give the last line that is JSON: processes that the peers start may say more behind it."""
    for line in reversed(said.splitlines()):
        with suppress(ValueError):
            return json.loads(line)
    raise SystemExit(f"no answer, but: {said[-300:]}")


def contestants(python: Path, folder: Path) -> dict[str, Ask]:
    """Give, for each tool, what measures a pair: how many times as fast the other is as the first."""
    models = {name: str(path) for name, path in write_pairs(folder).items()}
    layers = {"one": 10, "twin": 10, "more": 13}
    for name, count in layers.items():
        script(python, "optimum_forward", "write", str(folder / f"bert-{name}"), str(count))

    def runbook(other: str) -> float:
        return float(compared(Path(models["one"]), Path(models[other]), 0)["ratio"])

    def torch(other: str) -> float:
        return _ratio(script(python, "torch_timer", models["one"], models[other]))

    def olive(other: str) -> float:
        return _ratio(script(python, "olive_latency", models["one"], models[other]))

    def optimum(other: str) -> float:
        return _ratio(script(python, "optimum_forward", str(folder / "bert-one"), str(folder / f"bert-{other}")))

    return {"bench.infer": runbook, "torch.utils.benchmark": torch, "Olive": olive, "optimum-benchmark": optimum}


def _ratio(times: Sequence[float]) -> float:
    first, other = times
    return first / other


def summary(ratios: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Count the misleading answers: a difference where there is none, and none, or the wrong one, where there is."""
    same, more = (ratios[pair] for pair in PAIRS)
    return {
        "runs": len(same),
        "same": [min(same), max(same)],
        "more": [min(more), max(more)],
        "same_told_apart": sum(not 1 / (1 + APART) <= ratio <= 1 + APART for ratio in same),
        "more_not_found": sum(ratio >= 1 / (1 + APART) for ratio in more),
    }


def pairs(folder: Path, python: Path, runs: int, slow_runs: int) -> dict[str, Any]:
    """Let all tools measure both pairs in turn, the slow one (optimum-benchmark) less often."""
    asks = contestants(python, folder)
    found: dict[str, dict[str, list[float]]] = {tool: {pair: [] for pair in PAIRS} for tool in asks}
    for number in range(runs):
        for tool, ask in asks.items():
            if tool == "optimum-benchmark" and number >= slow_runs:
                continue
            for pair, other in PAIRS.items():
                found[tool][pair].append(ask(other))
    return {tool: summary(ratios) for tool, ratios in found.items()}


def tuners(folder: Path, python: Path, runs: int) -> list[dict[str, Any]]:
    """Let the search of `ort.optimize` and Olive's tuning find options with as many calls, and hold both together."""
    found = []
    for seed in range(runs):
        for name, write in SEARCHED.items():
            model = write(folder / f"{name}.onnx")
            asked = asked_of(model, seed)
            tried, _ = space(asked, ["CPUExecutionProvider"])
            own = search(asked, tried)
            repeat = max(1, own.calls // TRIALS - OWN)
            told = script(python, "olive_tune", str(model), str(repeat))
            theirs = {"level": LEVELS[told["level"]], "threads": told["threads"], "spinning": told["threads"] > 1}
            other = {"providers": ["CPU"], "options": theirs}
            found.append(
                {
                    "model": name,
                    "runbook": described(tried[own.winner]),
                    "olive": described(other),
                    "calls": own.calls,
                    **held_against(asked, other, tried[own.winner]),
                }
            )
            print(json.dumps(found[-1]), flush=True)
    return found


def tuned(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count who was ahead by more than 3 %."""
    ahead = [one["model"] for one in runs if one["ratio"] > 1 + APART]
    behind = [one["model"] for one in runs if one["ratio"] < 1 / (1 + APART)]
    return {
        "runs": list(runs),
        "ahead": len(ahead),
        "behind": len(behind),
        "alike": len(runs) - len(ahead) - len(behind),
    }
