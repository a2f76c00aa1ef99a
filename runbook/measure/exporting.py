"""Exports a torch model to ONNX, and lets it pass only if both give the same."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from runbook.measure.feeds import Input, synthetic
from runbook.measure.graphs import check
from runbook.measure.refusals import Refused
from runbook.measure.telling import tell
from runbook.measure.torchengine import read_module, torch_module

INPUT, OUTPUT, BATCH = "input", "output", "batch"


def export(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Write the model, weights and all, to the one file `asked["model_out"]`, and give the report."""
    torch = torch_module()
    module = read_module(asked["model"])
    shape = tuple(asked["shape"])
    given = synthetic([Input(INPUT, "float32", shape)], 2, asked["seed"])[INPUT]
    with torch.no_grad():
        try:
            wanted = module(torch.from_numpy(given)).numpy()
        except Exception as error:  # whatever a model raises of inputs that do not fit
            reason = str(error).strip().splitlines()[:1]
            raise Refused(f"{asked['model']} cannot be run on {[2, *shape]}: {''.join(reason)}"[:400]) from error
    path = Path(asked["model_out"])
    tell(f"exporting {asked['model']}")
    _export(torch, module, given, path, asked)
    made = check({"model": str(path)})
    difference = _difference(path, given, wanted)
    if difference > asked["max_difference"]:
        raise Refused(f"the ONNX model differs from the torch model by up to {difference:.4g}")
    told = {name: made[name] for name in ("opset", "inputs", "outputs", "operators")}
    return {"schema": "runbook.export/1", "created": asked["created"], "difference": difference, **told}


def _export(torch: Any, module: Any, given: np.ndarray, path: Path, asked: Mapping[str, Any]) -> None:
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (torch.from_numpy(given),),
                str(path),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim(BATCH)},) if asked["dynamic"] else None,
                opset_version=asked["opset"],
                external_data=False,  # one file is copied, released and reloaded whole; two can be parted
                verbose=False,
            )
    except Exception as error:  # the exporter's exceptions have no common class of their own
        reason = str(error).strip().splitlines()[:1]
        raise Refused(
            f"{asked['model']} cannot be exported: {type(error).__name__}: {''.join(reason)}"[:400]
        ) from error
    finally:
        logging.disable(logging.NOTSET)


def _difference(path: Path, given: np.ndarray, wanted: np.ndarray) -> float:
    from runbook.measure import ortengine

    model = ortengine.load({"model": str(path)})
    found = model.outputs({model.inputs[0].name: given})[0]
    return float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max())
