"""The reference service under load, on a real server: what clients see of reloads, refusals and its end."""

import hashlib
import signal
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.service import running_service, write_env

CLIENTS = 8


@contextmanager
def served(model, folder, **settings):
    """Give a running service and a client of it that has the key."""
    key = write_env(folder / ".env", **settings)
    with (
        running_service(model, folder / ".env", log=folder / "api.log") as service,
        httpx.Client(base_url=service.url, timeout=20, headers={"X-API-Key": key}) as client,
    ):
        yield service, client


@pytest.fixture(scope="module")
def shared(digits, tmp_path_factory):
    """Give one service for the tests that leave it as it was."""
    with served(digits.good, tmp_path_factory.mktemp("shared")) as running:
        yield running


class Clients:
    """Clients that ask for predictions without a pause. `newest` is how many reloads were answered before a request."""

    def __init__(self, url: str, sample: Path) -> None:
        self.newest = 0
        self.seen: list[tuple[int, int, str]] = []  # reloads before it, status, sha256
        self.wrong: list[Exception] = []
        self._url = url
        self._file = {"file": (sample.name, sample.read_bytes(), "image/png")}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20) as client:
            while not self._stop.is_set():
                before = self.newest
                try:
                    answer = client.post("/predict", files=self._file)
                except httpx.HTTPError as error:
                    self.wrong.append(error)
                    continue
                self.seen.append((before, answer.status_code, answer.json().get("sha256")))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        while len(self.seen) < CLIENTS and not self.wrong:
            self._stop.wait(0.01)
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(20)


def test_thirty_reloads_under_load_fail_no_request_and_none_is_answered_by_an_older_model(shared, digits, tmp_path):
    shas = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (digits.good, digits.older)]
    service, admin = shared
    with Clients(service.url, digits.samples[3]) as clients:
        for number in range(1, 31):
            path = (digits.good, digits.older)[number % 2]
            answer = admin.post("/reload", json={"model_path": str(path)})
            assert answer.json()["sha256"] == shas[number % 2]
            assert answer.json()["switch_s"] < 1
            clients.newest = number
            if number == 15:
                for wrong, status in ((digits.damaged, 422), (digits.five, 422), (tmp_path / "gone.onnx", 404)):
                    assert admin.post("/reload", json={"model_path": str(wrong)}).status_code == status
                assert admin.get("/version").json()["sha256"] == shas[1]
            threading.Event().wait(0.01)
    assert clients.wrong == []
    assert {status for _, status, _ in clients.seen} == {200}
    # Begun after reload n had been answered, a request is answered by that model or, while n + 1 is made, by the next.
    late = [entry for entry in clients.seen if entry[0] == 30]
    assert late
    assert {sha for _, _, sha in late} == {shas[0]}
    assert {sha for _, _, sha in clients.seen} == set(shas)
    assert len({before for before, _, _ in clients.seen}) > 10


def hostile(folder: Path, digits) -> list[tuple[dict, int]]:
    """Give requests that are to be refused, with the status of each."""
    png = digits.samples[0].read_bytes()
    large = png + b"\0" * 21_000_000
    return [
        ({"url": "/predict", "files": {"file": ("a.png", large, "image/png")}}, 413),
        ({"url": "/predict", "files": {"file": ("a.png", b"no image", "image/png")}}, 415),
        ({"url": "/predict", "files": {"file": ("a.exe", png, "image/png")}}, 415),
        ({"url": "/predict", "files": {"file": ("a.png", png, "text/plain")}}, 415),
        ({"url": "/batch", "files": {"files": ("a.png", png, "image/png")}}, 401),
        ({"url": "/batch", "files": {"files": ("a.png", png, "image/png")}, "headers": {"X-API-Key": "0" * 64}}, 401),
        ({"url": "/reload", "json": {"model_path": str(digits.older)}}, 401),
        ({"url": "/reload", "json": {"model_path": str(digits.older)}, "headers": {"X-API-Key": "0" * 64}}, 401),
        ({"url": "/batch", "files": {"files": ("a.png", large, "image/png")}, "headers": {"X-API-Key": "0" * 64}}, 413),
        ({"url": "/predict", "content": iter([b"x" * 1_000_000] * 30)}, 415),
        ({"url": "/predict", "content": iter([b"["] * 30), "headers": {"content-type": "application/json"}}, 422),
        (
            {
                "url": "/predict",
                "content": iter([b"0," * 500_000] * 8),
                "headers": {"content-type": "application/json"},
            },
            413,
        ),
    ]


def test_hostile_requests_are_refused_while_others_are_served_and_memory_stays_flat(shared, digits, tmp_path):
    service, _ = shared
    with Clients(service.url, digits.samples[3]) as clients:
        process = psutil.Process(service.process.pid)
        before = process.memory_info().rss
        for _ in range(2):
            for request, status in hostile(tmp_path, digits):
                assert httpx.post(service.url + request.pop("url"), timeout=20, **request).status_code == status
        grown = process.memory_info().rss - before
    assert clients.wrong == []
    assert {status for _, status, _ in clients.seen} == {200}
    assert grown < 40_000_000


def raw(service, text: bytes) -> socket.socket:
    """Send something to the service; the socket is the caller's."""
    host, port = service.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(text)
    return connection


def received(connection: socket.socket) -> bytes:
    """Give all that the service sends before it closes the connection."""
    return b"".join(iter(lambda: connection.recv(10_000), b""))


def test_a_client_that_leaves_in_the_middle_of_its_upload_is_only_noted(shared):
    service, client = shared
    before = len(service.log.read_text())
    form = b"content-type: multipart/form-data; boundary=b\r\ncontent-length: 9999"
    raw(service, b"POST /predict HTTP/1.1\r\nhost: x\r\n" + form + b"\r\n\r\n--b\r\n").close()
    while '"status": 499' not in service.log.read_text()[before:]:
        assert client.get("/health").status_code == 200
    assert '"ERROR"' not in service.log.read_text()[before:]


def test_a_client_that_breaks_the_protocol_is_told_so_and_is_no_error_of_ours(shared):
    service, client = shared
    before = len(service.log.read_text())
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    for body, answer in ((b"zz\r\n", b"HTTP/1.1 400 "), (b"5\r\nab", b"")):
        with raw(service, head + body) as connection:
            connection.shutdown(socket.SHUT_WR)
            assert received(connection).startswith(answer)
    assert client.get("/health").status_code == 200
    assert '"ERROR"' not in service.log.read_text()[before:]


def test_a_client_that_waits_for_100_continue_is_refused_before_it_sends(shared):
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 21000000\r\n\r\n"
    with raw(shared[0], head) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_reloads_at_the_same_time_are_refused_or_done_one_after_the_other(shared, digits):
    service, admin = shared
    codes = []

    def ask():
        body = {"model_path": str(digits.good)}
        codes.append(httpx.post(f"{service.url}/reload", json=body, headers=admin.headers, timeout=20).status_code)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(codes) == 12
    assert {200} <= set(codes) <= {200, 409}
    assert admin.get("/version").json()["model_path"] == str(digits.good)


def test_sigterm_lets_a_request_end(digits, tmp_path):
    """The upload of the request at work ends after the signal, and is answered all the same."""
    png = digits.samples[7].read_bytes()
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="7.png"\r\nContent-Type: image/png\r\n\r\n'
    body = part + png + b"\r\n--b--\r\n"
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: {len(body)}\r\n\r\n"
    with served(digits.good, tmp_path) as (service, client), raw(service, head.encode() + body[:50]) as connection:
        while "api_requests_in_flight 2.0" not in client.get("/metrics").text:
            pass
        service.process.send_signal(signal.SIGTERM)
        while "Shutting down" not in service.log.read_text():
            assert service.process.poll() is None
        connection.sendall(body[50:])
        assert b'"label":"7"' in received(connection)
        assert service.process.wait(15) == 0


def test_a_request_that_does_not_end_holds_the_end_up_no_longer_than_the_drain_timeout(digits, tmp_path):
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n"
    with served(digits.good, tmp_path, DRAIN_TIMEOUT="1s") as (service, client), raw(service, head):
        while "api_requests_in_flight 2.0" not in client.get("/metrics").text:
            pass
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) == 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_it_can_be_ended_again_and_again(digits, tmp_path, name):
    with running_service(digits.good, log=tmp_path / "log") as service:
        for _ in range(3):
            service.process.send_signal(getattr(signal, name))
        assert service.process.wait(15) == 0
