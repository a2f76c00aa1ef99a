"""HTTP exchanges, bounded in time and size, told in words that hold no secret."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runbook.changes import Exchange, Response
from runbook.errors import TaskFailed, TimedOut
from runbook.host.protocol import Taker
from runbook.units import Secret, human_bytes, revealed

if TYPE_CHECKING:
    import ssl

    import httpx

PIECE = 2**18  # bytes of a body that are handed on at a time


class Web:
    """The HTTP clients of a machine, as many as steps ask at the same time, each with cookies of its own.

    Those that check certificates are kept apart from those that do not; each sort shares what it costs to make one.
    """

    def __init__(self) -> None:
        self._idle: dict[bool, list[httpx.Client]] = {True: [], False: []}
        self._trust: dict[bool, ssl.SSLContext] = {}

    def send(self, exchange: Exchange, deadline: float | None, take: Taker | None = None) -> Response:
        """Send a request and read the answer; `deadline` is monotonic. `take` takes the body, which may last.

        Raises TaskFailed with a plain reason, and TimedOut where the step's time is over.
        """
        import httpx

        started = time.monotonic()
        until = started + exchange.timeout
        if deadline is not None and deadline < until:
            until = deadline
        if until <= started:
            raise TimedOut(f"{_name(exchange)}: the step's time is over")
        try:
            return self._send(exchange, started, until, deadline, take)
        except httpx.TimeoutException as error:
            raise _late(exchange, until - started, deadline) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError, TypeError) as error:
            # The error's own text may show a header or a body, and these may be secret: so no cause is kept either.
            raise TaskFailed(f"{_name(exchange)}: {_reason(error)}", hint=_hint(error)) from None

    def _send(
        self, exchange: Exchange, started: float, until: float, deadline: float | None, take: Taker | None
    ) -> Response:
        content, headers = _payload(exchange)
        with (
            self._client(verify=exchange.verify and _may_use_tls(exchange)) as client,
            client.stream(
                exchange.method,
                exchange.url,
                headers=headers,
                content=content,
                timeout=until - started,
                follow_redirects=exchange.follow_redirects,
            ) as answer,
        ):
            if take is None:
                return _told(answer, b"".join(_pieces(exchange, answer.iter_bytes(), until)), started)
            piece = take(_told(answer, b"", started))
            if piece is not None:
                _hand_on(answer.iter_bytes(PIECE), piece, deadline)
            return _told(answer, b"", started)

    @contextmanager
    def _client(self, *, verify: bool) -> Iterator[httpx.Client]:
        """Lend a client that nobody else uses meanwhile; the next to borrow it finds no cookies."""
        import httpx

        idle = self._idle[verify]
        try:
            client = idle.pop()
        except IndexError:
            if verify not in self._trust:
                self._trust[verify] = httpx.create_ssl_context(verify=verify)
            # No connection is kept: a check must see whether the server takes a new one, and a restart breaks old ones.
            client = httpx.Client(verify=self._trust[verify], limits=httpx.Limits(max_keepalive_connections=0))
        try:
            yield client
        finally:
            client.cookies.clear()
            idle.append(client)

    def close(self) -> None:
        for idle in self._idle.values():
            while idle:
                idle.pop().close()


def _told(answer: httpx.Response, body: bytes, started: float) -> Response:
    return Response(
        status=answer.status_code,
        headers={name.lower(): value for name, value in answer.headers.items()},
        body=body,
        elapsed_s=round(time.monotonic() - started, 6),
        url=str(answer.url),
    )


def _may_use_tls(exchange: Exchange) -> bool:
    """Say whether certificates have to be loaded, which costs more than a whole local request."""
    return exchange.follow_redirects or not exchange.url.lower().startswith("http://")


def _pieces(exchange: Exchange, pieces: Iterator[bytes], until: float) -> Iterator[bytes]:
    import httpx

    size = 0
    for piece in pieces:
        size += len(piece)
        if size > exchange.max_bytes:
            raise TaskFailed(f"{_name(exchange)}: the answer is larger than {human_bytes(exchange.max_bytes)}")
        if time.monotonic() > until:
            raise httpx.ReadTimeout("the answer trickles")
        yield piece


def _hand_on(pieces: Iterator[bytes], take: Callable[[bytes], object], deadline: float | None) -> None:
    import httpx

    for data in pieces:
        take(data)
        if deadline is not None and time.monotonic() > deadline:
            raise httpx.ReadTimeout("the step's time is over")


def _payload(exchange: Exchange) -> tuple[bytes | None, dict[str, str]]:
    """Give the body's bytes and the headers, with the secrets in them revealed; anything but text goes as JSON."""
    headers = {str(name): str(revealed(value)) for name, value in exchange.headers.items()}
    body = exchange.body
    if body is None or isinstance(body, bytes):
        return body, headers
    if isinstance(body, str | Secret):
        return str(revealed(body)).encode("utf-8", "surrogateescape"), headers
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return json.dumps(revealed(body), separators=(",", ":"), ensure_ascii=False).encode(), headers


def _name(exchange: Exchange) -> str:
    """Name the request, without a password in its URL."""
    scheme, mark, rest = exchange.url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{exchange.method} {scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def _late(exchange: Exchange, seconds: float, deadline: float | None) -> TaskFailed | TimedOut:
    if deadline is not None and time.monotonic() >= deadline:
        return TimedOut(f"{_name(exchange)}: no answer before the step's time was over")
    return TaskFailed(f"{_name(exchange)}: no answer within {seconds:g} s", hint="is it up, and not overloaded?")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(error: Exception) -> str:
    import socket
    import ssl

    import httpx

    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {getattr(cause, 'verify_message', '') or cause.reason or 'the handshake broke off'}"
        if isinstance(cause, socket.gaierror):
            return f"the host name cannot be resolved ({cause.strerror})"
        if isinstance(cause, OSError) and cause.errno:
            return _plain(cause.errno)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return "this is no URL of HTTP; write http://HOST:PORT/PATH"
    if isinstance(error, httpx.TooManyRedirects):
        return "the redirects lead nowhere"
    if isinstance(error, httpx.RemoteProtocolError):
        return "the server broke the connection off or does not speak HTTP"
    if isinstance(error, httpx.DecodingError):
        return "the answer's encoding is damaged"
    if isinstance(error, httpx.LocalProtocolError | ValueError | TypeError):
        return "the request cannot be sent: a header, the method or the body holds what HTTP does not allow"
    return f"the connection failed ({type(error).__name__})"


def _plain(number: int) -> str:
    return "the connection was refused" if number == errno.ECONNREFUSED else os.strerror(number).lower()


def _hint(error: Exception) -> str | None:
    import ssl

    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
            return "is the service started, and is this its port?"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "is the certificate expired, for another name, or signed by a CA that this machine does not know?"
    return None
