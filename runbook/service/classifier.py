"""An image classifier in ONNX Runtime; classes, input shape and labels come from the model."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import ValidationError

from runbook.service.graphcache import GraphCache
from runbook.service.onnxfile import ModelFile, read_model
from runbook.service.preprocessing import Preprocessing, from_shape
from runbook.service.recommended import SessionOptions
from runbook.service.refusals import Refused
from runbook.service.sessions import Opened, open_session

TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Runtime:
    """How models are run: with which options, and where, by preference.

    `strict` refuses a model that is given other providers; `kept` is where optimised graphs are kept.
    """

    options: SessionOptions = field(default_factory=lambda: SessionOptions(threads=1))
    providers: tuple[str, ...] = ("CPU",)
    strict: bool = False
    kept: GraphCache | None = None


@dataclass(frozen=True, slots=True)
class Classifier:
    """A loaded model. `shape` is that of one input, without the batch dimension; a `batched` one takes several."""

    file: ModelFile
    session: Any
    options: SessionOptions
    cached: bool
    input_name: str
    dtype: str
    shape: tuple[int, ...]
    batched: bool
    output_name: str
    classes: int
    labels: tuple[str, ...]
    preprocessing: Preprocessing | None
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        """Give one row of probabilities for each input; a model that gives scores is put through softmax."""
        rows = self.run(batch)
        if not np.isfinite(rows).all():
            raise Refused(f"{self.file.path} gives numbers that are not finite", code="model")
        if (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=1e-3):
            return rows
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        result: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
        return result

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Give what the model gives, one row for each input."""
        groups = [batch] if self.batched else [batch[i : i + 1] for i in range(len(batch))]
        feeds = [{self.input_name: group.astype(self.dtype)} for group in groups]
        rows = np.concatenate([self.session.run([self.output_name], feed)[0] for feed in feeds])
        return rows.astype(np.float64).reshape(len(batch), -1)

    def warm_up(self) -> None:
        """Predict once, on zeros."""
        try:
            rows = self.probabilities(np.zeros((1, *self.shape), np.float32))
        except Refused as refused:
            raise Refused(f"{refused.detail}, for zeros", code="unsuitable") from refused
        if rows.shape[1] != self.classes:
            text = f"{self.file.path} gives {rows.shape[1]} numbers, and says that it gives {self.classes}"
            raise Refused(text, code="unsuitable")


def load_classifier(path: Path, runtime: Runtime) -> Classifier:
    """Load a model; Refused says what is wrong with the file."""
    file, content = read_model(path)
    opened = _opened(file, os.fspath(path) if content is None else content, runtime)
    session = opened.session
    if content is None:
        file.confirm()
    about = session.get_modelmeta().custom_metadata_map
    name, dtype, shape, batched = _input(path, session)
    output, classes = _output(path, session)
    return Classifier(
        file=file,
        session=session,
        options=runtime.options,
        cached=opened.cached,
        input_name=name,
        dtype=dtype,
        shape=shape,
        batched=batched,
        output_name=output,
        classes=classes,
        labels=_labels(path, about, classes),
        preprocessing=_preprocessing(path, about, shape, floating=dtype != "uint8"),
    )


def _opened(file: ModelFile, source: str | bytes, runtime: Runtime) -> Opened:
    options = runtime.options.model_dump()
    try:
        opened = open_session(source, options, runtime.providers, kept=runtime.kept, sha256=file.sha256)
    except Exception as error:  # its exceptions have no common class of their own
        reason = str(error).replace("\n", " ")[:300]
        text = (
            f"{file.path} cannot be loaded: it is damaged or no ONNX model, or one for a newer ONNX Runtime: {reason}"
        )
        raise Refused(text, code="damaged") from error
    lacking, given = ", ".join(opened.lacking), ", ".join(opened.given)
    if lacking and runtime.strict:
        raise Refused(f"the session options ask for {lacking}, and ONNX Runtime gave {given}", code="provider")
    if lacking:  # the runtime goes on without a word
        about = {"event": "provider_fallback", "providers": opened.given}
        log.warning("%s not to be had, the model runs on %s", lacking, given, extra=about)
    return opened


def _input(path: Path, session: Any) -> tuple[str, str, tuple[int, ...], bool]:
    found = session.get_inputs()
    if len(found) != 1:
        raise Refused(f"{path} takes {len(found)} inputs; an image classifier takes one", code="unsuitable")
    one = found[0]
    if one.type not in TYPES:
        raise Refused(f"{path} takes {one.type}; known are {', '.join(TYPES)}", code="unsuitable")
    batch, *shape = one.shape or [None]
    if not shape or not all(isinstance(length, int) and length > 0 for length in shape):
        raise Refused(f"{path} takes {one.shape}; every length but the first must be a fixed number", code="unsuitable")
    if isinstance(batch, int) and batch != 1:
        raise Refused(f"{path} takes batches of {batch} only; export it for one or for any number", code="unsuitable")
    return one.name, TYPES[one.type], tuple(shape), not isinstance(batch, int)


def _output(path: Path, session: Any) -> tuple[str, int]:
    """Give the output with a score for each class: the first of numbers with two dimensions."""
    for one in session.get_outputs():
        if one.type in TYPES and one.shape and len(one.shape) == 2 and isinstance(one.shape[1], int):
            return one.name, one.shape[1]
    shapes = [one.shape for one in session.get_outputs()]
    raise Refused(
        f"{path} gives {shapes}; a classifier gives [batch, classes], classes a fixed number", code="unsuitable"
    )


def _labels(path: Path, about: dict[str, str], classes: int) -> tuple[str, ...]:
    labels = _metadata(path, about, "labels", [str(number) for number in range(classes)])
    if not isinstance(labels, list) or len(labels) != classes or not all(isinstance(name, str) for name in labels):
        raise Refused(f"{path} has {classes} classes, and its metadata `labels` must name each", code="unsuitable")
    return tuple(labels)


def _preprocessing(
    path: Path, about: dict[str, str], shape: tuple[int, ...], *, floating: bool
) -> Preprocessing | None:
    written = _metadata(path, about, "preprocessing", None)
    if written is None:
        return from_shape(shape, scale=1 / 255 if floating else 1)
    try:
        found = Preprocessing.model_validate(written)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, ("preprocessing", *first["loc"])))
        raise Refused(f"the metadata `{place}` of {path}: {first['msg']}", code="unsuitable") from error
    if found.apply(Image.new("L", (1, 1))).shape != shape:
        raise Refused(
            f"the metadata `preprocessing` of {path} does not make its shape {list(shape)}", code="unsuitable"
        )
    return found


def _metadata(path: Path, about: dict[str, str], key: str, default: Any) -> Any:
    if key not in about:
        return default
    try:
        return json.loads(about[key])
    except ValueError as error:
        raise Refused(f"the metadata `{key}` of {path} is no JSON: {error}", code="unsuitable") from error
