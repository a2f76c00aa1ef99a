"""Finds the session options under which a model is fastest: by a race in rungs, then proven against the default."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from runbook.checkup.models import try_providers
from runbook.measure import machine
from runbook.measure.bench import compared, throughput
from runbook.measure.crew import Hand
from runbook.measure.racing import Race, race
from runbook.measure.refusals import Refused
from runbook.measure.rounds import Samples
from runbook.measure.searching import lapper, loadable
from runbook.measure.telling import compared_table, option_words, table, tell
from runbook.measure.timing import restarted
from runbook.service.sessions import PROVIDERS

SEARCHED = 0.7  # the share of the budget that the search may take; the rest is the final's
DEFAULT = {"providers": ["CPU"], "options": {"level": "all", "spinning": True}}  # what ONNX Runtime does by itself
NEEDED = (
    "on a machine with an NVIDIA GPU: pip uninstall -y onnxruntime; pip install 'runbook[gpu]'; then `runbook doctor` "
    "tries it; elsewhere leave out `require`"
)

Configuration = dict[str, Any]


def space(
    asked: Mapping[str, Any], available: Sequence[str], why: Mapping[str, str | None] = MappingProxyType({})
) -> tuple[list[Configuration], list[str]]:
    """Give every configuration that makes sense here, and say what was left out; `why` a listed provider is no use."""
    notes, found = [], []
    for providers in asked["providers"]:
        lacking = [name for name in providers if PROVIDERS[name] not in available]
        if lacking:
            reasons = "; ".join(reason for name in lacking if (reason := why.get(PROVIDERS[name])))
            text = f"{' and '.join(lacking)} is not to be had here{f' ({reasons})' if reasons else ''}"
            if asked.get("require"):
                raise Refused(f"{','.join(providers)} was required, and {text}", hint=NEEDED)
            notes.append(f"{','.join(providers)} is skipped: {text}")
            continue
        workspaces = asked["workspace"] if "CUDA" in providers else [None]
        names = ("level", "threads", "spinning", "parallel", "inter_threads", "arena")
        for values in itertools.product(*(asked[name] for name in names), workspaces):
            options = dict(zip((*names, "workspace"), values, strict=True))
            if options["spinning"] and options["threads"] == 1 and not options["parallel"]:
                continue  # there is no thread that could spin
            if options["inter_threads"] and not options["parallel"]:
                continue  # these threads are for parallel execution only
            found.append({"providers": list(providers), "options": options})
    if PROVIDERS["TensorRT"] in available and not any("TensorRT" in one for one in asked["providers"]):
        notes.append("TensorRT is there and was not asked for: `providers: ['TensorRT,CUDA', CUDA, CPU]`")
    if not found:
        raise Refused("nothing is left to try", hint="; ".join(notes) or "give more `levels` or `threads`")
    return found, notes


def optimise(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Search, prove the winner against the default in processes of their own, and give the report."""
    tried, notes = space(asked, *_providers(asked))
    before = machine.moment()
    tell(f"{len(tried)} configurations, {asked['budget']:g} s")
    searched = search(asked, tried)
    if not searched.ended:
        notes.append("the budget was over before the search was: the best so far was taken; give it more")
    winner = tried[searched.winner]
    found, samples = _final(asked, winner)
    noise = machine.noise(before, machine.moment(), 0, 0)
    better = found["verdict"] == "better"
    if not better:
        notes.append("nothing tried is faster than ONNX Runtime's default, as far as can be told: keep what you have")
    best = winner if better else {}  # whoever is given nothing changes nothing
    return {
        "schema": "runbook.optimize/1",
        "created": asked["created"],
        "environment": machine.fingerprint(),
        "noise": noise,
        "model": asked["model"],
        "sha256": asked["sha256"],
        "batch": asked["batch"],
        "configurations": tried,
        "rungs": searched.rungs,
        "calls": searched.calls,
        "winner": winner,
        "best": {"model": asked["model"], **best},
        "speedup": found["ratio"] if better else 1.0,
        "interval": found["interval"] if better else [1.0, 1.0],
        "final": found,
        "throughput": throughput(samples["winner" if better else "default"], asked["batch"]),
        "margin": asked["margin"],
        "advice": _advice(winner, found) if better else f"keep what you have: {notes[-1].partition(',')[0]}",
        "notes": notes,
    }


def _advice(winner: Configuration, found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    times = f"{found['ratio']:.3g} times as fast as ONNX Runtime's default ({low:.3g} to {high:.3g})"
    return f"{described(winner)}: {times}"


def tables(report: Mapping[str, Any]) -> str:
    """Draw a report: the search, the final, and what is recommended."""
    parts = [
        _ranking(report["configurations"], report["rungs"]),
        compared_table([report["final"]], report["margin"]),
        f"recommended: {report['advice']}",
    ]
    return "\n".join([*parts, *(f"note: {note}" for note in report["notes"])])


def _providers(asked: Mapping[str, Any]) -> tuple[Sequence[str], Mapping[str, str | None]]:
    """Give the providers that can be used, and what is wrong with the rest: sessions would silently run elsewhere."""
    import onnxruntime as ort

    listed = ort.get_available_providers()
    if not {PROVIDERS[name] for one in asked["providers"] for name in one} & set(listed) - {PROVIDERS["CPU"]}:
        return listed, {}
    tried = try_providers()
    return tried.usable, tried.troubles


def search(asked: Mapping[str, Any], tried: Sequence[Configuration]) -> Race:
    """Find the fastest in rungs of paired rounds; scores are how many times as fast as the default."""
    until = time.monotonic() + asked["budget"] * SEARCHED
    found = race(
        len(tried),
        lapper(asked, tried, DEFAULT),
        most=asked.get("calls"),
        over=lambda: time.monotonic() > until,
    )
    rungs = [
        {"rounds": one["rounds"], "scores": {k: math.exp(v) for k, v in one["scores"].items()}} for one in found.rungs
    ]
    return replace(found, rungs=rungs)


def _final(asked: Mapping[str, Any], winner: Configuration) -> tuple[dict[str, Any], dict[str, Samples]]:
    """Hold the winner against the default, each in a process of its own."""
    tell(f"final: {described(winner)} against the default, {asked['rounds']} rounds")
    each = {"default": DEFAULT, "winner": winner}

    def load(hands: Mapping[str, Hand]) -> dict[str, dict[str, Any]]:
        return {name: hand.load(name, loadable(asked, each[name])) for name, hand in hands.items()}

    found = restarted(list(each), load, {**asked, "batches": [asked["batch"]]})
    samples = found.samples[asked["batch"]]
    times = [samples[name].times for name in each]
    return compared("default", "winner", asked["batch"], times[0], times[1], asked["margin"], found.starts), samples


def described(one: Configuration) -> str:
    """Say a configuration in a line."""
    return f"{','.join(one['providers'])}: {option_words(one['options'])}"


def _ranking(tried: Sequence[Configuration], rungs: Iterable[Mapping[str, Any]]) -> str:
    """Draw how far each configuration came, the furthest first."""
    last: dict[int, tuple[int, float]] = {}
    for rung, one in enumerate(rungs, 1):
        last |= {number: (rung, score) for number, score in one["scores"].items()}
    ranked = sorted(last.items(), key=lambda item: (-item[1][0], -item[1][1]))
    rows = [[described(tried[number]), str(rung), f"{score:.3f}"] for number, (rung, score) in ranked[:12]]
    return table("The search", ("configuration", "rung", "times the default"), rows)
