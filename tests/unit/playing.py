"""The real command on a playbook in a folder of its own, with the plugins that lie beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import yaml

COMMAND = (sys.executable, "-m", "runbook")


@dataclass(frozen=True)
class Ended:
    """A run that has ended: what it said, and its report where there is one."""

    code: int
    out: str
    err: str
    report: dict | None

    def step(self, name):
        return next(step for step in self.report["steps"] if step["name"] == name)


def heard() -> None:
    """Hear the signals that whoever runs the tests ignores, as `nohup` and a shell's `&` do."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Folder:
    """A playbook's folder: `book.yml`, `tasks/*.py` beside it, and a state folder that nobody else uses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / "state"
        path.mkdir(parents=True, exist_ok=True)

    def plugin(self, name: str, code: str) -> None:
        (self.path / "tasks").mkdir(exist_ok=True)
        (self.path / "tasks" / f"{name}.py").write_text(dedent(code), encoding="utf-8")

    def book(self, steps: list, name: str = "book.yml", **play) -> Path:
        file = self.path / name
        text = yaml.safe_dump([{"hosts": "localhost", **play, "steps": steps}], sort_keys=False, allow_unicode=True)
        file.write_text(text, encoding="utf-8")
        return file

    def argv(self, *options: str, book: str = "book.yml") -> list[str]:
        return [*COMMAND, "play", book, "--state-dir", str(self.state), *options]

    def start(self, *options: str, book: str = "book.yml", env: dict | None = None, **how) -> subprocess.Popen:
        """Start it in a session of its own, so that a signal reaches it as one from a terminal would."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        pipes["preexec_fn"] = heard
        return subprocess.Popen(
            self.argv(*options, book=book),
            cwd=self.path,
            env={**os.environ, **(env or {})},
            text=True,
            encoding="utf-8",
            start_new_session=True,
            **{**pipes, **how},
        )

    def play(self, *options: str, book: str = "book.yml", env: dict | None = None, **how) -> Ended:
        return self.ended(self.start(*options, book=book, env=env, **how))

    def ended(self, process: subprocess.Popen, wait: float = 60) -> Ended:
        try:
            out, err = process.communicate(timeout=wait)
        finally:
            process.kill()
        return Ended(process.returncode, out or "", err or "", self.newest())

    def runs(self) -> list[Path]:
        return sorted((self.state / "runs").glob("*-*"), key=lambda path: path.stat().st_ctime_ns)

    def newest(self) -> dict | None:
        """Give the report of the newest run."""
        reports = sorted((self.state / "runs").glob("*/report.json"), key=lambda path: path.stat().st_ctime_ns)
        return json.loads(reports[-1].read_text("utf-8")) if reports else None
