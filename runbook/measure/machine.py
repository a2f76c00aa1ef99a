"""What a machine is and how busy it was: both belong to every number that was measured on it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

PRESSURE = 0.10  # the share of time in which something waited for a core, above which a measurement is noisy
FEATURES = frozenset({"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"})  # what INT8 and wide floats gain from
PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "torch")


def fingerprint() -> dict[str, Any]:
    """Say what the numbers depend on: cores, model of the CPU, what it can do, limits, versions."""
    cpu = _cpuinfo()
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "features": sorted(set(cpu.get("flags", "").split()) & FEATURES),
        "quota": _quota(),
        "gpus": _gpus(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _cpuinfo() -> dict[str, str]:
    """Read what Linux tells of the first core; nothing elsewhere."""
    lines = (_text("/proc/cpuinfo") or "").partition("\n\n")[0].splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _quota() -> float | None:
    """Give the cores that the control group may use; None without a limit."""
    words = (_text("/sys/fs/cgroup/cpu.max") or "max").split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0] != "max" else None


def _gpus() -> list[str]:
    """Give the name, memory and driver of each NVIDIA GPU, as their own tool tells; none without such a tool."""
    argv = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except OSError:  # another system, or one that hides it
        return None


def peak_bytes() -> int:
    """Give the most memory that this process has had.

    On Linux `ru_maxrss`, the obvious number, begins with what the process that started this one had.
    """
    for line in (_text("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


@dataclass(frozen=True, slots=True)
class Moment:
    """How busy the machine is: `waited` and `throttled` are totals in seconds, `at` is monotonic."""

    at: float
    load: float | None
    waited: float | None
    throttled: float | None


def moment() -> Moment:
    """Look at the machine now."""
    waited = throttled = None
    for line in (_text("/proc/pressure/cpu") or "").splitlines():
        if line.startswith("some"):
            waited = int(line.rpartition("total=")[2]) / 1e6
    for line in (_text("/sys/fs/cgroup/cpu.stat") or "").splitlines():
        if line.startswith("throttled_usec"):
            throttled = int(line.split()[1]) / 1e6
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Moment(time.monotonic(), load, waited, throttled)


def between(spans: Sequence[tuple[Moment, Moment]]) -> tuple[Moment, Moment]:
    """Put spans of time together as if they were one: what was done between them is not counted."""

    def total(values: Iterable[tuple[float | None, float | None]]) -> float | None:
        found = [late - early for early, late in values if early is not None and late is not None]
        return sum(found) if found else None

    took = sum(late.at - early.at for early, late in spans)
    waited = total((early.waited, late.waited) for early, late in spans)
    throttled = total((early.throttled, late.throttled) for early, late in spans)
    first = Moment(0.0, spans[0][0].load, None if waited is None else 0.0, None if throttled is None else 0.0)
    return first, Moment(took, spans[-1][1].load, waited, throttled)


def noise(before: Moment, after: Moment, switches: int, busy: float) -> dict[str, Any]:
    """Say how disturbed a measurement was; `switches` are involuntary ones of `busy` seconds of measured calls."""
    took = max(after.at - before.at, 1e-9)
    pressure = None if after.waited is None or before.waited is None else (after.waited - before.waited) / took
    throttled = None if after.throttled is None or before.throttled is None else after.throttled - before.throttled
    why = []
    if pressure is not None and pressure > PRESSURE:
        why.append(f"processes waited for a core in {min(pressure, 1):.0%} of the time")
    if throttled:
        why.append(f"the control group's quota held it up for {throttled:.1f} s")
    return {
        "seconds": round(took, 3),
        "load": [before.load, after.load],
        "cpu_pressure": None if pressure is None else round(pressure, 4),
        "throttled_seconds": throttled,
        "involuntary_switches_per_second": round(switches / busy, 1) if busy else None,
        "noisy": bool(why),
        "why": why,
    }
