"""Models in ONNX Runtime, loaded as the service loads them, and the calls of them that are measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runbook.measure.feeds import Input, signature
from runbook.measure.refusals import Refused
from runbook.service.graphcache import GraphCache, usual_folder
from runbook.service.onnxfile import read_model
from runbook.service.sessions import PROVIDERS, Opened, open_session

DAMAGED = "it is no ONNX model, or not the whole of one: copy it again, and compare its SHA-256 with the original's"


@dataclass(frozen=True, slots=True)
class OrtModel:
    """A loaded model, with what is to be told of it."""

    path: str
    session: Any
    inputs: list[Input]
    preprocessing: str | None
    told: dict[str, Any]
    cuda_graph: bool = False

    def call(self, feed: Mapping[str, np.ndarray]) -> Callable[[], Any]:
        """Give the call that is measured. With CUDA inputs and outputs are bound; on a CPU that gains nothing."""
        names = [one.name for one in self.session.get_outputs()]
        if self.session.get_providers()[0] == PROVIDERS["CPU"]:
            run, given = self.session.run, dict(feed)
            return lambda: run(names, given)
        if self.cuda_graph:
            return self._captured(names, feed)
        binding = self.session.io_binding()
        for name, value in feed.items():
            binding.bind_cpu_input(name, value)
        for name in names:
            binding.bind_output(name)
        return lambda: self.session.run_with_iobinding(binding)

    def _captured(self, names: list[str], feed: Mapping[str, np.ndarray]) -> Callable[[], Any]:
        """Bind inputs and outputs to places on the GPU that stay, as a CUDA graph wants it; each batch has its own."""
        import onnxruntime as ort

        apart, captured = ort.RunOptions(), ort.RunOptions()
        apart.add_run_config_entry("gpu_graph_id", "-1")  # run as it is, to see what the outputs look like
        captured.add_run_config_entry("gpu_graph_id", str(len(next(iter(feed.values())))))
        found = self.session.run(names, dict(feed), apart)
        binding = self.session.io_binding()
        for name, value in feed.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(value, "cuda", 0))
        for name, value in zip(names, found, strict=True):
            place = ort.OrtValue.ortvalue_from_shape_and_type(value.shape, value.dtype, "cuda", 0)
            binding.bind_ortvalue_output(name, place)
        return lambda: self.session.run_with_iobinding(binding, captured)

    def outputs(self, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found: list[np.ndarray] = self.session.run(None, dict(feed))
        return found


def load(candidate: Mapping[str, Any]) -> OrtModel:
    """Load a candidate's model; Refused says what is wrong with it, or which provider was required and not given."""
    import onnxruntime as ort

    path, options = candidate["model"], candidate.get("options") or {}
    wanted = candidate.get("providers") or ["CPU"]
    try:
        opened, seconds = _opened(candidate, path, options, wanted)
    except Exception as error:  # its exceptions have no common class of their own
        reason = str(error).replace("\n", " ")[:300]
        hint = DAMAGED if "PROTOBUF" in reason else None
        raise Refused(f"{path} cannot be loaded by ONNX Runtime: {reason}", hint=hint) from error
    session, given, lacking = opened.session, opened.given, opened.lacking
    if lacking and candidate.get("require"):
        raise Refused(
            f"{' and '.join(lacking)} was required for {path}, and ONNX Runtime gave {', '.join(given)}",
            hint="install `runbook[gpu]` on a machine with a GPU, or leave out `require`",
        )
    told = {"asked": list(wanted), "given": given, "lacking": lacking, "load_seconds": seconds}
    told["declined"] = [name for name in lacking if PROVIDERS[name] in ort.get_available_providers()]
    told["graph"] = "kept" if opened.cached else "made"
    about = session.get_modelmeta().custom_metadata_map
    told["labels"] = about.get("labels")
    inputs = signature(path, session.get_inputs(), candidate.get("dims") or {})
    return OrtModel(path, session, inputs, about.get("preprocessing"), told, bool(options.get("cuda_graph")))


def _opened(
    candidate: Mapping[str, Any], path: str, options: Mapping[str, Any], wanted: Sequence[str]
) -> tuple[Opened, float]:
    """Open the session, with a graph that was kept where the candidate says so; also gives the seconds that it took."""
    import onnxruntime  # noqa: F401 - importing it is no part of loading a model

    source: str | bytes = path
    kept, sha256 = None, None
    if candidate.get("cache"):
        kept = GraphCache(usual_folder())
        file, content = read_model(Path(path))
        source, sha256 = content or path, file.sha256

    def timed() -> tuple[Opened, float]:
        began = time.perf_counter()
        opened = open_session(source, options, wanted, kept=kept, sha256=sha256)
        return opened, time.perf_counter() - began

    opened, seconds = timed()
    if kept is not None and not opened.cached:  # from now on it is kept
        opened, seconds = timed()
    return opened, seconds
