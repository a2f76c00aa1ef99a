"""The outermost layer: numbers, times, counts and logs each request, and lets no exception out."""

from __future__ import annotations

import logging
import re
import time
from secrets import token_hex
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runbook.service.metrics import Metrics
from runbook.service.replies import json_reply

FIT = re.compile(r"[\w.:-]{1,64}", re.ASCII)  # a request id that a client may choose
log = logging.getLogger(__name__)


class Unsent(Exception):
    """The answer could not be sent: the client has gone, or broke the protocol and was told so by the server."""


class Watch:
    """Tells of each request in one log line, without its query, headers and body, which may hold secrets."""

    def __init__(self, app: ASGIApp, metrics: Metrics, endpoints: frozenset[str], origins: tuple[str, ...]) -> None:
        self._app = app
        self._metrics = metrics
        self._endpoints = endpoints
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get(b"x-request-id", "")
        number = given if FIT.fullmatch(given) else token_hex(6)
        state = scope.setdefault("state", {})
        state["id"] = number
        status, began = 0, time.perf_counter()

        async def sent(message: Message) -> None:
            nonlocal status
            starts = message["type"] == "http.response.start"
            if starts:
                message = {**message, "headers": [*message.get("headers", []), (b"x-request-id", number.encode())]}
            try:
                await send(message)
            except Exception as error:
                raise Unsent from error
            status = message["status"] if starts else status

        try:
            with self._metrics.in_flight.track_inprogress():
                await self._app(scope, receive, sent)
        except Unsent:
            state["code"] = "unsent"
        except Exception:
            text = "%s %s failed"
            log.exception(text, scope["method"], scope["path"], extra={"event": "error", "request_id": number})
            if not status:
                answer = json_reply({"detail": "internal error", "code": "error", "request_id": number}, 500)
                await answer(scope, receive, sent)
        finally:
            about = {**self._cors(scope, headers), "request_id": number, "code": state.get("code")}
            self._tell(scope, status or 499, time.perf_counter() - began, about)

    def _tell(self, scope: Scope, status: int, seconds: float, about: dict[str, Any]) -> None:
        method, path = scope["method"], scope["path"]
        self._metrics.answered(path if path in self._endpoints else "other", method, status, seconds)
        level = logging.ERROR if status >= 500 else logging.WARNING if status in {401, 403} else logging.INFO
        about = {key: value for key, value in about.items() if value is not None}
        about |= {"method": method, "path": path[:200], "status": status, "ms": round(seconds * 1000, 2)}
        about["client"] = scope["client"][0] if scope.get("client") else None
        log.log(level, "%s %s %d", method, path[:200], status, extra={"event": "request", **about})

    def _cors(self, scope: Scope, headers: dict[bytes, str]) -> dict[str, Any]:
        """Say of a page of another origin whether it is allowed, so that failures can be counted from the log."""
        origin = headers.get(b"origin")
        if origin is None or origin.partition("://")[2] == headers.get(b"host"):
            return {}
        allowed = "*" in self._origins or origin in self._origins
        if not allowed:
            self._metrics.refused_origin()
        preflight = scope["method"] == "OPTIONS" and b"access-control-request-method" in headers
        return {"origin": origin[:200], "cors": "allowed" if allowed else "refused", "preflight": preflight}
