"""`runbook service`: the reference inference service that the shipped playbooks operate."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbook.errors import Invalid

if TYPE_CHECKING:
    from runbook.service.classifier import Runtime

NEEDED = ("serve", "onnx")  # extras
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
@click.option("--session-options", type=file, help="Run models as this report of ort.optimize recommends it.")
@click.option(
    "--model-cache", type=file, help="Keep optimised graphs here. [default: the platform's folder for caches]"
)
@click.option("--no-model-cache", is_flag=True, help="Optimise a model whenever it is loaded; keep nothing.")
@click.pass_context
def command(
    ctx: click.Context,
    model: Path | None,
    port: int,
    host: str,
    env_file: Path | None,
    log: Path | None,
    pid_file: Path | None,
    threads: int,
    providers: str,
    session_options: Path | None,
    model_cache: Path | None,
    no_model_cache: bool,
) -> None:
    """Serve an image classifier over HTTP until it is told to end by SIGTERM or Ctrl-C.

    Once requests are taken, stdout gets the line `listening on http://HOST:PORT`. The log goes to stderr or to --log.
    SIGHUP has the API_KEY of the env file read anew.
    """
    _check_extras()
    gc.enable()  # off for commands that end soon
    from runbook.service.graphcache import GraphCache, usual_folder
    from runbook.service.server import Wish, run_service

    if no_model_cache and model_cache:
        raise click.UsageError("--model-cache and --no-model-cache exclude each other")
    kept = None if no_model_cache else GraphCache((model_cache or usual_folder()).absolute())
    if session_options:
        _only_once(ctx, "threads", "providers")
    runtime = _recommended(session_options) if session_options else _runtime(threads, providers)
    run_service(Wish(model, port, host, env_file, log, pid_file, replace(runtime, kept=kept)), _tell)


def _only_once(ctx: click.Context, *names: str) -> None:
    """Refuse what the file says already."""
    for name in names:
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"--session-options says what --{name} would say; write it in the file")


def _recommended(file: Path) -> Runtime:
    from runbook.service.classifier import Runtime
    from runbook.service.recommended import read_recommendation

    found = read_recommendation(file)
    return Runtime(found.options, found.providers, strict=True)


def _runtime(threads: int, providers: str) -> Runtime:
    from runbook.service.classifier import Runtime
    from runbook.service.recommended import SessionOptions
    from runbook.service.sessions import PROVIDERS

    known = {name.upper(): name for name in PROVIDERS}
    words = [name.strip() for name in providers.split(",")]
    if wrong := [name for name in words if name.upper() not in known]:
        raise click.BadParameter(f"{wrong[0]!r} is unknown; known are {', '.join(PROVIDERS)}", param_hint="--providers")
    return Runtime(SessionOptions(threads=threads), tuple(known[name.upper()] for name in words))


def _check_extras() -> None:
    """Raise Invalid that names what to install; nothing is imported."""
    from importlib.util import find_spec

    from runbook.plan.extras import MODULES

    lacking = {extra: [name for name in MODULES[extra] if find_spec(name) is None] for extra in NEEDED}
    extras = [extra for extra, names in lacking.items() if names]
    if extras:
        names = ", ".join(dict.fromkeys(name for extra in extras for name in lacking[extra]))
        hint = f"pip install 'runbook[{','.join(extras)}]'"
        if "onnx" in extras:
            hint += ", with gpu in place of onnx on a machine with an NVIDIA GPU"
        raise Invalid(f"the service needs packages that are not installed: {names}", hint=hint)


def _tell(url: str) -> None:
    from runbook.console import say

    say(f"listening on {url}", sys.stdout)
