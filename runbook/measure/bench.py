"""Measures candidates side by side, in paired rounds, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from runbook.checkup.models import NVIDIA
from runbook.measure import machine
from runbook.measure.crew import Hand
from runbook.measure.feeds import Input, allowed_batch
from runbook.measure.judging import unlike
from runbook.measure.refusals import Refused
from runbook.measure.rounds import Samples
from runbook.measure.statistics import latency, paired_ratio, rate_with_interval
from runbook.measure.telling import tell
from runbook.measure.timing import restarted

SHAPELESS = "say what it takes: `shape: [3, 224, 224]`, or measure it beside the ONNX model of the same inputs"

ANOTHER = (
    "measure it by itself; if it is to take the other's place: a new baseline, by gate.yml -e renew=true or bench.infer"
)


def bench(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Run the whole measurement and give its report; raises Refused before anything is measured."""
    candidates: list[dict[str, Any]] = asked["candidates"]
    notes: list[str] | None = None

    def load(hands: Mapping[str, Hand]) -> dict[str, dict[str, Any]]:
        nonlocal notes
        told = _load(candidates, hands, asked)
        if notes is None:
            notes = _notes(told) + _strangers(told, refuse=bool(asked.get("alike")))
            notes += unlike(hands, told, asked) if asked.get("same") else []
        return told

    found = restarted([one["name"] for one in candidates], load, asked)
    told, taken = found.told, found.samples
    blocks = [block for samples in taken.values() for each in samples.values() for block in each.blocks]
    busy = sum(sum(block.times) for block in blocks)
    noise = machine.noise(*machine.between(found.spans), sum(block.switches for block in blocks), busy)
    results = [_result(name, batch, one) for batch, samples in taken.items() for name, one in samples.items()]
    comparisons = [
        one for batch, each in taken.items() for one in _compared(each, batch, asked["margin"], found.starts)
    ]
    return {
        "schema": "runbook.bench/1",
        "created": asked["created"],
        "environment": machine.fingerprint(),
        "noise": noise,
        "settings": {
            name: asked.get(name)
            for name in ("batches", "rounds", "starts", "block", "margin", "seed", "shape", "dims")
        }
        | {"images": len(asked.get("images") or ())},
        "candidates": [_candidate(one, told[one["name"]], found.peaks[one["name"]]) for one in candidates],
        "results": results,
        "comparisons": comparisons,
        "at_target": _at_target(results, asked.get("target_ms")),
        "notes": [*(notes or []), *_few(results), *_doubts(noise, comparisons)],
    }


def _load(
    candidates: Sequence[Mapping[str, Any]], hands: Mapping[str, Hand], asked: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Load all models, those of ONNX first: they say what a torch model beside them is given."""
    told: dict[str, dict[str, Any]] = {}
    ordered = sorted(candidates, key=lambda one: str(one["engine"]))  # onnx, torch
    for one in ordered:
        more: dict[str, Any] = {}
        if one["engine"] == "torch" and not one.get("inputs"):
            more = inputs_for_torch(list(told.values()), asked)
        tell(f"loading {one['name']}: {one['model']}")
        told[one["name"]] = hands[one["name"]].load(one["name"], {**one, "dims": asked.get("dims") or {}, **more})
    for name, about in told.items():
        for batch in asked["batches"]:
            allowed_batch(name, [Input.from_json(each) for each in about["inputs"]], batch)
    return told


def inputs_for_torch(told: Sequence[Mapping[str, Any]], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Say what a torch model is given: what `shape` says, or what the ONNX model beside it takes."""
    if asked.get("shape"):
        return {"inputs": [Input("input", "float32", tuple(asked["shape"])).to_json()]}
    if not told:
        raise Refused("a torch model does not say what it takes", hint=SHAPELESS)
    return {"inputs": told[0]["inputs"], "preprocessing": told[0]["preprocessing"]}


def _result(name: str, batch: int, samples: Samples) -> dict[str, Any]:
    times = [[time * 1e3 for time in block.times] for block in samples.blocks]
    count = sum(map(len, times))
    return {
        "candidate": name,
        "batch": batch,
        "calls": count,
        "latency_ms": latency(times),
        "throughput": throughput(samples, batch),
        "cpu_seconds_per_sample": sum(block.cpu for block in samples.blocks) / (count * batch),
        "rounds_ms": [time * 1e3 for time in samples.times],
    }


def throughput(samples: Samples, batch: int) -> dict[str, Any]:
    """Give the samples in a second of calls, with the interval of blocks drawn anew."""
    made = [batch * len(block.times) for block in samples.blocks]
    return rate_with_interval(made, [sum(block.times) for block in samples.blocks])


def _compared(samples: Mapping[str, Samples], batch: int, margin: float, starts: Sequence[int]) -> list[dict[str, Any]]:
    """Hold every other candidate against the first."""
    first, *others = samples
    base = samples[first].times
    return [compared(first, other, batch, base, samples[other].times, margin, starts) for other in others]


def compared(
    a: str,
    b: str,
    batch: int,
    times_a: Sequence[float],
    times_b: Sequence[float],
    margin: float,
    starts: Sequence[int] = (),
) -> dict[str, Any]:
    """Give how many times as fast b is as a, with interval and verdict; `starts` are the rounds of each start."""
    found = paired_ratio(times_a, times_b, starts=starts)
    return {
        "a": a,
        "b": b,
        "batch": batch,
        "ratio": found.ratio,
        "interval": [found.low, found.high],
        "verdict": found.verdict(margin),
        "noisy": found.noisy,
    }


def _candidate(asked: Mapping[str, Any], told: Mapping[str, Any], peak: int) -> dict[str, Any]:
    return {
        "name": asked["name"],
        "engine": asked["engine"],
        "model": asked["model"],
        "sha256": asked.get("sha256"),
        "options": asked.get("options") or {},
        "providers": {name: told[name] for name in ("asked", "given", "lacking")},
        "inputs": told["inputs"],
        "load_seconds": told["load_seconds"],
        **({"graph": told["graph"]} if "graph" in told else {}),
        "peak_bytes": peak,
    }


def _at_target(results: Sequence[Mapping[str, Any]], target: float | None) -> list[dict[str, Any]]:
    """Give each candidate's best throughput among the batches whose p95 is within the target, in milliseconds.

    `sure` says that the whole interval of that p95 is.
    """
    if target is None:
        return []
    found = []
    for name in dict.fromkeys(one["candidate"] for one in results):
        within = [one for one in results if one["candidate"] == name and one["latency_ms"]["p95"]["value"] <= target]
        best = max(within, key=lambda one: float(one["throughput"]["value"]), default=None)
        rate, p95 = best and best["throughput"]["value"], best and best["latency_ms"]["p95"]
        found.append(
            {
                "candidate": name,
                "target_ms": target,
                "batch": best and best["batch"],
                "throughput": rate,
                "p95_ms": p95,
                "sure": p95 and p95["interval"][1] <= target,
            }
        )
    return found


def _strangers(told: Mapping[str, Mapping[str, Any]], *, refuse: bool) -> list[str]:
    """Say where models take inputs of other shapes than the first: what they do is not the same work."""
    shapes = {name: sorted(tuple(one["shape"]) for one in about["inputs"]) for name, about in told.items()}
    first, *others = told
    notes = []
    for name in others:
        if shapes[name] != shapes[first]:
            takes = " and ".join(f"{each} takes {', '.join(map(str, shapes[each]))}" for each in (first, name))
            notes.append(f"{takes}: they are models of another kind, whose speeds do not compare")
    if notes and refuse:
        raise Refused(notes[0], hint=ANOTHER)
    return notes


def _notes(told: Mapping[str, Mapping[str, Any]]) -> list[str]:
    notes = []
    for name, about in told.items():
        # On a machine without a GPU, of `CUDA,CPU` the CPU is what was to be expected.
        expected = "CPU" in about["asked"] and not any(map(os.path.exists, NVIDIA))
        if missed := about.get("declined", []) if expected else about["lacking"]:
            given = ", ".join(about["given"])
            notes.append(f"{name}: {' and '.join(missed)} asked for and not there; it ran on {given}")
    return notes


def _few(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say where there were too few calls for the 99th percentile to be more than the slowest of them."""
    few = [one for one in results if one["calls"] < 100]
    fewest = min((one["calls"] for one in few), default=0)
    return [f"p99 is the slowest of so few calls ({fewest} at least): raise `rounds` or `block`"] if few else []


def _doubts(noise: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say where noise has kept the measurement from an answer."""
    notes = [f"the machine was busy: {'; '.join(noise['why'])}"] if noise["noisy"] else []
    vague = [one for one in comparisons if one["noisy"] and one["verdict"] == "inconclusive"]
    if vague:
        notes.append(
            f"too noisy to conclude in {len(vague)} of {len(comparisons)} comparisons: raise `rounds`, or wait"
        )
    return notes
