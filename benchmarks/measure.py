"""Runs commands in turn and measures each: seconds, CPU seconds, peak memory."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUNBOOK = str(Path(sys.executable).parent / "runbook")


@dataclass(frozen=True)
class Sample:
    """What one command cost: wall-clock and CPU seconds, peak memory in bytes, its waited-for children included."""

    seconds: float
    cpu: float
    memory: int


@dataclass(frozen=True)
class Trial:
    """A command to measure. `before` readies its files, `after` raises if it has not done its work."""

    name: str
    command: Sequence[str]
    cwd: Path
    before: Callable[[], Any] = lambda: None
    after: Callable[[], Any] = lambda: None
    env: Mapping[str, str] | None = None

    def run(self) -> Sample:
        self.before()
        log = self.cwd / "output.txt"
        # Python is left to keep its compiled modules, as it does for a user: that is for all contestants alike.
        apart = ("RUNBOOK_", "ANSIBLE_", "PYTHONDONTWRITEBYTECODE")
        env = {key: value for key, value in os.environ.items() if not key.startswith(apart)}
        with log.open("wb") as out:
            start = time.perf_counter()
            child = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env=env | dict(self.env or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f"{self.name}: {' '.join(self.command)} ended with {child.returncode}:\n{log.read_text()}")
        self.after()
        return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def interleave(trials: Sequence[Trial], rounds: int, *, warm: bool = True) -> dict[str, dict[str, float]]:
    """Run the trials in turn, round after round, so that all meet the same weather; give medians by name.

    Each round starts with another one. With `warm`, a round before them is not counted: it fills the caches.
    """
    samples: dict[str, list[Sample]] = {trial.name: [] for trial in trials}
    for turn in range(-1 if warm else 0, rounds):
        shift = turn % len(trials)
        for trial in [*trials[shift:], *trials[:shift]]:
            sample = trial.run()
            if turn >= 0:
                samples[trial.name].append(sample)
    return {name: summary(found) for name, found in samples.items()}


def summary(samples: Sequence[Sample]) -> dict[str, float]:
    return {
        "seconds": statistics.median(sample.seconds for sample in samples),
        "fastest": min(sample.seconds for sample in samples),
        "slowest": max(sample.seconds for sample in samples),
        "cpu": statistics.median(sample.cpu for sample in samples),
        "memory": max(sample.memory for sample in samples),
        "rounds": len(samples),
    }


def machine(folder: Path, versions: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Say on what was measured, the load and the file system included."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "file_system": _said(["stat", "-f", "-c", "%T", str(folder)]),
        "load": [round(load, 2) for load in os.getloadavg()],
        "versions": [_said(command) for command in versions],
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _said(command: Sequence[str]) -> str:
    """Give the first line that a command prints."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return (done.stdout or done.stderr).strip().splitlines()[0]
