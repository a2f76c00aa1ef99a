"""A day of a live service: looked after, then rolled back to the model of before, without a request lost."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from runbook.demo.telling import plain_env, play, say
from runbook.demo_folder import make_experiment

PATIENCE = 15.0  # seconds for the service to end


class Prepared(NamedTuple):
    """What was trained and written for the service to serve: an older model, a newer one, and a sample to classify."""

    experiment: Path
    older: Path
    newer: Path
    sample: Path
    env_file: Path


def prepare(root: Path) -> Prepared:
    """Make the service's experiment folder, train two models in it, and write the service's .env."""
    from runbook.service.digits import write_model, write_samples

    experiment = make_experiment(root / "experiment")
    say("Two models are trained on scikit-learn's digits, an older one and a better one.", bold=True)
    older = write_model(experiment / "export/digits_1.onnx", hidden=32, epochs=15, samples=400)
    newer = write_model(experiment / "export/digits_2.onnx", epochs=20)
    yesterday = time.time() - 86400
    os.utime(older.path, (yesterday, yesterday))
    latest = experiment / "export/latest.onnx"
    latest.unlink()
    latest.symlink_to(newer.path.name)
    for model in (older, newer):
        say(f"  {model.path}  {model.accuracy:.1%} right")
    sample = write_samples(experiment / "samples")[7]
    return Prepared(experiment, older.path, newer.path, sample, _env_file(root, newer.path))


def show_service(root: Path) -> None:
    """Serve a model that was trained here, and operate it; raise ClickException unless each step does what it says."""
    experiment, older, newer, sample, env_file = prepare(root)
    with serving(root, env_file, experiment / "logs/api.log") as url:
        say(f"The service runs at {url} with the better one.")
        given = ["-e", f"api_url={url}", "-e", f"env_file={env_file}"]
        daily = ["daily.yml", *given, "-e", f"exp_dir={experiment}"]
        back = ["rollback.yml", *given, "-e", f"path={older}", "-e", f"sample={sample}"]
        check = play(root, "daily-check", [*daily, "--check"], "What the daily run would find and do; writes nothing.")
        run = play(root, "daily", daily, "The same, for real: the service, its logs, the upkeep.")
        before = _version(url, "before")
        play(root, "rollback-check", [*back, "--check"], "From which model to which; nothing is sent.", brief=True)
        if _version(url) != before:
            raise click.ClickException("check mode reloaded the model")
        play(root, "rollback", back, "The model is replaced while the service serves, and each proof is asked for.")
        after = _version(url, "after")
    if (before["model_path"], after["model_path"]) != (str(newer), str(older)):
        raise click.ClickException(f"the service serves {after['model_path']}")
    if [check["summary"]["failed"], run["summary"]["failed"]] != [0, 0]:
        raise click.ClickException("a step of the daily run failed")
    say("The service has ended, all of its requests answered.")


def _env_file(root: Path, model: Path) -> Path:
    """Write the service's .env, with a new key that nobody but its owner may read."""
    path = root / ".env"
    path.touch(0o600)
    path.write_text(f"API_KEY={secrets.token_hex(32)}\nMODEL_PATH={model}\n")
    return path


@contextmanager
def serving(root: Path, env_file: Path, log: Path) -> Iterator[str]:
    """Run the service on a free port, and end it however the block ends."""
    command = [
        sys.executable,
        "-m",
        "runbook",
        "service",
        "--port",
        "0",
        "--env-file",
        str(env_file),
        "--log",
        str(log),
        "--no-model-cache",  # the demonstration leaves nothing outside its folder
    ]
    with subprocess.Popen(command, cwd=root, env=plain_env(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            if not told.startswith("listening on "):
                raise click.ClickException("the service did not start")
            yield told.split()[-1]
        finally:
            process.terminate()
            try:
                process.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _version(url: str, when: str = "") -> dict[str, Any]:
    """Ask what is served, and show it where it is said when."""
    with urllib.request.urlopen(f"{url}/version") as answer:  # noqa: S310 - its own service, on loopback
        told: dict[str, Any] = json.load(answer)
    if when:
        say(f"\nGET {url}/version, {when}:", bold=True)
        say(json.dumps({name: told[name] for name in ("model_path", "sha256", "classes", "loaded_at")}))
    return told
