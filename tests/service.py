"""The reference service as tests run it: a process of its own, on a port of its own, over models trained on digits."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runbook.service.digits import write_model, write_samples


@dataclass(frozen=True)
class Service:
    """A running service: its address, its process, and the file of its log."""

    url: str
    process: subprocess.Popen
    log: Path


@contextmanager
def running_service(model: Path | None, env_file: Path | None = None, *options: str, log: Path) -> Iterator[Service]:
    """Start the service by its command, wait until it takes requests, and end it by SIGTERM.

    `options` are more of `runbook service`; `log` is the file that it writes its log to.
    """
    argv = [sys.executable, "-m", "runbook", "service", "--port", "0", "--log", str(log), *options]
    argv += ["--model", str(model)] if model else []
    argv += ["--env-file", str(env_file)] if env_file else []
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            told = process.stdout.readline()
            assert told.startswith("listening on "), process.communicate(timeout=10)
            yield Service(told.split()[-1], process, log)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=15)
            finally:
                process.kill()


def write_env(path: Path, **settings: object) -> str:
    """Write an env file as the service takes it, with a new API_KEY unless one is given; give the key."""
    values = {"API_KEY": secrets.token_hex(32), **settings}
    path.touch(0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return str(values["API_KEY"])


@dataclass(frozen=True)
class Digits:
    """Models in a folder as experiments have them, and images: `good` and `older` have ten classes, `five` has five."""

    good: Path
    older: Path
    five: Path
    damaged: Path
    samples: tuple[Path, ...]  # of 0, 1, 2, ... 9


def make_digits(folder: Path) -> Digits:
    """Train the models: a second or two."""
    export = folder / "export"
    good = write_model(export / "good.onnx", epochs=20).path
    older = write_model(export / "older.onnx", hidden=32, epochs=15, samples=400).path
    five = write_model(export / "five.onnx", hidden=16, epochs=10, classes=5).path
    damaged = export / "damaged.onnx"
    damaged.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    os.utime(older, (1_700_000_000, 1_700_000_000))
    return Digits(good, older, five, damaged, tuple(write_samples(folder / "samples")))
