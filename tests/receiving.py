"""Real receivers on loopback: a mail server, sockets of UDP, TCP and of a path; each keeps what it was sent."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER, PASSWORD = "watch", "pass/word+that-is=secret"


@dataclass
class Inbox:
    """A mail server, what it got, and who was refused."""

    port: int = 0
    mails: list[Any] = field(default_factory=list)
    logins: list[bool] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - so it is called
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.mails.append(envelope)
        return "250 OK"

    def authenticate(self, server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self.logins.append(good)
        return AuthResult(success=good, handled=good)


@contextmanager
def mailbox(security: str = "none", ca: trustme.CA | None = None, *, login: bool = False) -> Iterator[Inbox]:
    """Serve SMTP on a free port; with a login, only after STARTTLS or within TLS."""
    inbox = Inbox()
    context = None
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("localhost").configure_cert(context)
    more: dict[str, Any] = {"tls_context": context if security == "starttls" else None}
    if login:
        more |= {
            "authenticator": inbox.authenticate,
            "auth_required": security != "tls",
            "auth_require_tls": security != "tls",
        }
    loop = asyncio.new_event_loop()

    def protocol() -> SMTP:
        return SMTP(inbox, hostname="localhost", loop=loop, **more)

    tls = context if security == "tls" else None
    server = loop.run_until_complete(loop.create_server(protocol, "localhost", 0, family=socket.AF_INET, ssl=tls))
    inbox.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield inbox
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for each in asyncio.all_tasks(loop):
            each.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


@contextmanager
def udp() -> Iterator[tuple[int, socket.socket]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        line.settimeout(5)
        yield line.getsockname()[1], line


@contextmanager
def datagrams(path: Path) -> Iterator[socket.socket]:
    """A socket as a syslog daemon's /dev/log."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(path))
        line.settimeout(5)
        yield line


@contextmanager
def stream(path: Path | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """A listener, of TCP or at a path, that keeps what each connection sent to its end."""
    got: list[bytes] = []
    with socket.socket(socket.AF_INET if path is None else socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0) if path is None else str(path))
        listener.listen()
        listener.settimeout(5)

        def take() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                pieces = []
                while piece := connection.recv(4096):
                    pieces.append(piece)
                got.append(b"".join(pieces))

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield 0 if path is not None else listener.getsockname()[1], got
        thread.join(5)
