"""A folder that a play is run in, and how: undisturbed, or with faults that strace injects."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from runbook.events import Event
from runbook.journal import read

# The venv's own interpreter, cut off from the environment; `-B` as the `.pyc` files are not what is tested.
STAMPS = re.compile(rb"\d{8}T\d{6}Z|20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TOOK = re.compile(rb'("\w+_s": )[0-9.e-]+')
RUNBOOK = [sys.executable, "-I", "-B", "-m", "runbook"]


@dataclass(frozen=True, order=True)
class Point:
    """The nth call, from 1, of this name since the interpreter started, in the main thread."""

    call: str
    nth: int

    def __str__(self) -> str:
        return f"{self.call}#{self.nth}"


@dataclass(frozen=True)
class Ran:
    """How a run ended, and what it said on both outputs."""

    rc: int
    text: str


@dataclass(frozen=True)
class Sandbox:
    """A folder with a scenario's files, its playbook, and its state, which may be kept `apart`.

    With `children` nothing is injected into what the run starts: their calls are counted from one again.
    """

    root: Path
    apart: Path | None = None
    children: bool = False

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def state(self) -> Path:
        return self.apart or self.root / "state"

    def run(self, *strace: str) -> Ran:
        """Run the play, under strace if there are options for it; its outputs go to a file, as under cron."""
        watched = ["strace", "-qq", *strace] if strace else []
        command = [*watched, *RUNBOOK, "play", "play.yml", "-e", f"exp_dir={self.work}", "--state-dir", str(self.state)]
        said = self.root / "said.txt"
        with said.open("wb") as out:
            files = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT}
            done = subprocess.run(command, cwd=self.root, check=False, timeout=120, **files)
        return Ran(done.returncode, said.read_text(errors="replace"))

    def interrupted(self, point: Point, what: str, *, onwards: bool = False) -> Ran:
        """Run it with something injected at a point, or from it on: `signal=SIGKILL`, `error=EIO`, `retval=0`."""
        when = f"{point.nth}+" if onwards else str(point.nth)
        # Far faster, but strace 6.1 injects no signals with it, and has it with -f alone.
        quick = [] if what.startswith("signal") or self.children else ["--seccomp-bpf"]
        follow = [] if self.children else ["-f"]
        return self.run(
            *follow, *quick, "-o", "/dev/null", f"-etrace={point.call}", f"-einject={point.call}:{what}:when={when}"
        )

    def reports(self) -> list[dict]:
        """Give every report of the state folder; one that is no JSON raises."""
        return [json.loads(path.read_text()) for path in sorted(self.state.glob("runs/*/report.json"))]

    def journal(self, run_id: str) -> list[Event]:
        return read(self.state / "runs" / run_id / "journal.jsonl")

    def unbegun(self) -> list[Path]:
        """Give the folders of runs that came to no record at all."""

        def begun(folder: Path) -> bool:
            journal = folder / "journal.jsonl"
            return (folder / "report.json").exists() or (journal.exists() and journal.stat().st_size > 0)

        return [folder for folder in self.state.glob("runs/*") if not begun(folder)]


def tree(folder: Path) -> dict[str, tuple]:
    """Give mode, content and, for what is older than an hour, the time of everything below a folder.

    Archives count by what they hold: how well they are packed is free. When something was done, and how long it took, is not
    compared.
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
            content = content if path.suffix == ".gz" else TOOK.sub(rb"\1<s>", STAMPS.sub(b"<UTC>", content))
        old = path.is_file() and not path.is_symlink() and about.st_mtime < newest - 3600
        name = STAMPS.sub(b"<UTC>", os.fsencode(path.relative_to(folder)))
        found[os.fsdecode(name)] = (oct(about.st_mode), content, about.st_mtime_ns if old else None)
    return found


def difference(found: dict[str, tuple], wanted: dict[str, tuple]) -> str:
    paths = sorted(path for path in found.keys() | wanted.keys() if found.get(path) != wanted.get(path))
    return ", ".join(f"{path} is {str(found.get(path))[:90]} for {str(wanted.get(path))[:90]}" for path in paths)


def leftovers(folder: Path) -> list[str]:
    return [f"{path} was left behind" for path in sorted(folder.rglob("*")) if path.suffix in {".runbook-tmp", ".tmp"}]
