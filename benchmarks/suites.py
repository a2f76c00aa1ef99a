"""What is measured: file steps, scale, archiving of logs, start-up; each suite gives numbers by name."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.contestants import SHAPES, FilePlay, trials
from benchmarks.measure import RUNBOOK, Sample, Trial, interleave, summary
from runbook.demo_folder import log_text

DAY = 86400
# The libraries that a play cannot do without: what is above them is runbook's own.
LIBRARIES = """
import click, yaml, jinja2, pydantic
class Model(pydantic.BaseModel):
    path: str
    mode: int | None = None
"""


def file_steps(work: Path, peers: Path, *, quick: bool, only: tuple[int, ...] = ()) -> dict[str, Any]:
    """Measure 1, 10 and 100 steps of one template each, changed and unchanged, by all contestants in turn."""
    found: dict[str, Any] = {}
    sizes = ((1, 3), (10, 1)) if quick else ((1, 7), (10, 5), (100, 3))
    for count, rounds in [size for size in sizes if not only or size[0] in only]:
        both: dict[str, list[Trial]] = {"changed": [], "unchanged": []}
        for state, trial in trials(work, peers, count):
            both[state].append(trial)
        # A warming round of the first also readies the files of the second.
        for state, which in both.items():
            found[f"{count} {state}"] = interleave(which, rounds, warm=state == "changed" and count < 100)
    return found


def scale(work: Path, *, quick: bool) -> dict[str, Any]:
    """Measure runbook alone on many steps, of each shape, changed and unchanged."""
    found: dict[str, Any] = {}
    for count, rounds in ((100, 1), (1000, 1)) if quick else ((1000, 5), (10_000, 3)):
        plays = {shape: FilePlay(work / f"scale-{shape.split()[0]}-{count}", count, shape) for shape in SHAPES}
        for play in plays.values():
            play.clear()
        commands = {shape: play.runbook() for shape, play in plays.items()}
        for state in ("changed", "unchanged"):
            which = [
                Trial(shape, commands[shape], play.root, play.clear if state == "changed" else play.check, play.check)
                for shape, play in plays.items()
            ]
            found[f"{count} {state}"] = interleave(which, rounds, warm=False)
    return found


def archive(work: Path, *, quick: bool) -> dict[str, Any]:
    """Measure the compression of old logs: logs.archive, gzip and logrotate on copies of the same files.

    What a play costs before its first step is in `runbook`, and not in `runbook, the step`, which its report tells.
    """
    count, megabytes = (2, 10) if quick else (8, 64)
    master = work / "logs-master"
    master.mkdir()
    dice = random.Random(1)
    for number in range(count):
        with (master / f"api-{number}.out").open("wb") as file:
            while file.tell() < megabytes * 1e6:
                file.write(log_text(dice, 5000, time.time() - 10 * DAY))  # in pieces: memory counts as the children's
    size = sum(path.stat().st_size for path in master.iterdir())
    steps: list[float] = []
    names = [name for name in ("runbook", "gzip", "logrotate") if name == "runbook" or shutil.which(name)]
    which = [_archiver(name, work / f"logs-{name}", master, steps) for name in names]
    times = interleave(which, 1 if quick else 3, warm=False)
    times["runbook, the step"] = summary([Sample(step, 0, 0) for step in steps])
    for name, one in times.items():
        packed = (work / f"logs-{name.split(',')[0]}").rglob("*.gz")
        one |= {
            "ratio": sum(path.stat().st_size for path in packed) / size,
            "megabytes_per_second": size / 1e6 / one["seconds"],
        }
    return {"bytes": size, "files": count, "times": times}


def _archiver(name: str, folder: Path, master: Path, steps: list[float]) -> Trial:
    logs = folder / "logs"
    (folder / "conf").mkdir(parents=True)
    (folder / "conf/logrotate").write_text(f'"{logs}/*.out" {{\n  rotate 1\n  compress\n  su root root\n}}\n')
    (folder / "conf/play.yml").write_text(
        "- hosts: localhost\n  steps:\n"
        f'    - logs.archive: {{directory: "{logs}", patterns: ["*.out"], compress_after: 7d, delete_after: 30d}}\n'
    )
    commands = {
        "runbook": [RUNBOOK, "play", "conf/play.yml", "--state-dir", str(folder / "state"), "--report", "report.json"],
        "gzip": ["sh", "-c", "exec gzip logs/*.out"],
        "logrotate": [shutil.which("logrotate") or "logrotate", "-f", "-s", "conf/state", "conf/logrotate"],
    }

    def before() -> None:
        shutil.rmtree(logs, ignore_errors=True)
        shutil.copytree(master, logs)
        for path in logs.iterdir():
            os.utime(path, (time.time() - 10 * DAY,) * 2)
        os.sync()  # or the first to run would pay for the writing of all copies

    def after() -> None:
        packed = sorted(logs.rglob("*.gz"))
        if len(packed) != len(list(master.iterdir())) or list(logs.glob("*.out")):
            raise SystemExit(f"{name} has not archived {logs}")
        for path in packed:
            with gzip.open(path) as stream, (master / f"{path.name.split('.')[0]}.out").open("rb") as original:
                if any(piece != stream.read(2**20) for piece in iter(lambda: original.read(2**20), b"")):
                    raise SystemExit(f"{name} has spoilt {path}")
        if name == "runbook":
            steps.append(json.loads((folder / "report.json").read_text())["steps"][0]["duration_s"])

    return Trial(name, commands[name], folder, before, after)


def start_up(work: Path, *, quick: bool) -> dict[str, Any]:
    """Measure what is paid before the first step: --version, --help, an empty play, beside bare Python."""
    folder = work / "start-up"
    folder.mkdir()
    (folder / "empty.yml").write_text("- hosts: localhost\n  steps:\n    - debug: {msg: hello}\n")
    (folder / "libraries.py").write_text(LIBRARIES)
    one = FilePlay(folder, 1)
    one.clear()
    commands = {
        "bare Python": [sys.executable, "-c", "pass"],
        "runbook --version": [RUNBOOK, "--version"],
        "runbook --help": [RUNBOOK, "--help"],
        "runbook tasks": [RUNBOOK, "tasks"],
        "the libraries alone": [sys.executable, "libraries.py"],
        "a debug step": [RUNBOOK, "play", "empty.yml", "--state-dir", "state"],
        "a file step, unchanged": one.runbook(),
    }
    return interleave([Trial(name, command, folder) for name, command in commands.items()], 5 if quick else 21)
