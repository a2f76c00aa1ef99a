"""`runbook service`: the reference inference service that the shipped playbooks operate."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from runbook.errors import Invalid

# What each extra brings that the service imports.
NEEDED = {
    "serve": ("fastapi", "uvicorn", "prometheus_client", "python_multipart", "PIL"),
    "onnx": ("onnx", "onnxruntime"),
}
file = click.Path(path_type=Path)


@click.command("service")
@click.option("--model", type=file, help="The ONNX model. [default: MODEL_PATH of the env file]")
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="The port; 0 picks a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--env-file", type=file, help="The `.env` file with API_KEY, MODEL_PATH and the settings.")
@click.option("--log", type=file, help="Append the log to this file. [default: stderr]")
@click.option("--pid-file", type=file, help="Keep the process id in this file while requests are taken.")
@click.option(
    "--threads",
    type=click.IntRange(0, 1024),
    default=1,
    show_default=True,
    help="Threads of one prediction; 0 leaves it to ONNX Runtime.",
)
@click.option(
    "--providers", default="CPU", show_default=True, metavar="LIST", help="Where models run, by preference: CUDA,CPU."
)
def command(
    model: Path | None,
    port: int,
    host: str,
    env_file: Path | None,
    log: Path | None,
    pid_file: Path | None,
    threads: int,
    providers: str,
) -> None:
    """Serve an image classifier over HTTP until it is told to end by SIGTERM or Ctrl-C.

    Once requests are taken, stdout gets the line `listening on http://HOST:PORT`. The log goes to stderr or to --log.
    SIGHUP has the API_KEY of the env file read anew.
    """
    _check_extras()
    gc.enable()  # off for commands that end soon
    from runbook.service.classifier import PROVIDERS, Runtime
    from runbook.service.server import Wish, run_service

    names = tuple(name.strip().upper() for name in providers.split(","))
    if wrong := [name for name in names if name not in PROVIDERS]:
        raise click.BadParameter(f"{wrong[0]!r} is unknown; known are {', '.join(PROVIDERS)}", param_hint="--providers")
    run_service(Wish(model, port, host, env_file, log, pid_file, Runtime(threads, names)), _tell)


def _check_extras() -> None:
    """Raise Invalid that names what to install; nothing is imported."""
    from importlib.util import find_spec

    lacking = {extra: [name for name in names if find_spec(name) is None] for extra, names in NEEDED.items()}
    extras = [extra for extra, names in lacking.items() if names]
    if extras:
        names = ", ".join(name for extra in extras for name in lacking[extra])
        hint = f"pip install 'runbook[{','.join(extras)}]'"
        if "onnx" in extras:
            hint += ", with gpu in place of onnx on a machine with an NVIDIA GPU"
        raise Invalid(f"the service needs packages that are not installed: {names}", hint=hint)


def _tell(url: str) -> None:
    from runbook.console import say

    say(f"listening on {url}", sys.stdout)
