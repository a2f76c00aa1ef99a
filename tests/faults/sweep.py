"""Interrupts a real run at chosen system calls, by strace, and says what must hold afterwards."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

CALLS = (
    *(
        "write",
        "pwrite64",
        "openat",
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "rmdir",
        "link",
        "linkat",
    ),
    *("symlink", "symlinkat", "mkdir", "mkdirat", "fsync", "fdatasync", "ftruncate", "fallocate", "flock", "sendfile"),
    *("copy_file_range", "utimensat", "fchmod", "fchmodat", "chmod", "fchown"),
)
ERRORS = ("ENOSPC", "EIO", "EACCES")
# The venv's own interpreter, cut off from the environment; `-B` as the `.pyc` files are not what is tested.
RUNBOOK = [sys.executable, "-I", "-B", "-m", "runbook"]
KILLED = -9


@dataclass(frozen=True, order=True)
class Point:
    """The nth call, from 1, of this name since the interpreter started, in the main thread."""

    call: str
    nth: int

    def __str__(self) -> str:
        return f"{self.call}#{self.nth}"


@dataclass(frozen=True)
class Scenario:
    """A play on a small folder. `intact(folder)` names what is lost or half-written, whatever moment it is."""

    name: str
    steps: str
    prepare: Callable[[Path], None]
    intact: Callable[[Path], Iterable[str]]


@dataclass(frozen=True)
class Ran:
    """How a run ended, and what it said on both outputs."""

    rc: int
    text: str


@dataclass(frozen=True)
class Sandbox:
    """A folder with a scenario's files, its playbook, and its state, which may be kept `apart`."""

    root: Path
    apart: Path | None = None

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def state(self) -> Path:
        return self.apart or self.root / "state"

    def run(self, *strace: str) -> Ran:
        """Run the play, under strace if there are options for it; its outputs go to a file, as under cron."""
        watched = ["strace", "-f", "--seccomp-bpf", "-qq", *strace] if strace else []
        command = [*watched, *RUNBOOK, "play", "play.yml", "-e", f"exp_dir={self.work}", "--state-dir", str(self.state)]
        said = self.root / "said.txt"
        with said.open("wb") as out:
            files = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT}
            done = subprocess.run(command, cwd=self.root, check=False, timeout=120, **files)
        return Ran(done.returncode, said.read_text(errors="replace"))

    def interrupted(self, point: Point, what: str, *, onwards: bool = False) -> Ran:
        """Run it with something injected at a point, or from it on: `signal=SIGKILL`, `error=EIO`, `retval=0`."""
        when = f"{point.nth}+" if onwards else str(point.nth)
        return self.run("-o", "/dev/null", f"-etrace={point.call}", f"-einject={point.call}:{what}:when={when}")

    def reports(self) -> list[dict]:
        """Give every report of the state folder; one that is no JSON raises."""
        return [json.loads(path.read_text()) for path in sorted(self.state.glob("runs/*/report.json"))]


class Bench:
    """Makes sandboxes of one scenario, and knows its uninterrupted end state and the points that matter."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder, self.numbers = scenario, folder, count()
        self.model = folder / "model"
        (self.model / "work").mkdir(parents=True)
        inputs = "- hosts: localhost\n  inputs:\n    exp_dir: {type: path, required: true}\n  steps:\n"
        (self.model / "play.yml").write_text(inputs + scenario.steps)
        scenario.prepare(self.model / "work")
        self.before = tree(self.model / "work")
        trial = self.sandbox()
        trace = trial.root / "trace"
        ran = trial.run("-y", "-s0", "-o", str(trace), f"-etrace={','.join(CALLS)}")
        assert ran.rc == 0, ran.text
        self.end = tree(trial.work)
        assert self.end != self.before
        self.points, self.totals = points_of(trace.read_text(errors="replace"), trial.root)

    def sandbox(self, root: Path | None = None, apart: Path | None = None) -> Sandbox:
        """Copy the prepared files, with their times, to a new place."""
        root = root or self.folder / f"{next(self.numbers)}"
        shutil.copytree(self.model, root, symlinks=True, dirs_exist_ok=True)
        return Sandbox(root, apart)

    def killed_at(self, point: Point) -> Iterator[str]:
        """Kill a run at a point, and name all that is wrong then, and after running it again."""
        box = self.sandbox()
        ran = box.interrupted(point, "signal=SIGKILL")
        if ran.rc not in {KILLED, 137}:
            yield f"was not killed: {ran.rc} {ran.text}"
        yield from self.wrong_now(box)
        left = [report["run_id"] for report in box.reports() if report["status"] == "running"]
        yield from self.wrong_after_rerun(box, crashed=left)
        shutil.rmtree(box.root)

    def failing_at(self, point: Point, error: str) -> Iterator[str]:
        """Let one call fail, and name all that is wrong then, and after running it again."""
        box = self.sandbox()
        ran = box.interrupted(point, f"error={error}")
        if ran.rc not in {0, 1, 4}:
            yield f"ended with {ran.rc}: {ran.text}"
        if "Traceback" in ran.text:
            yield f"showed a traceback: {ran.text}"
        if ran.rc == 0 and tree(box.work) != self.end:
            yield f"said that all is well, but it is not: {difference(tree(box.work), self.end)}"
        if ran.rc == 0 and point.call in {"fsync", "fdatasync"}:
            yield "took no notice of what may be lost with the power"
        if ran.rc and error_text(error) not in ran.text:
            yield f"did not say what the system said: {ran.text}"
        yield from self.wrong_now(box)
        yield from leftovers(box.work)
        yield from self.wrong_after_rerun(box)
        shutil.rmtree(box.root)

    def wrong_now(self, box: Sandbox) -> Iterator[str]:
        """Name what may not be so at any instant: a loss, a partial file, a report that cannot be read."""
        yield from self.scenario.intact(box.work)
        try:
            box.reports()
        except ValueError as broken:
            yield f"a report is no JSON: {broken}"
        for journal in box.state.glob("runs/*/journal.jsonl"):
            *whole, _torn = journal.read_text().split("\n")
            for line in whole:
                json.loads(line)

    def wrong_after_rerun(self, box: Sandbox, crashed: Iterable[str] = ()) -> Iterator[str]:
        """Run it again, undisturbed: it must end as if nothing had been, and tell of the runs that crashed."""
        again = box.run()
        if again.rc:
            yield f"the next run ended with {again.rc}: {again.text}"
        if tree(box.work) != self.end:
            yield f"the next run did not reach the end state: {difference(tree(box.work), self.end)}"
        yield from leftovers(box.root)
        by_id = {report["run_id"]: report["status"] for report in box.reports()}
        for run_id in crashed:
            if "crashed" not in again.text:
                yield f"the next run did not say that {run_id} crashed: {again.text}"
            if by_id[run_id] != "crashed":
                yield f"the report of {run_id} still says {by_id[run_id]}"


def points_of(trace: str, root: Path) -> tuple[list[Point], Counter[str]]:
    """Give the calls of the main thread that touch something below `root`, and how often each call was made at all."""
    main, made, touching = "", Counter[str](), []
    for line in trace.splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if match is None:
            continue
        main = main or match[1]
        mine = str(root) in line and f"{root}/trace" not in line and f"{root}/said.txt" not in line
        if match[1] == main:
            made[match[2]] += 1
            if mine:
                touching.append(Point(match[2], made[match[2]]))
        else:
            assert not mine, f"another thread or process touches files, which this sweep does not reach: {line}"
    return touching, made


def spread(points: list[Point], limit: int) -> list[Point]:
    """Choose at most `limit` of them evenly, the same each time; all of them if RUNBOOK_FAULTS is `all`."""
    if os.environ.get("RUNBOOK_FAULTS") == "all" or len(points) <= limit:
        return points
    return [points[number * len(points) // limit] for number in range(limit)]


def each(points: Iterable[tuple], check: Callable[..., Iterable[str]]) -> list[str]:
    """Check all points, as many at once as there are processors, and give what is wrong, each with its point."""
    points = list(points)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda point: list(check(*point)), points)
        return [
            f"{' '.join(map(str, point))}: {wrong}"
            for point, wrongs in zip(points, found, strict=True)
            for wrong in wrongs
        ]


def tree(folder: Path) -> dict[str, tuple]:
    """Give mode, content and, for what is older than an hour, the time of everything below a folder.

    Archives count by what they hold: how well they are packed is free.
    """
    found = {}
    newest = max((path.lstat().st_mtime for path in [folder, *folder.rglob("*")]), default=0.0)
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        old = path.is_file() and not path.is_symlink() and about.st_mtime < newest - 3600
        found[str(path.relative_to(folder))] = (oct(about.st_mode), content, about.st_mtime_ns if old else None)
    return found


def difference(found: dict[str, tuple], wanted: dict[str, tuple]) -> str:
    paths = sorted(path for path in found.keys() | wanted.keys() if found.get(path) != wanted.get(path))
    return ", ".join(f"{path} is {str(found.get(path))[:90]} for {str(wanted.get(path))[:90]}" for path in paths)


def leftovers(folder: Path) -> list[str]:
    return [f"{path} was left behind" for path in sorted(folder.rglob("*")) if path.suffix in {".runbook-tmp", ".tmp"}]


def error_text(error: str) -> str:
    return {"ENOSPC": "No space left on device", "EIO": "Input/output error", "EACCES": "Permission denied"}[error]
