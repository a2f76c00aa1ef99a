"""Exports a torch model to ONNX, and lets it pass only if both give the same numbers."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from runbook.measure.feeds import Input, synthetic
from runbook.measure.graphs import check
from runbook.measure.refusals import Refused
from runbook.measure.telling import tell
from runbook.measure.torchengine import read_module, torch_module

INPUT, OUTPUT, BATCH = "input", "output", "batch"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def export(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Write the model, weights and all, to the one file `asked["model_out"]`, and give the report."""
    torch = torch_module()
    module = read_module(asked["model"])
    # Two sizes where any may come: what was made for one alone is found out by the other.
    sizes = (2, 3) if asked["dynamic"] else (asked["batch"],)
    one = Input(INPUT, "float32", tuple(asked["shape"]))
    given = [synthetic([one], size, asked["seed"])[INPUT] for size in sizes]
    wanted = [_answer(torch, module, some, asked["model"]) for some in given]
    path = Path(asked["model_out"])
    tell(f"exporting {asked['model']}")
    with _silenced(asked["model"]):
        if isinstance(module, torch.jit.ScriptModule):
            _of_script(torch, module, torch.from_numpy(given[0]), path, asked)
        else:
            _of_module(torch, module, torch.from_numpy(given[0]), path, asked)
    made = check({"model": str(path)})
    difference = max(_difference(path, some, right) for some, right in zip(given, wanted, strict=True))
    if not difference <= asked["max_difference"]:  # nor where it is no number
        raise Refused(f"the ONNX model differs from the torch model by up to {difference:.4g}")
    told = {name: made[name] for name in ("opset", "inputs", "outputs", "operators")}
    return {"schema": "runbook.export/1", "created": asked["created"], "difference": difference, **told}


def _answer(torch: Any, module: Any, given: np.ndarray, name: str) -> np.ndarray:
    """Run the torch model; raises Refused for inputs that do not fit."""
    try:
        with torch.no_grad():
            found = module(torch.from_numpy(given))
    except Exception as error:  # whatever a model raises
        hint = "is `shape` that of one sample? If it takes one number of samples only: `dynamic: false` and `batch`"
        raise Refused(f"{name} cannot be run on {list(given.shape)}: {reason_of(error)}", hint=hint) from error
    if not isinstance(found, torch.Tensor):
        raise Refused(f"{name} gives {type(found).__name__}, and not one tensor", hint="export a module that gives one")
    answer: np.ndarray = found.numpy()
    return answer


def _of_module(torch: Any, module: Any, given: Any, path: Path, asked: Mapping[str, Any]) -> None:
    """Export by the graph that `torch.export` finds."""
    torch.onnx.export(
        module,
        (given,),
        str(path),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim(BATCH)},) if asked["dynamic"] else None,
        opset_version=asked["opset"],
        external_data=False,  # one file is copied, released and reloaded whole; two can be parted
        verbose=False,
    )


def _of_script(torch: Any, module: Any, given: Any, path: Path, asked: Mapping[str, Any]) -> None:
    """Export TorchScript, which `torch.export` does not read, by the older exporter."""
    torch.onnx.export(
        module,
        (given,),
        str(path),
        dynamo=False,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_axes={INPUT: {0: BATCH}, OUTPUT: {0: BATCH}} if asked["dynamic"] else None,
        opset_version=asked["opset"],
    )


@contextmanager
def _silenced(name: str) -> Iterator[None]:
    """Keep the exporters' advice to themselves; raises Refused for what they cannot do."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # the exporters' exceptions have no common class of their own
        cause = error.__cause__ or error  # what is raised tells of the exporter's steps, its cause of the model
        text = f"{name} cannot be exported: {type(cause).__name__}: {reason_of(cause)}"
        raise Refused(text, hint="what the exporter lacks can often be written otherwise in the model") from error
    finally:
        logging.disable(logging.NOTSET)


def reason_of(error: BaseException) -> str:
    """Give the first line that an exception says, without colours."""
    lines = [line.strip() for line in COLOUR.sub("", str(error)).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]


def _difference(path: Path, given: np.ndarray, wanted: np.ndarray) -> float:
    from runbook.measure import ortengine

    model = ortengine.load({"model": str(path)})
    found = model.outputs({model.inputs[0].name: given})[0]
    return float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max())
