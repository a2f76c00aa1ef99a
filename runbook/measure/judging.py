"""How far the answers of two models are the same, and which of them are right."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from runbook.measure.crew import Hand
from runbook.measure.refusals import Refused
from runbook.measure.samples import Samples, made_up, read_samples
from runbook.measure.statistics import upper_bound

AT_ONCE = 32  # samples that are run at once
UNLIKE = 0.01  # of the largest number: engines round differently, but not by so much


def answers(hand: Hand, key: str, samples: Samples) -> list[np.ndarray]:
    """Give what a model makes of samples, one array an output."""
    with tempfile.TemporaryDirectory() as folder:
        given, to = Path(folder, "given.npz"), Path(folder, "made.npz")
        arrays: dict[str, Any] = dict(samples.feeds)
        np.savez(given, **arrays)
        hand.ask("outputs", key=key, samples=str(given), to=str(to), batch=AT_ONCE)
        with np.load(to) as held:
            return [held[name] for name in held.files]


def judged(before: list[np.ndarray], after: list[np.ndarray], labels: np.ndarray | None) -> dict[str, Any]:
    """Compare two models' answers to the same samples; the first output is that of the classes.

    `flips` counts answers that became wrong and right; `drop` is in points; `bound` is the share of losses that is
    still likely (95 %) when so few were seen.
    """
    if [one.shape for one in before] != [one.shape for one in after]:
        shapes = " and ".join(str([one.shape[1:] for one in found]) for found in (before, after))
        raise Refused(f"the models give different shapes: {shapes}")
    first, second = (found[0].reshape(len(found[0]), -1).argmax(axis=1) for found in (before, after))
    gaps = [np.abs(one.astype(np.float64) - other.astype(np.float64)) for one, other in zip(before, after, strict=True)]
    count = len(first)
    told: dict[str, Any] = {
        "samples": count,
        "agreement": float((first == second).mean()),
        "largest_difference": float(max(gap.max() for gap in gaps)),
        "mean_difference": float(np.mean([gap.mean() for gap in gaps])),
        "labelled": labels is not None,
        "accuracy": None,
        "flips": None,
        "drop": None,
        "bound": None,
    }
    if labels is None:
        return told
    right, still = first == labels, second == labels
    lost, gained = int((right & ~still).sum()), int((~right & still).sum())
    return told | {
        "accuracy": [float(right.mean()), float(still.mean())],
        "flips": {"lost": lost, "gained": gained, "net": lost - gained},
        "drop": 100 * (lost - gained) / count,
        "bound": 100 * upper_bound(max(lost - gained, 0), count),
    }


def unlike(hands: Mapping[str, Hand], told: Mapping[str, Mapping[str, Any]], asked: Mapping[str, Any]) -> list[str]:
    """Say where two candidates that should be one model are none: then their speeds tell nothing of the engines."""
    first, second = hands
    samples = made_up(told[first], asked["batches"][0], asked["seed"])
    one, other = (answers(hands[name], name, samples)[0] for name in (first, second))
    if one.shape != other.shape:
        return [f"{first} and {second} are not the same model: they give {one.shape[1:]} and {other.shape[1:]}"]
    gap, size = np.abs(one.astype(np.float64) - other).max(), np.abs(one.astype(np.float64)).max()
    text = (
        f"{first} and {second} are not the same model: on the same inputs they differ by up to {gap:.3g} of {size:.3g}"
    )
    return [text] if gap > UNLIKE * max(size, 1e-9) else []


def samples_for(asked: Mapping[str, Any], told: Mapping[str, Any]) -> Samples:
    """Give the samples that were asked for, or synthetic ones."""
    if asked.get("samples"):
        return read_samples(Path(asked["samples"]), told, asked["seed"])
    return made_up(told, asked["count"], asked["seed"])


def compare(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Run two models on the same samples and give how far they agree; raises Refused below what is wanted."""
    with Hand() as hand:
        told = [hand.load(key, _plain(asked, asked[key])) for key in ("a", "b")]
        if [(one["name"], one["shape"]) for one in told[0]["inputs"]] != [
            (one["name"], one["shape"]) for one in told[1]["inputs"]
        ]:
            raise Refused(f"{asked['a']} and {asked['b']} take different inputs")
        samples = samples_for(asked, told[0]).part(0, asked["count"])
        before, after = (answers(hand, key, samples) for key in ("a", "b"))
    found = judged(before, after, samples.labels)
    pair = f"{asked['b']} against {asked['a']}"
    if found["agreement"] < asked["min_agreement"]:
        raise Refused(f"{pair}: they agree on {found['agreement']:.2%} of {len(samples)} samples only")
    if asked["max_difference"] is not None and found["largest_difference"] > asked["max_difference"]:
        raise Refused(f"{pair}: they differ by up to {found['largest_difference']:.4g}")
    return found


def _plain(asked: Mapping[str, Any], model: str) -> dict[str, Any]:
    return {"engine": "onnx", "model": model, "dims": asked.get("dims") or {}}
