"""Models in PyTorch: TorchScript, exported programs, or what a function of a Python file gives."""

from __future__ import annotations

import runpy
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runbook.measure.feeds import Input
from runbook.measure.refusals import Refused

INSTALL = "pip install 'runbook[torch]'"
SAVED = (
    "`torch.save` keeps weights without the network, or Python objects: save it by `torch.jit.save` or"
    " `torch.export.save`, or name a function that makes it: `file.py:function`"
)


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
        many = list(found.values()) if isinstance(found, Mapping) else found
        many = many if isinstance(many, list | tuple) else [many]
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
            return _made(Path(f"{file}.py"), function).eval().to(device)
        if Path(path).suffix == ".pt2":
            return _exported(torch, path).to(device)
        return torch.jit.load(path, map_location=device).eval()
    except Refused:
        raise
    except Exception as error:  # whatever a user's file or a damaged model raises
        if not function and "constants.pkl" in str(error):
            raise Refused(f"{path} holds no TorchScript", hint=SAVED) from error
        reason = str(error).strip().splitlines()[:1]
        raise Refused(f"{path} cannot be loaded by PyTorch: {type(error).__name__}: {''.join(reason)}"[:400]) from error


def _made(file: Path, function: str) -> Any:
    """Call the function of a user's file, which may import what stands beside it."""
    sys.path.insert(0, str(file.parent))
    found = runpy.run_path(str(file))
    if not callable(found.get(function)):
        raise Refused(f"{file} has no function {function!r}", hint="write one that gives the module, and takes nothing")
    module = found[function]()
    if not isinstance(module, torch_module().nn.Module):
        raise Refused(
            f"{file}:{function} gives {type(module).__name__}, and not a module", hint="let it return a torch.nn.Module"
        )
    return module


def _exported(torch: Any, path: str) -> Any:
    """Load an exported program; whether it trains was settled when it was exported, so one that does is refused."""
    program = torch.export.load(path)
    for node in program.graph.nodes:
        given = node.normalized_arguments(program.graph_module, normalize_to_only_use_kwargs=True)
        if given is not None and True in (given.kwargs.get("train"), given.kwargs.get("training")):
            what = str(node.target).removeprefix("aten.").partition(".")[0]
            raise Refused(
                f"{path} was exported while training: its {what} still learns or drops",
                hint="export `module.eval()`, so that it answers as it will when it serves",
            )
    return program.module()
