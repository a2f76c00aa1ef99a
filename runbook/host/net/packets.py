"""Packets sent by sockets: UDP, TCP, and the sockets of a path."""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import suppress
from urllib.parse import urlsplit

from runbook.changes.messages import Packet
from runbook.errors import TaskFailed


def send_packet(packet: Packet) -> tuple[str, ...]:
    """Send it; that nothing went wrong says of UDP only that it has left."""
    try:
        _pack_off(packet)
    except (OSError, UnicodeError) as error:
        raise TaskFailed(f"nothing could be sent to {packet.address}: {why(error)}", hint=hint_for(error)) from error
    return (packet.address,)


def _pack_off(packet: Packet) -> None:
    if packet.address.startswith("unix:"):
        _to_path(packet.address.removeprefix("unix:"), packet)
        return
    parts = urlsplit(packet.address)
    if parts.scheme == "tcp":
        with socket.create_connection((parts.hostname or "", parts.port or 0), packet.timeout) as line:
            line.sendall(packet.data)
            with suppress(OSError):  # it may have hung up already
                line.shutdown(socket.SHUT_WR)
        return
    found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(found[0], socket.SOCK_DGRAM) as line:
        line.connect(found[4])
        line.send(packet.data)


def _to_path(path: str, packet: Packet) -> None:
    for kind, end in ((socket.SOCK_DGRAM, b""), (socket.SOCK_STREAM, b"\0")):
        with socket.socket(socket.AF_UNIX, kind) as line:
            line.settimeout(packet.timeout)
            try:
                line.connect(path)
            except OSError as error:
                if kind == socket.SOCK_DGRAM and error.errno == errno.EPROTOTYPE:
                    continue
                raise
            line.sendall(packet.data + end)
            return


def why(error: Exception) -> str:
    """Say in words why a connection failed."""
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {getattr(error, 'verify_message', '') or error.reason or 'the handshake broke off'}"
    if isinstance(error, socket.gaierror):
        return f"the host name cannot be resolved ({error.strerror})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, FileNotFoundError):
        return "there is no such socket"
    return str(getattr(error, "strerror", None) or "the name is none").lower()


def hint_for(error: Exception) -> str | None:
    """Say what to look at."""
    if isinstance(error, ssl.SSLError):
        return "is `security` the kind that this port speaks, and is the certificate of a CA that this machine knows?"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return "is the receiver started, and is this its address?"
    return None
