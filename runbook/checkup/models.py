"""What models are run by: the extras, the wheels of ONNX Runtime, and the providers that can really be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runbook.checkup.finding import Finding
from runbook.value import frozen

# Each brings the module `onnxruntime`, so one overwrites the other.
WHEELS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-migraphx",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
    "onnxruntime-rocm",
)
PATIENCE_S = 20.0
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
USED = (CPU, CUDA, "TensorrtExecutionProvider")  # some wheels list others, as Azure, which nothing here can ask for
NVIDIA = ("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/dxg")
NEED_GPU = "pip install 'onnxruntime-gpu[cuda,cudnn]', and a driver that is new enough for it"


def extras(_home: Path) -> Iterator[Finding]:
    """Look for the packages of each extra, and say what asks for those that are not there."""
    from runbook.plan.extras import MODULES
    from runbook.registry import Registry

    users = defaultdict(list, {"serve": ["`runbook service`"]})
    for summary in sorted(set(Registry().summaries())):
        for extra in summary.extra.split(","):
            users[extra].append(summary.name)
    for extra, modules in MODULES.items():
        name = f"extra {extra}"
        lacking = [module for module in modules if not _there(module)]
        if not lacking:
            yield Finding(name, "ok", ", ".join(modules))
            continue
        text = f"{' and '.join(lacking)} not installed; asked for by {', '.join(users[extra]) or 'nothing yet'}"
        # The extra `onnx` would overwrite the wheel that is there.
        brought = "gpu" if extra == "onnx" and _version("onnxruntime-gpu") else extra
        hint = f"pip install 'runbook[{brought}]'"
        yield Finding(name, "warn", text, hint + (", or [gpu] for an NVIDIA GPU" if brought == "onnx" else ""))


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # a broken package that somebody has imported
        return False


def runtimes(_home: Path) -> Iterator[Finding]:
    """Count the wheels that bring the one module `onnxruntime`."""
    found = {name: version for name in WHEELS if (version := _version(name))}
    text = " and ".join(f"{name} {version}" for name, version in found.items())
    if len(found) > 1:
        hint = f"pip uninstall -y {' '.join(found)}; then install one of them"
        yield Finding("onnxruntime", "fail", f"{text} overwrite each other's files", hint)
    elif found:
        yield Finding("onnxruntime", "ok", text)


def _version(wheel: str) -> str | None:
    try:
        return metadata.version(wheel)
    except metadata.PackageNotFoundError:
        return None


def usable_providers(_home: Path) -> Iterator[Finding]:
    """Make a session on each provider that ONNX Runtime lists, in a process of its own, which may crash."""
    if not _there("onnxruntime"):
        return
    tried = try_providers()
    if tried.broken:
        yield Finding("onnxruntime", "fail", f"cannot be imported: {tried.broken}", "pip install --force-reinstall it")
        return
    gpu = any(map(os.path.exists, NVIDIA))
    for provider, trouble in tried.troubles.items():
        if provider in USED:
            yield _provider(provider, trouble, gpu=gpu)
    if gpu and CUDA not in tried.listed:
        text = "there is an NVIDIA GPU, and this ONNX Runtime has no CUDA"
        yield Finding("provider CUDA", "warn", text, f"pip uninstall -y onnxruntime; {NEED_GPU}")


@frozen
class Tried:
    """The listed providers, and what is wrong with each (None: nothing); of those behind a crash nothing is known."""

    listed: Sequence[str]
    troubles: Mapping[str, str | None]
    broken: str | None = None

    @property
    def usable(self) -> list[str]:
        return [name for name in self.listed if self.troubles.get(name, "not tried") is None]


def try_providers() -> Tried:
    """Let `runbook.measure.usable` try them."""
    told, ending = _told_by([sys.executable, "-P", "-m", "runbook.measure.usable"])
    listed: Sequence[str] = next((one["listed"] for one in told if "listed" in one), ())
    if not listed:
        return Tried((), {}, next((one["broken"] for one in told if "broken" in one), ending))
    troubles = {one["provider"]: one["trouble"] for one in told if "provider" in one}
    untold = next((name for name in listed if name not in troubles), None)
    return Tried(listed, troubles if untold is None else {**troubles, untold: ending})


def _told_by(argv: Sequence[str]) -> tuple[list[Mapping[str, Any]], str]:
    """Give what the process has told, line by line, and how it ended."""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=PATIENCE_S, check=False)
        out, ending = done.stdout, f"the process that tried ended with {done.returncode}"
        if done.returncode < 0:
            ending = f"the process that tried was killed by signal {-done.returncode}"
    except subprocess.TimeoutExpired as late:
        out, ending = late.stdout or b"", f"no answer within {PATIENCE_S:g} s"
    whole = out.decode("utf-8", "replace").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()], ending


def _provider(provider: str, trouble: str | None, *, gpu: bool) -> Finding:
    short = provider.removesuffix("ExecutionProvider").replace("Tensorrt", "TensorRT")
    if trouble is None:
        return Finding(f"provider {short}", "ok", "a session runs on it")
    serious = provider == CPU or (provider == CUDA and gpu)
    text = f"listed, and not usable: {trouble}"
    if provider == CUDA:
        return Finding(f"provider {short}", "fail" if serious else "warn", text, NEED_GPU)
    hint = "reinstall ONNX Runtime" if provider == CPU else f"models that ask for {short} run elsewhere: do not ask"
    return Finding(f"provider {short}", "fail" if serious else "warn", text, hint)
