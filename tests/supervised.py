"""A tiny real service for tests: an HTTP server that is a process of its own, with its pid file."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.changes.services import Process

# It answers /health with what the file `health` beside it says, 200 without one, and counts its starts in `starts`.
SERVER = """
import http.server, pathlib, socket, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = pathlib.Path("health")
        self.send_response(int(told.read_text()) if told.exists() else 200)
        self.end_headers()

    def log_message(self, *args):
        pass

if pathlib.Path("broken").exists():
    sys.exit("the port is taken by somebody else")
with open("starts", "a") as starts:
    starts.write("x")
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("serving", flush=True)
server.serve_forever()
"""


@dataclass
class Served:
    """The service: its folder, its port, and how a step names it."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/health"

    @property
    def params(self) -> dict[str, Any]:
        return {
            "name": "tiny",
            "pid_file": str(self.folder / "tiny.pid"),
            "command": [sys.executable, "-S", "-c", SERVER, str(self.port)],
            "chdir": str(self.folder),
            "log": str(self.folder / "tiny.log"),
            "stay": "100ms",
        }

    @property
    def process(self) -> Process | None:
        path = self.folder / "tiny.pid"
        return Process.parse(path.read_text()) if path.exists() else None

    @property
    def starts(self) -> int:
        path = self.folder / "starts"
        return len(path.read_text()) if path.exists() else 0

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            assert self.process.pid > 1
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self.process.pid, 0)


@contextmanager
def tiny(folder: Path) -> Iterator[Served]:
    """Give a service that is not yet started; it is ended with the block."""
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        served = Served(folder, spare.getsockname()[1])
    try:
        yield served
    finally:
        served.kill()
