"""What a machine's ports say, and answers whose bodies are handed on in pieces: on real sockets of loopback."""

from __future__ import annotations

import http.server
import os
import socket
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook.changes import Exchange, Request, Response
from runbook.errors import ImpurePlan, TaskFailed, TimedOut, Unsure
from runbook.host import LocalHost, Overlay, guard
from runbook.testing import MemoryHost

STATES = ("ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "SYN_RECV", "SYN_SENT", "TIME_WAIT")


@pytest.fixture
def host(tmp_path: Path):
    host = LocalHost(now=datetime(2026, 3, 1, tzinfo=UTC), cwd=tmp_path, env={}, run_id="x", umask=0o022)
    yield host
    host.close()


@pytest.fixture
def server():
    """A listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def speaks(listening: socket.socket, *pieces: bytes, hold: threading.Event | None = None) -> threading.Thread:
    """Take one connection and say the pieces; keep it open until `hold` is set."""

    def serve() -> None:
        line, _ = listening.accept()
        with line:
            for piece in pieces:
                line.sendall(piece)
            if hold:
                hold.wait(10)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_port_that_listens_is_dialled_and_one_that_does_not_is_none(host, server):
    port = port_of(server)
    assert host.dial("127.0.0.1", port, timeout=5) == b""
    server.close()
    assert host.dial("127.0.0.1", port, timeout=5) is None
    assert host.dial("no-such-host.invalid", port, timeout=5) is None
    assert host.dial("a" * 64, port, timeout=5) is None


def test_what_a_port_says_is_read_until_it_is_enough_or_hangs_up(host, server):
    hold = threading.Event()
    thread = speaks(server, b"220 ", b"ready\n", hold=hold)
    said = host.dial("127.0.0.1", port_of(server), timeout=5, listen=10, enough=lambda data: b"ready" in data)
    hold.set()
    thread.join()
    assert said == b"220 ready\n"
    thread = speaks(server, b"bye")
    assert host.dial("127.0.0.1", port_of(server), timeout=5, listen=10, enough=lambda _: False) == b"bye"
    thread.join()


def test_listening_ends_with_its_time_and_with_the_steps(host, server):
    assert host.dial("127.0.0.1", port_of(server), timeout=5, listen=0.05) == b""
    host = host.begin("step 1", deadline=time.monotonic() + 0.05)
    with pytest.raises(TimedOut, match="step 1 was ended"):
        host.dial("127.0.0.1", port_of(server), timeout=5, listen=10)


def test_connections_are_counted_by_port_address_and_state(host, server):
    def count(**more) -> int:
        said = {"address": "127.0.0.1", "states": STATES} | more
        return host.connections(port_of(server), **said)

    assert count() == 0
    with closing(socket.create_connection(server.getsockname())), closing(server.accept()[0]):
        assert count() == 1
        assert count(address="0.0.0.0") == 1
        assert count(address="127.0.0.2") == 0
        assert count(states=("TIME_WAIT",)) == 0
        assert count(without=("localhost",)) == 0
        with pytest.raises(TaskFailed, match=r"'no-such-host\.invalid' cannot be resolved"):
            count(without=("no-such-host.invalid",))


def test_a_plan_may_dial_through_the_host_only(host, server):
    guard.install()
    with guard.planning("x"):
        assert Overlay(host).dial("127.0.0.1", port_of(server), timeout=5) == b""
    with socket.socket() as line, pytest.raises(ImpurePlan, match="connected to"), guard.planning("x"):
        line.connect(server.getsockname())


def test_after_a_pending_request_its_port_is_uncertain(host, server):
    overlay = Overlay(host, imagined=True)
    overlay = overlay.begin("step 4 'reload'")
    Request(Exchange("POST", f"http://127.0.0.1:{port_of(server)}/reload"), affects=()).apply(overlay)
    with pytest.raises(Unsure, match="depends on step 4 'reload'"):
        overlay.dial("127.0.0.1", port_of(server), timeout=5)


class Large(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(80 * 2**20))
        self.end_headers()
        try:
            for _ in range(80):
                self.wfile.write(b"x" * 2**20)
        except OSError:
            return  # the other side has hung up


@pytest.fixture
def large():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Large) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()
        thread.join()


def test_a_body_of_any_size_is_handed_on_in_pieces_or_left_unread(host, large):
    heads: list[Response] = []
    sizes: list[int] = []

    def take(head: Response):
        heads.append(head)
        return lambda piece: sizes.append(len(piece))

    answer = Overlay(host).ask(Exchange("GET", large), take)
    assert (answer.status, answer.body, heads[0].headers["content-length"]) == (200, b"", str(80 * 2**20))
    assert (sum(sizes), max(sizes) <= 2**20) == (80 * 2**20, True)
    assert host.ask(Exchange("GET", large), lambda _: None).status == 200
    with pytest.raises(TaskFailed, match="larger than"):
        host.ask(Exchange("GET", large))


def test_what_takes_a_body_may_refuse_it(host, large):
    def full(_: bytes) -> None:
        raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="No space"):
        host.ask(Exchange("GET", large), lambda _: full)


def test_a_machine_in_memory_answers_for_ports_too():
    closed = Response(0, {}, b"", 0.0)
    ready = Response(200, {}, b"ready", 0.0)
    host = MemoryHost(
        answers={"GET tcp://db:1": [closed, ready], "GET tcp://db:1/connections": [Response(200, {}, b"2", 0.0)]}
    )
    assert [host.dial("db", 1, timeout=1) for _ in range(2)] == [None, b"ready"]
    assert host.connections(1, address="db", states=STATES) == 2
