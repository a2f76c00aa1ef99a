"""What a model is given: the service's own preprocessing on real images, or synthetic tensors of its signature."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from runbook.measure.refusals import Refused
from runbook.units import human_bytes

MADE_OF = 12  # bytes of memory that a number takes while it is made: as a double, and as a float
SMALLER = "measure smaller `batches`"

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a model; `shape` is that of one sample. `batch` is None where any number is taken at once."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    batch: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape), "batch": self.batch}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Input:
        return cls(told["name"], told["dtype"], tuple(told["shape"]), told["batch"])


def signature(model: str, found: Sequence[Any], dims: Mapping[str, int]) -> list[Input]:
    """Give a session's inputs; `dims` says the lengths that the model leaves open, by their names."""
    inputs = []
    for one in found:
        if one.type not in DTYPES:
            raise Refused(f"{model}: its input {one.name!r} is {one.type}, of which no synthetic values can be made")
        batch, *rest = one.shape or [1]
        shape = []
        for number, length in enumerate(rest, 1):
            known = length if isinstance(length, int) else dims.get(str(length))
            if known is None:
                named = length or f"dimension {number}"
                raise Refused(
                    f"{model}: its input {one.name!r} leaves the length {named!r} open",
                    hint=f"say it: `dims: {{{named}: 128}}`",
                )
            shape.append(known)
        inputs.append(Input(one.name, DTYPES[one.type], tuple(shape), batch if isinstance(batch, int) else None))
    return inputs


def allowed_batch(model: str, inputs: Sequence[Input], batch: int) -> None:
    """Raise Refused where the model takes another number of samples at once only."""
    for one in inputs:
        if one.batch is not None and one.batch != batch:
            hint = f"measure `batches: [{one.batch}]`, or export it with a dynamic batch"
            raise Refused(f"{model} takes batches of {one.batch} only, not of {batch}", hint=hint)
    wanted = sum(batch * math.prod(one.shape) * MADE_OF for one in inputs)
    if wanted > (free := psutil.virtual_memory().available):
        text = f"{model}: the inputs of a batch of {batch} take {human_bytes(wanted)}, and {human_bytes(free)} are free"
        raise Refused(text, hint=SMALLER)


def synthetic(inputs: Sequence[Input], batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Make values of the right types and shapes, the same for every candidate."""
    generator = np.random.default_rng(seed)
    made = {}
    for one in inputs:
        shape = (batch, *one.shape)
        if one.dtype.startswith("float"):
            made[one.name] = generator.standard_normal(shape).astype(one.dtype)
        else:  # small numbers: any embedding has a row for them, any mask takes them
            made[one.name] = generator.integers(0, 2, shape).astype(one.dtype)
    return made


def from_images(
    inputs: Sequence[Input], files: Sequence[str], batch: int, preprocessing: str | None
) -> dict[str, np.ndarray]:
    """Prepare images as the service does, taking them in turn; `preprocessing` is the model's metadata, as JSON."""
    one = inputs[0]
    how = _preparing(inputs, preprocessing)
    chosen = [files[number % len(files)] for number in range(batch)]
    prepared = {path: _prepared(path, how) for path in dict.fromkeys(chosen)}
    stacked = np.stack([prepared[path] for path in chosen]).astype(one.dtype)
    if stacked.shape[1:] != one.shape:
        raise Refused(f"images are prepared as {stacked.shape[1:]}, and the model takes {one.shape}")
    return {one.name: np.ascontiguousarray(stacked)}


def _preparing(inputs: Sequence[Input], preprocessing: str | None) -> Any:
    from pydantic import ValidationError

    from runbook.service.preprocessing import Preprocessing, from_shape

    if len(inputs) != 1:
        raise Refused(
            f"images can be given to a model with one input, and this has {len(inputs)}", "leave out `inputs`"
        )
    try:
        written = None if preprocessing is None else Preprocessing.model_validate(json.loads(preprocessing))
    except (ValidationError, ValueError) as error:
        raise Refused(f"the model's metadata `preprocessing` cannot be read: {error}") from error
    how = written or from_shape(inputs[0].shape, 1 if inputs[0].dtype == "uint8" else 1 / 255)
    if how is None:
        raise Refused(f"an input of shape {inputs[0].shape} is no image", hint="leave out `inputs`")
    return how


def _prepared(path: str, how: Any) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            array: np.ndarray = how.apply(image)
            return array
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Refused(f"{Path(path)} is no image that can be read: {error}") from error
