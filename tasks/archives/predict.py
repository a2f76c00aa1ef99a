"""Loads an ONNX model and predicts once; run as a process of its own, for a damaged model may end it."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

GUESSES = (1, 224, 32)  # for sizes that a model leaves open, but that of the batch


def main(path: str, seed: int) -> dict[str, Any]:
    """Give what was found; `path` is the model's."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    began = time.perf_counter()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    loaded = time.perf_counter()
    answer, inputs, fault = None, {}, None
    for guess in GUESSES:
        inputs = {each.name: _array(each, guess, seed) for each in session.get_inputs()}
        try:
            answer = session.run(None, inputs)
        except Exception as error:  # noqa: BLE001 - the library's own kinds; the next guess may fit
            fault = fault or error
        else:
            break
    if not answer:
        raise RuntimeError(f"it loads, and does not predict: {fault or 'it has no outputs'}")
    return {
        "load_s": round(loaded - began, 4),
        "predict_s": round(time.perf_counter() - loaded, 4),
        "inputs": {name: list(array.shape) for name, array in inputs.items()},
        "outputs": [list(getattr(each, "shape", [])) for each in answer],
        "onnxruntime": onnxruntime.__version__,
    }


def _array(about: Any, guess: int, seed: int) -> Any:
    """Make an input of random numbers from 0 to 1, the same for the same seed."""
    import numpy as np

    shape = [size if isinstance(size, int) else 1 if number == 0 else guess for number, size in enumerate(about.shape)]
    kind = about.type.removeprefix("tensor(").removesuffix(")")
    if kind == "string":
        return np.full(shape, "x", dtype=object)
    kinds = {"float": "float32", "double": "float64"}
    return np.random.default_rng(seed).random(shape).astype(kinds.get(kind, kind))


if __name__ == "__main__":
    json.dump(main(sys.argv[1], int(sys.argv[2])), sys.stdout)
