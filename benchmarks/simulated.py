"""Simulated instances of an inference service: one process, N loopback ports, the service's answers and no model.

`python -m benchmarks.simulated N` prints the ports as one JSON line and serves until its stdin is closed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import sys
from functools import partial
from pathlib import Path
from typing import Any

KEY = "simulated-instance-key-0123456789abcdef"


class Instance:
    """What one instance serves, and how it answers."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.sha256 = ""

    def answer(self, method: str, path: str, head: str, body: bytes) -> tuple[int, Any]:
        match method, path:
            case "GET", "/health":
                return 200, {"status": "healthy", "model_loaded": True}
            case "GET", "/version":
                return 200, {"model_path": self.model, "sha256": self.sha256 or None, "classes": 10, "loaded_at": ""}
            case "POST", "/predict":
                return 200, {"label": "0", "confidence": 0.99}
            case "POST", "/reload":
                return self._reload(head, body)
        return 404, {"detail": f"no {method} {path}"}

    def _reload(self, head: str, body: bytes) -> tuple[int, Any]:
        if f"x-api-key: {KEY}" not in head.lower():
            return 401, {"detail": "the key is missing or wrong"}
        path = json.loads(body)["model_path"]
        try:
            self.sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            return 422, {"detail": str(error)}
        self.model = path
        return 200, {"model_path": self.model, "sha256": self.sha256}


class Exchange(asyncio.Protocol):
    """One connection: a request, an answer, and the next."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, end, rest = self._heard.partition(b"\r\n\r\n")
        if not end:
            return
        text = head.decode("latin-1")
        size = next((int(line[15:]) for line in text.split("\r\n") if line.lower().startswith("content-length:")), 0)
        if len(rest) < size:
            return
        self._heard = rest[size:]
        method, path, _ = text.split(" ", 2)
        status, told = self._instance.answer(method, path, text, rest[:size])
        body = json.dumps(told).encode()
        lines = f"HTTP/1.1 {status} _\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(lines.encode() + body)


async def serve(count: int, model: str) -> None:
    """Serve on so many ports until stdin is closed."""
    loop = asyncio.get_running_loop()
    ports = []
    for _ in range(count):
        server = await loop.create_server(partial(Exchange, Instance(model)), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
