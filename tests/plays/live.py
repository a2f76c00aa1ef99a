"""Playbooks against the real service: the command in a process of its own, and what it left behind."""

import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from tests.service import Digits, Service

# What a key may hold: quotes, the alphabet of base64, what a shell or a template would take for its own.
KEY = "ca'na\"ry+/=`$(x)`{{7}}0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Ended:
    """A run that has ended."""

    code: int
    out: str
    report: dict

    def step(self, name: str) -> dict:
        return next(step for step in self.report["steps"] if step["name"].startswith(name))

    def statuses(self) -> list[str]:
        return [step["status"] for step in self.report["steps"]]


@dataclass
class Live:
    """A service with its experiment folder, and the command to operate it."""

    folder: Path
    digits: Digits
    service: Service
    env_file: Path
    everything: list[str] = field(default_factory=list)

    def start(self, book: str, *options: str, **inputs: object) -> subprocess.Popen:
        given = {"api_url": self.service.url, "env_file": self.env_file, **inputs}
        argv = [sys.executable, "-m", "runbook", "play", book, "--state-dir", str(self.folder / "state"), *options]
        for name, value in given.items():
            argv += ["-e", f"{name}={value}"] if value is not None else []
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder)

    def play(self, book: str, *options: str, **inputs: object) -> Ended:
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        with self.start(book, "--report", str(report), *options, **inputs) as process:
            out, _ = process.communicate()
        self.everything.append(out)
        assert "Traceback" not in out, out
        return Ended(process.returncode, out, json.loads(report.read_text()) if report.exists() else {})

    def version(self) -> dict:
        with urllib.request.urlopen(f"{self.service.url}/version") as answer:
            return json.load(answer)

    @property
    def served(self) -> str:
        return Path(self.version()["model_path"]).name
