"""Disturbs runs at chosen system calls, and says what must hold at that moment and after the next run."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from runbook.events import RunFinished
from tests.faults.sandbox import Point, Sandbox, difference, leftovers, tree

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
KILLED = -9
WHOLE = os.environ.get("RUNBOOK_FAULTS") == "all"


@dataclass(frozen=True)
class Scenario:
    """A play on a small folder. `intact(folder)` names what is lost or half-written, whatever moment it is.

    `needs` names the file systems that it can be played on, where that is not any. `uncounted` are the calls of which
    it makes more or fewer each time, so that the nth of one run is not that of the next. `costly`: a run takes so long
    that the slice in `make test` is a small one. `children`: it starts processes, which are left alone.
    """

    name: str
    steps: str
    prepare: Callable[[Path], None]
    intact: Callable[[Path], Iterable[str]]
    needs: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    costly: bool = False
    children: bool = False


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
        ran = trial.run("-f", "--seccomp-bpf", "-y", "-s0", "-o", str(trace), f"-etrace={','.join(CALLS)}")
        assert ran.rc == 0, ran.text
        self.end = tree(trial.work)
        assert self.end != self.before
        points, self.totals = points_of(trace.read_text(errors="replace"), trial.root)
        self.points = [point for point in points if point.call not in scenario.uncounted]

    def sandbox(self, root: Path | None = None, apart: Path | None = None) -> Sandbox:
        """Copy the prepared files, with their times, to a new place."""
        root = root or self.folder / f"{next(self.numbers)}"
        shutil.copytree(self.model, root, symlinks=True, dirs_exist_ok=True)
        return Sandbox(root, apart, children=self.scenario.children)

    def share(self, points: list[Point], limit: int) -> list[Point]:
        """Choose the points of a slice; fewer where a run is costly."""
        return spread(points, max(1, limit // 3) if self.scenario.costly else limit)

    def spare_costly(self) -> None:
        """Leave a scenario whose runs take long to the whole sweeps; what it is spared is the same for others."""
        if self.scenario.costly and not WHOLE:
            pytest.skip("a run takes long: only in `make faults`")

    def killed_at(self, point: Point) -> Iterator[str]:
        """Kill a run at a point, and name all that is wrong then, and after running it again."""
        box = self.sandbox()
        ran = box.interrupted(point, "signal=SIGKILL")
        if ran.rc not in {KILLED, 137}:
            yield f"was not killed: {ran.rc} {ran.text}"
        yield from self.wrong_now(box)
        yield from self.wrong_after_rerun(box)
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
        if ran.rc and error_text(error) not in ran.text.lower():
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

    def wrong_after_rerun(self, box: Sandbox) -> Iterator[str]:
        """Run it again, undisturbed: it must end as if nothing had been, and tell of the runs that crashed."""
        killed = {report["run_id"] for report in box.reports() if report["status"] == "running"}
        ended = {run_id for run_id in killed if any(isinstance(event, RunFinished) for event in box.journal(run_id))}
        for folder in box.unbegun():
            os.utime(folder, (0, 0))  # a folder that is just being made is let alone for a minute
        again = box.run()
        if again.rc:
            yield f"the next run ended with {again.rc}: {again.text}"
        if tree(box.work) != self.end:
            yield f"the next run did not reach the end state: {difference(tree(box.work), self.end)}"
        yield from leftovers(box.root)
        yield from (f"{folder} was left behind" for folder in box.unbegun())
        by_id = {report["run_id"]: report["status"] for report in box.reports()}
        for run_id in killed:
            if by_id[run_id] != ("ok" if run_id in ended else "crashed"):
                yield f"the report of {run_id} still says {by_id[run_id]}"
        if killed - ended and "crashed" not in again.text:
            yield f"the next run did not say that {killed - ended} crashed: {again.text}"


def points_of(trace: str, root: Path) -> tuple[list[Point], Counter[str]]:
    """Give the calls of the main thread that touch something below `root`, and how often each call was made at all."""
    main, made, touching = "", Counter[str](), []
    for line in trace.splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if match is None:
            continue
        main = main or match[1]
        about = re.sub(r"AT_FDCWD<.*?>|<[^<>]*said.txt>", "", line)  # the working folder, and what it prints
        mine = str(root) in about
        if match[1] == main:
            made[match[2]] += 1
            if mine:
                touching.append(Point(match[2], made[match[2]]))
        else:  # strace counts by thread, so it cannot reach these: there must be none but a child's that loads a model
            reads = match[2] == "openat" and "O_RDONLY" in line
            assert reads or not mine, f"a thread or a child does what no fault reaches: {line}"
    return touching, made


def spread(points: list[Point], limit: int) -> list[Point]:
    """Choose at most `limit` of them evenly, the same each time; all of them if RUNBOOK_FAULTS is `all`."""
    if WHOLE or len(points) <= limit:
        return points
    return [points[number * len(points) // limit] for number in range(limit)]


def sweep(points: Iterable[tuple], check: Callable[..., Iterable[str]]) -> None:
    """Check all points, as many at once as there are processors, and fail with all that is wrong, point by point."""
    points = list(points)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda point: list(check(*point)), points)
        wrong = [(point, each) for point, several in zip(points, found, strict=True) for each in several]
    if wrong:
        lines = [f"{' '.join(map(str, point))}: {each}" for point, each in wrong]
        pytest.fail("\n".join([f"{len(points)} points, {len(lines)} faults:", *lines]), pytrace=False)


def error_text(error: str) -> str:
    return {"ENOSPC": "no space left on device", "EIO": "input/output error", "EACCES": "permission denied"}[error]
