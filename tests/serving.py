"""A real HTTP server on loopback that answers as a test says, for what no good service would ever do."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Site:
    """What is served: `routes` maps `GET /path` to an answer, or to a function of the request that gives one.

    An answer is a status and a body: bytes go as they are, None breaks the connection off, anything else is JSON.
    """

    url: str
    routes: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def count(self, what: str) -> int:
        return sum(f"{each.method} {each.path}" == what for each in self.asked)


@contextmanager
def site(routes: dict[str, Any] | None = None) -> Iterator[Site]:
    """Serve on a free port of the loopback for as long as the block lasts."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        served = Site(f"http://127.0.0.1:{server.server_port}", routes or {})
        server.site = served
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: Any) -> None:
        """Say nothing of a client that has gone, which tests make some do."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*args)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site: Site = self.server.site
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        site.asked.append(asked)
        answer = site.routes.get(f"{asked.method} {asked.path}", (404, {"detail": "Not Found"}))
        if isinstance(answer, Callable):
            answer = answer(asked)
        if answer is None:
            self.close_connection = True
            return
        status, content, *more = answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (more[0] if more else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - so they are called

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


KEY = "0123456789abcdef/+='\"0123456789abcdef0123456789abcdef0123456789"


class Classifier:
    """A service that "loads" a file by hashing it; `routes` of the site may be exchanged to make it misbehave."""

    def __init__(self, served: Site, model: Path) -> None:
        self.site, self.url, self.model = served, served.url, model
        self.loaded = sha256_of(model)
        served.routes |= {
            "GET /health": (200, {"status": "healthy"}),
            "GET /version": lambda _: (200, {"model_path": str(self.model), "sha256": self.loaded, "classes": 10}),
            "POST /reload": self.reload,
        }

    def reload(self, asked: Asked) -> tuple[int, Any]:
        if asked.headers.get("x-api-key") != KEY:
            return 401, {"detail": "wrong or missing API key"}
        return self.load(Path(asked.json()["model_path"]))

    def load(self, path: Path) -> tuple[int, Any]:
        self.model, self.loaded = path, sha256_of(path)
        return 200, {"model_path": str(path), "sha256": self.loaded}

    @property
    def posts(self) -> int:
        return self.site.count("POST /reload")


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def classifier(model: Path) -> Iterator[Classifier]:
    with site() as served:
        yield Classifier(served, model)
