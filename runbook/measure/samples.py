"""Samples that models are judged by: labelled ones out of a `.npz` file or a folder of images, or synthetic ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runbook.measure.feeds import Input, from_images, synthetic
from runbook.measure.refusals import Refused

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
LABELS = "labels"  # the array of a `.npz` file that holds the right answers


@dataclass(frozen=True, slots=True)
class Samples:
    """What goes in, by the names of the inputs, and the right class of each; `labels` None: nobody knows."""

    feeds: dict[str, np.ndarray]
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(next(iter(self.feeds.values())))

    def part(self, start: int, stop: int) -> Samples:
        feeds = {name: values[start:stop] for name, values in self.feeds.items()}
        return Samples(feeds, None if self.labels is None else self.labels[start:stop])


def read_samples(path: Path, told: Mapping[str, Any], seed: int) -> Samples:
    """Read all samples of a `.npz` file, or of a folder with a folder for each label; in an order drawn by `seed`."""
    inputs = [Input.from_json(one) for one in told["inputs"]]
    found = _of_archive(path, inputs) if path.suffix == ".npz" else _of_folder(path, inputs, told)
    order = np.random.default_rng(seed).permutation(len(found))
    feeds = {name: values[order] for name, values in found.feeds.items()}
    return Samples(feeds, None if found.labels is None else found.labels[order])


def made_up(told: Mapping[str, Any], count: int, seed: int) -> Samples:
    """Make synthetic samples without labels."""
    return Samples(synthetic([Input.from_json(one) for one in told["inputs"]], count, seed), None)


def _of_archive(path: Path, inputs: Sequence[Input]) -> Samples:
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read as .npz: {error}") from error
    feeds = {}
    for one in inputs:
        if one.name not in arrays:
            raise Refused(
                f"{path} has no array {one.name!r}, which the model takes; it has {', '.join(arrays) or 'none'}"
            )
        if arrays[one.name].shape[1:] != one.shape:
            raise Refused(
                f"{path}: {one.name!r} is of shape {arrays[one.name].shape[1:]}, and the model takes {one.shape}"
            )
        feeds[one.name] = arrays[one.name].astype(one.dtype)
    lengths = {len(values) for values in [*feeds.values(), *([arrays[LABELS]] if LABELS in arrays else [])]}
    if len(lengths) != 1 or 0 in lengths:
        raise Refused(f"{path}: its arrays hold {sorted(lengths)} samples; they must hold equally many, and some")
    return Samples(feeds, arrays.get(LABELS))


def _of_folder(path: Path, inputs: Sequence[Input], told: Mapping[str, Any]) -> Samples:
    """Read images; the folder that each is in names its label, by the model's metadata or as a number."""
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGES)
    if not files:
        raise Refused(f"{path} holds no image", hint="write a folder with a folder for each label, or a .npz file")
    feeds = from_images(inputs, [str(file) for file in files], len(files), told["preprocessing"])
    if any(file.parent == path for file in files):
        return Samples(feeds, None)
    names = json.loads(told["labels"]) if told.get("labels") else []
    numbers = [_label(file.parent, names) for file in files]
    return Samples(feeds, np.asarray(numbers))


def _label(folder: Path, names: Sequence[str]) -> int:
    if folder.name in names:
        return names.index(folder.name)
    if folder.name.isdigit() and not names:
        return int(folder.name)
    raise Refused(
        f"{folder}: the model has no label {folder.name!r}", hint=f"its labels are {', '.join(names) or 'numbers'}"
    )
