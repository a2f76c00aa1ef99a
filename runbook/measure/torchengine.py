"""Models in PyTorch: TorchScript, exported programs, or what a function of a Python file gives."""

from __future__ import annotations

import runpy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runbook.measure.feeds import Input
from runbook.measure.refusals import Refused

INSTALL = "pip install 'runbook[torch]'"


def torch_module() -> Any:
    """Import torch; Refused says how to install it."""
    try:
        import torch
    except ImportError as error:
        raise Refused(f"the engine torch needs PyTorch, which cannot be imported: {error}", hint=INSTALL) from error
    return torch


@dataclass(frozen=True, slots=True)
class TorchModel:
    """A loaded model on its device, with what is to be told of it."""

    path: str
    module: Any
    device: str
    inputs: list[Input]
    preprocessing: str | None
    told: dict[str, Any]

    def call(self, feed: Mapping[str, np.ndarray]) -> Callable[[], Any]:
        """Give the call that is measured; on a GPU it ends when the GPU is through."""
        torch, module = torch_module(), self.module
        tensors = [torch.from_numpy(feed[one.name]).to(self.device) for one in self.inputs]

        def once() -> Any:
            with torch.no_grad():
                result = module(*tensors)
            if self.device == "cuda":
                torch.cuda.synchronize()
            return result

        return once

    def outputs(self, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = self.call(feed)()
        many = found if isinstance(found, list | tuple) else [found]
        return [one.detach().cpu().numpy() for one in many]


def load(candidate: Mapping[str, Any], inputs: list[Input], preprocessing: str | None) -> TorchModel:
    """Load a candidate's model. It does not say its inputs: they are the ONNX model's beside it, or `shape`."""
    torch = torch_module()
    path, wanted = candidate["model"], candidate.get("providers") or ["CPU"]
    cuda = "CUDA" in wanted and torch.cuda.is_available()
    lacking = [name for name in wanted if name != "CPU" and not (name == "CUDA" and cuda)]
    if lacking and candidate.get("require"):
        raise Refused(f"{' and '.join(lacking)} was required for {path}, and PyTorch has the CPU only")
    if threads := (candidate.get("options") or {}).get("threads"):
        torch.set_num_threads(int(threads))
    device, began = "cuda" if cuda else "cpu", time.perf_counter()
    module = read_module(path, device)
    told = {
        "asked": list(wanted),
        "given": ["CUDA" if cuda else "CPU"],
        "lacking": lacking,
        "load_seconds": time.perf_counter() - began,
    }
    return TorchModel(path, module, device, inputs, preprocessing, told)


def read_module(path: str, device: str = "cpu") -> Any:
    """Give the module of `model.pt` (TorchScript), `model.pt2` (exported) or `file.py:function`, ready to be called."""
    torch = torch_module()
    file, _, function = path.partition(".py:")
    try:
        if function:
            module = runpy.run_path(f"{file}.py")[function]()
        elif Path(path).suffix == ".pt2":
            return torch.export.load(path).module().to(device)
        else:
            module = torch.jit.load(path, map_location=device)
        return module.eval().to(device)
    except KeyError as error:
        raise Refused(f"{file}.py has no function {function!r}") from error
    except Exception as error:  # whatever a user's file or a damaged model raises
        reason = str(error).strip().splitlines()[:1]
        raise Refused(f"{path} cannot be loaded by PyTorch: {type(error).__name__}: {''.join(reason)}"[:400]) from error
