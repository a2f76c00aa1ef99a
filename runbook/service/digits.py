"""Small real models to play with: trained on scikit-learn's digits in seconds, written as ONNX."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from runbook.console import say
from runbook.service.preprocessing import Preprocessing

SIDE = 8  # a digit has 8 x 8 pixels
HELD_OUT = 6  # one in so many digits, the last ones, is not trained on and tells the accuracy
PREPROCESSING = Preprocessing(size=(SIDE, SIDE), mode="L", layout="chw", resample="box")


@dataclass(frozen=True, slots=True)
class Written:
    """A model that was written; `accuracy` is that on digits that it was not trained on, 0 to 1."""

    path: Path
    accuracy: float
    classes: int


def write_model(
    path: Path, *, seed: int = 0, hidden: int = 64, epochs: int = 30, samples: int | None = None, classes: int = 10
) -> Written:
    """Train a network on the digits below `classes` and write it to `path`.

    Fewer `hidden` units, `epochs` or `samples` make a worse model, the same arguments the same one.
    """
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    images, digits = load_digits(classes)
    flat, seen = images.reshape(-1, SIDE * SIDE), len(images) - len(images) // HELD_OUT
    chosen = seen if samples is None else min(samples, seen)
    network = MLPClassifier((hidden,), max_iter=epochs, random_state=seed, learning_rate_init=0.01)
    # One thread: more are no faster for so little, much slower on a busy machine, and not the same to the last bit.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of stopping early, which is what was asked for
        network.fit(flat[:chosen], digits[:chosen])
    accuracy = float(network.score(flat[seen:], digits[seen:]))
    labels = [str(digit) for digit in network.classes_]
    model = _as_onnx(network.coefs_, network.intercepts_)
    about = {"labels": labels, "preprocessing": PREPROCESSING.model_dump(), "accuracy": round(accuracy, 4)}
    helper.set_model_props(model, {key: json.dumps(value) for key, value in about.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    onnx.save_model(model, beside)
    beside.replace(path)
    return Written(path, accuracy, len(labels))


def write_samples(folder: Path, *, each: int = 1, scale: int = 8, by_label: bool = False) -> list[Path]:
    """Write images of digits that no model was trained on: `digit-7-0.png` is the first seven, of scale x 8 pixels.

    With `by_label` each digit has a folder of its own, named after it.
    """
    images, digits = load_digits(10)
    written = []
    for digit in range(10):
        chosen = [image for image, shown in zip(images, digits, strict=True) if shown == digit][-each:]
        for number, image in enumerate(chosen):
            pixels = np.kron(np.rint(image * 255).astype(np.uint8), np.ones((scale, scale), np.uint8))
            place = folder / str(digit) if by_label else folder
            place.mkdir(parents=True, exist_ok=True)
            written.append(place / f"digit-{digit}-{number}.png")
            Image.fromarray(pixels).save(written[-1])
    return written


def load_digits(classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Give the images [n, 8, 8] of the digits below `classes`, from 0 to 1, and which digit each shows."""
    from sklearn import datasets

    found: Any = datasets.load_digits(n_class=classes)
    return (found.images / 16).astype(np.float32), found.target


def _as_onnx(weights: Iterable[np.ndarray], biases: Iterable[np.ndarray]) -> onnx.ModelProto:
    """Write dense layers as a graph: image [N, 1, 8, 8] in, probabilities [N, classes] out."""
    layers = list(zip(weights, biases, strict=True))
    nodes = [helper.make_node("Flatten", ["image"], ["flat"], axis=1)]
    constants, before = [], "flat"
    for number, (weight, bias) in enumerate(layers):
        last = number == len(layers) - 1
        for name, values in ((f"weight_{number}", weight), (f"bias_{number}", bias)):
            constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        dense, after = f"dense_{number}", "probabilities" if last else f"layer_{number}"
        nodes.append(helper.make_node("Gemm", [before, f"weight_{number}", f"bias_{number}"], [dense]))
        nodes.append(
            helper.make_node("Softmax", [dense], [after], axis=1)
            if last
            else helper.make_node("Relu", [dense], [after])
        )
        before = after
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, SIDE, SIDE])
    classes = len(layers[-1][1])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes])
    graph = helper.make_graph(nodes, "digits", [image], [answer], constants)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="runbook.service.digits")
    onnx.checker.check_model(model)
    return model


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(folder: Path) -> None:
    """Make models to play with in FOLDER/export, the older one less good, and images of digits in FOLDER/samples."""
    older = write_model(folder / "export/model_older.onnx", hidden=32, epochs=15, samples=400)
    good = write_model(folder / "export/model_good.onnx")
    for made in (older, good):
        say(f"{made.path}: {made.accuracy:.1%} of the digits it has not seen", sys.stdout)
    say(f"{folder / 'samples'}: {len(write_samples(folder / 'samples'))} images", sys.stdout)


if __name__ == "__main__":
    main()
