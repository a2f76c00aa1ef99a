"""The running server: its socket, its signals, and its end in good order."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EADDRINUSE
from pathlib import Path
from types import FrameType

import uvicorn

from runbook.errors import Invalid, RunbookError
from runbook.secrets import Redactor
from runbook.service.api import Api
from runbook.service.app import create_app
from runbook.service.classifier import Runtime
from runbook.service.logs import LineWriter, logging_to
from runbook.service.metrics import Metrics
from runbook.service.refusals import Refused
from runbook.service.rekeying import rekeyed_by_signal
from runbook.service.settings import read_settings

HINTS = {
    "missing": "check the path for a typing error",
    "unreadable": "check the permissions of the file and of its folders",
    "damaged": "copy the file again, and compare its SHA-256 with the original's",
    "provider": "run ort.optimize on this machine; `runbook doctor` says why a provider is not to be had",
}
NOT_A_CLASSIFIER = "the service wants an image classifier: one input, one output of a score for each class"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for."""

    model: Path | None
    port: int
    host: str = "127.0.0.1"
    env_file: Path | None = None
    log: Path | None = None
    pid_file: Path | None = None
    runtime: Runtime = field(default_factory=Runtime)


def run_service(wish: Wish, tell: Callable[[str], None]) -> None:
    """Serve until a signal ends it; `tell` gets the address once requests are taken.

    Invalid says what is wrong with the settings or the model, RunbookError that the port is not to be had.
    """
    settings, warnings = read_settings(wish.env_file)
    model = wish.model or settings.model_path
    if model is None:
        raise Invalid("no model is named", hint="give --model PATH, or MODEL_PATH in the env file")
    _not_a_folder(model)
    redactor = Redactor()
    if settings.api_key is not None:
        redactor.add(settings.api_key.reveal())
    with logging_to(wish.log, redactor) as writer, reopened_by_signal(writer):
        for text in warnings:
            log.warning(text, extra={"event": "settings"})
        options = {"level": wish.runtime.options.level, **wish.runtime.options.model_dump(exclude_defaults=True)}
        words = ", ".join(f"{name} {value}" for name, value in options.items())
        about = {"event": "session", "options": options}
        log.info("models run on %s: %s", ", ".join(wish.runtime.providers), words, extra=about)
        with bound(wish.host, wish.port) as listener:
            api = Api(Path(os.path.abspath(model)), settings, wish.runtime, Metrics())
            try:
                api.start()
            except Refused as refused:
                raise Invalid(refused.detail, hint=HINTS.get(refused.code, NOT_A_CLASSIFIER)) from refused
            with told_in(wish.pid_file), rekeyed_by_signal(api, wish.env_file, redactor):
                serve(_config(api), listener, tell)


def _not_a_folder(model: Path) -> None:
    if model.is_dir():
        inside = sorted(model.glob("*.onnx"))
        held = f"it holds {', '.join(one.name for one in inside[:5])}" if inside else "it holds none"
        hint = f"name the .onnx file in it: {held}"
        raise Invalid(f"the model {model} is a folder", hint=hint)


def _config(api: Api) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(api),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=30,
        lifespan="off",
        timeout_graceful_shutdown=max(1, round(api.settings.drain_timeout)),
    )


def serve(config: uvicorn.Config, listener: socket.socket, tell: Callable[[str], None]) -> None:
    """Run the server until SIGTERM or SIGINT, which let the requests at work end."""
    server = uvicorn.Server(config)

    def stop(number: int, _frame: FrameType | None) -> None:
        """End the server if it has not begun to listen to signals; it raises them once more at its end."""
        server.should_exit = True
        log.info("ended by %s", signal.Signals(number).name, extra={"event": "ended"})

    for name in ("SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), stop)
    listener.listen(config.backlog)  # from here on requests wait for the loop, so the address may be told
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    log.info("listening on %s", url, extra={"event": "listening", "url": url, "pid": os.getpid()})
    tell(url)
    server.run(sockets=[listener])


@contextmanager
def reopened_by_signal(writer: LineWriter) -> Iterator[None]:
    """Have SIGUSR1 reopen the log, before the model is loaded too: unheeded, it would end the process."""
    if not hasattr(signal, "SIGUSR1"):  # on Windows
        yield
        return
    before = signal.signal(signal.SIGUSR1, lambda *_: writer.reopen())
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


@contextmanager
def told_in(pid_file: Path | None) -> Iterator[None]:
    """Keep our process id in a file for as long as we serve, if it is asked for."""
    if pid_file is None:
        yield
        return
    fresh = pid_file.with_name(f".{pid_file.name}.{os.getpid()}.tmp")
    try:
        fresh.write_text(f"{os.getpid()}\n", "ascii")
        fresh.replace(pid_file)
    except OSError as error:
        raise Invalid(f"the pid file {pid_file} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        pid_file.unlink(missing_ok=True)


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Take the address before the model is loaded, which may take long; 0 takes any free port."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise Invalid(f"there is no address {host!r}: {error.strerror}") from error
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            reason = "is taken" if error.errno == EADDRINUSE else f"cannot be used: {error.strerror}"
            hint = "stop what listens there, or give another --port; 0 picks a free one"
            raise RunbookError(f"port {port} on {host} {reason}", hint=hint) from error
        yield listener
