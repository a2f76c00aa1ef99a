"""Sessions of ONNX Runtime: options out of plain values, providers asked for and compared with those given."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from typing import Any

from runbook.service.graphcache import GraphCache

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


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, the providers it was `given`, those of the asked ones it lacks, and if its graph was `cached`."""

    session: Any
    given: list[str]
    lacking: list[str]
    cached: bool


def open_session(
    source: str | bytes,
    options: Mapping[str, Any],
    wanted: Sequence[str],
    *,
    kept: GraphCache | None = None,
    sha256: str | None = None,
) -> Opened:
    """Open a session over a model's path or bytes; raises what the runtime raises.

    With a cache, and the SHA-256 of the bytes, the optimised graph is taken from there, or put there for next time.
    """
    if set(wanted) - {"CPU"}:
        _preload()
    key = None
    if kept is not None and isinstance(source, bytes) and len(source) <= kept.largest and sha256 is not None:
        key = kept.key(sha256, options, wanted)
    if kept is not None and key is not None:
        found = _taken(kept, key, options, wanted) or _put(kept, key, source, options, wanted)
        if found is not None:
            return found
    return _opened(source, session_options(options), options, wanted)


def _opened(
    source: str | bytes, made: Any, options: Mapping[str, Any], wanted: Sequence[str], *, cached: bool = False
) -> Opened:
    import onnxruntime as ort

    providers = provider_list(wanted, options, ort.get_available_providers())
    session = ort.InferenceSession(source, made, providers=providers)
    given = session.get_providers()
    return Opened(session, given, [name for name in wanted if PROVIDERS[name] not in given], cached)


def _taken(kept: GraphCache, key: str, options: Mapping[str, Any], wanted: Sequence[str]) -> Opened | None:
    """Open a kept graph, which is optimised already; None where there is none that is taken."""
    graph = kept.get(key)
    if graph is None:
        return None
    try:
        made = session_options({**options, "level": "disable_all"})
        found = _opened(graph, made, options, wanted, cached=True)
    except Exception:  # noqa: BLE001 - its exceptions have no common class; what it does not take is made anew
        kept.drop(key)
        return None
    return None if found.lacking else found


def _put(
    kept: GraphCache, key: str, source: str | bytes, options: Mapping[str, Any], wanted: Sequence[str]
) -> Opened | None:
    """Open a model and keep its graph; None where that fails, be it for the model or for the place."""
    try:
        with kept.room(key) as spare:
            made = session_options(options)
            if spare is not None:
                made.optimized_model_filepath = str(spare)
            found = _opened(source, made, options, wanted)
            if found.lacking and spare is not None:  # the graph is not what it would be with what was asked for
                spare.unlink(missing_ok=True)
            return found
    except Exception:  # noqa: BLE001 - without keeping it is tried once more, and what is wrong with the model told
        return None


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
    for kind in ("intra_op", "inter_op"):  # idle threads that spin steal the cores of everything else
        made.add_session_config_entry(f"session.{kind}.allow_spinning", "1" if options.get("spinning") else "0")
    # Threads that spin on after a call would steal the cores from whoever comes next.
    made.add_session_config_entry("session.force_spinning_stop", "1")
    for key, value in (options.get("config") or {}).items():
        made.add_session_config_entry(str(key), str(value))
    return made


def provider_list(wanted: Sequence[str], options: Mapping[str, Any], available: Sequence[str]) -> list[Any]:
    """Give the providers to ask for, with the options of CUDA; those that this build lacks are left out.

    Where nothing of what is wanted is there, it is the CPU.
    """
    cuda = {}
    if options.get("workspace") is not None:
        cuda["cudnn_conv_use_max_workspace"] = "1" if options["workspace"] else "0"
    if options.get("cuda_graph"):
        cuda["enable_cuda_graph"] = "1"
    names = [PROVIDERS[name] for name in wanted if PROVIDERS[name] in available] or [PROVIDERS["CPU"]]
    return [(name, cuda) if name == PROVIDERS["CUDA"] and cuda else name for name in names]


@cache
def _preload() -> None:
    """Load the libraries of CUDA that pip has brought, which are found in no other way; without any it is silent."""
    import onnxruntime as ort

    if hasattr(ort, "preload_dlls"):
        with redirect_stdout(io.StringIO()):
            ort.preload_dlls()
