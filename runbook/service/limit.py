"""The upload limit, enforced while the body streams in, whatever its Content-Length claims."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runbook.service.replies import json_reply

LINGER_S = 5.0  # how long, and up to how many bytes, a client that was answered early is heard out
LINGER_BYTES = 64_000_000


def too_large(limit: int) -> HTTPException:
    """Say what to do instead; an HTTPException passes through whatever parses the body."""
    size = f"{limit / 1_000_000:g} MB"
    text = f"the upload is larger than {size} (MAX_UPLOAD_MB): split it over several requests to /batch"
    return HTTPException(413, text)


class UploadLimit:
    """Refuses a body of more than `limit` bytes at the first byte too many (None: takes any), and keeps none of it.

    A client that is answered before its body has come whole is heard out for a while: were the connection closed
    under it, it would see a reset instead of the answer.
    """

    def __init__(self, app: ASGIApp, limit: int | None) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = Body(scope, receive, send, self._limit)
        if self._limit is not None and body.declared > self._limit:
            refused = too_large(self._limit)
            answer = json_reply({"detail": refused.detail, "code": "too_large"}, refused.status_code)
            await answer(scope, body.receive, body.send)
        else:
            await self._app(scope, body.receive, body.send)


class Body:
    """The body of one request on its way in, and the answer on its way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int | None) -> None:
        headers = {name: value for name, value in scope["headers"] if name in {b"content-length", b"transfer-encoding"}}
        length = headers.get(b"content-length", b"")
        self.declared = int(length) if length.isdigit() else 0
        self._whole = not self.declared and b"transfer-encoding" not in headers
        self._receive = receive
        self._send = send
        self._limit = limit
        self._seen = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        self._whole = self._whole or not message.get("more_body", False)
        if self._limit is not None and self._seen > self._limit:
            raise too_large(self._limit)
        return message

    async def send(self, message: Message) -> None:
        if self._whole:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._send({**message, "headers": [*message.get("headers", []), (b"connection", b"close")]})
        elif message.get("more_body", False):
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self._hear_out()
            await self._send({"type": "http.response.body", "body": b""})

    async def _hear_out(self) -> None:
        """Let the rest come and forget it."""
        heard = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not self._whole and heard < LINGER_BYTES:
                    message = await self._receive()
                    heard += len(message.get("body", b""))
                    self._whole = not message.get("more_body", False)
