"""Models in ONNX Runtime: session options out of plain values, providers asked for and compared with those given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runbook.measure.feeds import Input, signature
from runbook.measure.refusals import Refused

PROVIDERS = {
    "CPU": "CPUExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "TensorRT": "TensorrtExecutionProvider",
}
LEVELS = {
    "disable_all": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}


def session_options(options: Mapping[str, Any]) -> Any:
    """Give the session options: level, threads, inter_threads, parallel, spinning, arena, and `config` entries."""
    import onnxruntime as ort

    made = ort.SessionOptions()
    made.log_severity_level = 4  # what it would print is in the exception
    made.graph_optimization_level = getattr(ort.GraphOptimizationLevel, LEVELS[options.get("level") or "all"])
    made.intra_op_num_threads = int(options.get("threads") or 0)
    made.inter_op_num_threads = int(options.get("inter_threads") or 0)
    if options.get("parallel"):
        made.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    made.enable_cpu_mem_arena = bool(options.get("arena", True))
    for kind in ("intra_op", "inter_op"):
        made.add_session_config_entry(f"session.{kind}.allow_spinning", "1" if options.get("spinning") else "0")
    # Threads that spin on after a call would steal the cores from whoever is measured next.
    made.add_session_config_entry("session.force_spinning_stop", "1")
    for key, value in (options.get("config") or {}).items():
        made.add_session_config_entry(str(key), str(value))
    return made


def provider_list(wanted: Sequence[str], options: Mapping[str, Any], available: Sequence[str]) -> list[Any]:
    """Give the providers to ask for, with the options of CUDA; those that this build lacks are left out.

    Where nothing of what is wanted is there, it is the CPU, as the service does.
    """
    cuda = {}
    if options.get("workspace") is not None:
        cuda["cudnn_conv_use_max_workspace"] = "1" if options["workspace"] else "0"
    if options.get("cuda_graph"):
        cuda["enable_cuda_graph"] = "1"
    names = [PROVIDERS[name] for name in wanted if PROVIDERS[name] in available] or [PROVIDERS["CPU"]]
    return [(name, cuda) if name == PROVIDERS["CUDA"] and cuda else name for name in names]


@dataclass(frozen=True, slots=True)
class OrtModel:
    """A loaded model, with what is to be told of it."""

    path: str
    session: Any
    inputs: list[Input]
    preprocessing: str | None
    told: dict[str, Any]

    def call(self, feed: Mapping[str, np.ndarray]) -> Callable[[], Any]:
        """Give the call that is measured. With CUDA inputs and outputs are bound; on a CPU that gains nothing."""
        names = [one.name for one in self.session.get_outputs()]
        if self.session.get_providers()[0] == PROVIDERS["CPU"]:
            run, given = self.session.run, dict(feed)
            return lambda: run(names, given)
        binding = self.session.io_binding()
        for name, value in feed.items():
            binding.bind_cpu_input(name, value)
        for name in names:
            binding.bind_output(name)
        return lambda: self.session.run_with_iobinding(binding)

    def outputs(self, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found: list[np.ndarray] = self.session.run(None, dict(feed))
        return found


def load(candidate: Mapping[str, Any]) -> OrtModel:
    """Load a candidate's model; Refused says what is wrong with it, or which provider was required and not given."""
    import onnxruntime as ort

    path, options = candidate["model"], candidate.get("options") or {}
    wanted = candidate.get("providers") or ["CPU"]
    began = time.perf_counter()
    try:
        providers = provider_list(wanted, options, ort.get_available_providers())
        session = ort.InferenceSession(path, session_options(options), providers=providers)
    except Exception as error:  # its exceptions have no common class of their own
        reason = str(error).replace("\n", " ")[:300]
        raise Refused(f"{path} cannot be loaded by ONNX Runtime: {reason}") from error
    given = session.get_providers()
    lacking = [name for name in wanted if PROVIDERS[name] not in given]
    if lacking and candidate.get("require"):
        raise Refused(
            f"{' and '.join(lacking)} was required for {path}, and ONNX Runtime gave {', '.join(given)}",
            hint="install `runbook[gpu]` on a machine with a GPU, or leave out `require`",
        )
    told = {"asked": list(wanted), "given": given, "lacking": lacking, "load_seconds": time.perf_counter() - began}
    about = session.get_modelmeta().custom_metadata_map
    told["labels"] = about.get("labels")
    inputs = signature(path, session.get_inputs(), candidate.get("dims") or {})
    return OrtModel(path, session, inputs, about.get("preprocessing"), told)
