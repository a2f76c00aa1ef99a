"""What a machine's TCP ports say: whether one takes connections, what it says first, and how many are open."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from runbook.errors import TaskFailed
from runbook.host.guard import lifted

if TYPE_CHECKING:
    import socket

STEP = 0.1  # seconds between two looks at the step's deadline
PIECE = 4096
MOST = 2**20  # what a port may say before it is enough: a stream without end must not fill the memory
_ANY = {"0.0.0.0", "::", "::ffff:0.0.0.0"}  # noqa: S104 - compared with, not bound to


class Timed(Protocol):
    """What these functions need of the host that they are methods of."""

    def check_deadline(self) -> None: ...


def dial(
    host: Timed,
    address: str,
    port: int,
    *,
    timeout: float,
    listen: float = 0.0,
    enough: Callable[[bytes], object] = bool,
) -> bytes | None:
    """Connect and hang up again; None where that fails within `timeout` seconds.

    With `listen`, read for so many seconds at most, until the port hangs up or what was read is `enough`.
    """
    import socket

    host.check_deadline()
    with lifted():
        try:
            line = socket.create_connection((address, port), timeout)
        except (OSError, UnicodeError):  # the second is of a name that is too long or empty in part
            return None
        with line:
            said = b"".join(_heard(host, line, time.monotonic() + listen, enough)) if listen else b""
            with suppress(OSError):  # it may have hung up first
                line.shutdown(socket.SHUT_RDWR)
            return said


def _heard(host: Timed, line: socket.socket, until: float, enough: Callable[[bytes], object]) -> Iterator[bytes]:
    line.settimeout(STEP)
    said = b""
    while time.monotonic() < until and len(said) < MOST and not (said and enough(said)):
        host.check_deadline()
        try:
            piece = line.recv(PIECE)
        except TimeoutError:
            continue
        except OSError:
            return
        if not piece:
            return
        said += piece
        yield piece


def connections(host: Timed, port: int, *, address: str, states: Collection[str], without: Collection[str] = ()) -> int:
    """Count the TCP connections to a port of this machine at an address, in these states; not those of `without`."""
    import psutil

    host.check_deadline()
    with lifted():
        ours, others = _addresses(address), {each for name in without for each in _addresses(name)}
        try:
            found = psutil.net_connections(kind="tcp")
        except psutil.Error as error:
            raise TaskFailed(f"this user may not see the machine's connections: {error}") from error
    return sum(
        each.status in states and _is_of(each.laddr, port, ours) and not (each.raddr and each.raddr.ip in others)
        for each in found
    )


def _is_of(local: Any, port: int, addresses: set[str]) -> bool:
    return bool(local) and local.port == port and (local.ip in addresses or bool(addresses & _ANY))


def _addresses(name: str) -> set[str]:
    """Give the addresses of a name, those of version 4 also as version 6 writes them."""
    import socket

    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise TaskFailed(f"the host name {name!r} cannot be resolved", hint="write a name or an address") from error
    return found | {f"::ffff:{each}" for each in found if ":" not in each}
