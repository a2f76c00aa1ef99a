"""A server on loopback that answers by what its path says, and remembers what it was sent."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any

FILES = {"/files/model.onnx": b"weights" * 1000, "/files/a.txt": b"text\n", "/files/empty": b""}
MODIFIED = "Mon, 02 Mar 2026 10:00:00 GMT"


class Handler(http.server.BaseHTTPRequestHandler):
    """`/status/404`, `/json`, `/to?/json`, `/cookies`, `/auth`, `/echo`, `/files/NAME`."""

    sent: list[dict[str, Any]]

    def version_string(self) -> str:
        return "test"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        kept = ("content-type", "authorization", "x-key", "cache-control")
        said = {name.lower(): value for name, value in self.headers.items() if name.lower() in kept}
        self.sent.append({"method": self.command, "path": self.path, "headers": said, "body": body})
        first, _, rest = self.path[1:].partition("/")
        path, _, query = self.path.partition("?")
        if first == "status":
            self.say(int(rest), b'{"detail": "as asked"}', "application/json")
        elif path == "/to":
            self.say(302, b"", "text/plain", Location=query)
        elif path == "/json":
            self.say(200, b'{"status": "ok", "items": [1, 2]}', "application/problem+json; charset=utf-8")
        elif path == "/notjson":
            self.say(200, b"{oops", "application/json")
        elif path == "/latin":
            self.say(200, "né".encode("latin-1"), "text/plain; charset=iso-8859-1")
        elif path == "/cookies":
            self.say(
                200, b"", "text/plain", **{"Set-Cookie": "session=abc; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT"}
            )
        elif path == "/auth":
            known = self.headers.get("Authorization") == "Basic dTpwdzEyMzQ1Ng=="
            self.say(200 if known else 401, b"", "text/plain", **{"WWW-Authenticate": 'Basic realm="x"'})
        elif path == "/named":
            self.say(200, b"named", "text/plain", **{"Content-Disposition": 'attachment; filename="../given.bin"'})
        elif path == "/sums":
            self.say(200, b"9f9f  other\n" + SUMS, "text/plain")
        elif path in FILES:
            self.file(FILES[path])
        else:
            self.say(200 if path == "/echo" else 404, body, "text/plain")

    def file(self, content: bytes) -> None:
        since = self.headers.get("If-Modified-Since")
        if since and parsedate_to_datetime(since) >= parsedate_to_datetime(MODIFIED):
            self.send_response(304)
            self.end_headers()
        else:
            self.say(200, content, "application/octet-stream", **{"Last-Modified": MODIFIED})

    def say(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with suppress(OSError):  # a reader who has seen enough hangs up
                self.wfile.write(body)

    # the names that http.server calls
    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer  # noqa: N815


SUMS = b"e2b9cbd5  ./a.txt\n"


@contextmanager
def serving() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give the address of a server, and the list of what it is sent."""
    sent: list[dict[str, Any]] = []
    handler = type("Bound", (Handler,), {"sent": sent})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()
        thread.join()
