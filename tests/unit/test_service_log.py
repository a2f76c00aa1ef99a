"""The service's log: one JSON object an event, no key in it, errors marked, and rotated without a line lost."""

import io
import json
import logging
import os
import signal
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from runbook.errors import Invalid
from runbook.host import LocalHost
from runbook.registry import Registry
from runbook.secrets import Redactor
from runbook.service.logs import JsonLines, LineWriter
from tests.service import running_service, write_env

ROOT = Path(__file__).parents[2]
SCAN = Registry().spec("logs.scan")


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


def settled(service):
    """Give the lines of all requests so far: that of the last one may follow its answer, and precedes the next answer."""
    httpx.get(f"{service.url}/health")
    return lines(service.log)


def writer_to(path):
    writer = LineWriter(path)
    writer.setFormatter(JsonLines(Redactor()))
    return writer


@pytest.fixture(scope="module")
def served(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("logged")
    key = write_env(folder / ".env")
    more = ["--pid-file", str(folder / "pid")]
    with running_service(digits.good, folder / ".env", *more, log=folder / "api.log") as service:
        yield service, key
    assert not (folder / "pid").exists()


def test_each_request_is_one_line_without_what_may_be_secret(served):
    service, _ = served
    httpx.get(f"{service.url}/health?token=hush", headers={"authorization": "hush", "x-request-id": "mine-1"})
    told = [line for line in settled(service) if line.get("request_id") == "mine-1"]
    assert len(told) == 1
    assert told[0]["event"] == "request"
    assert (told[0]["method"], told[0]["path"], told[0]["status"]) == ("GET", "/health", 200)
    assert told[0]["level"] == "INFO"
    assert told[0]["time"].endswith("Z")
    assert "hush" not in service.log.read_text()


def test_the_key_is_in_no_line_wherever_a_client_puts_it(served):
    service, key = served
    right = {"X-API-Key": key}
    httpx.get(f"{service.url}/{key}?key={key}", headers={**right, "origin": f"https://{key}", "x-request-id": key})
    httpx.post(f"{service.url}/reload", json={"model_path": f"/{key}"}, headers=right)
    httpx.post(f"{service.url}/reload", json={"model_path": f"/{key}"}, headers={"X-API-Key": key[:-1]})
    httpx.post(f"{service.url}/predict", files={"file": (f"{key}.png", b"no image", "image/png")})
    told = settled(service)
    text = service.log.read_text()
    assert key not in text
    assert "/***" in text
    assert [line["level"] for line in told if line.get("status") == 401] == ["WARNING"]


def test_pages_of_other_origins_are_told_so_that_they_can_be_counted(served):
    service, _ = served
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    httpx.options(f"{service.url}/predict", headers=asked)
    httpx.get(f"{service.url}/health", headers={"origin": "https://evil.example"})
    httpx.get(f"{service.url}/health", headers={"origin": service.url})
    told = [line for line in settled(service) if line.get("origin") == "https://evil.example"]
    assert [(line["cors"], line["preflight"]) for line in told] == [("refused", True), ("refused", False)]
    assert not [line for line in settled(service) if line.get("origin") == service.url]
    preflights = [line["preflight"] for line in lines(service.log) if line.get("cors") == "refused"]
    counted = {'"cors": "refused"': len(preflights), '"cors": "refused", "preflight": true': sum(preflights)}
    httpx.get(
        f"{service.url}/health", headers={"origin": "https://audit.invalid"}
    )  # as an audit asks: it is not counted
    settled(service)
    ignored = ['[.]invalid"', '"origin": "null"']
    for pattern, number in counted.items():  # by the step that the docs have
        assert pattern in (ROOT / "docs/SECURITY.md").read_text()
        assert f"ignore: {ignored}" in (ROOT / "docs/SECURITY.md").read_text()
        want = SCAN.params(paths=str(service.log), patterns=[pattern], ignore=ignored)
        with closing(LocalHost(now=datetime.now(UTC), cwd=service.log.parent, env={}, run_id="count")) as host:
            assert SCAN.function(want, host)["errors"] == number


def test_a_reload_that_fails_is_an_error(served, digits):
    service, key = served
    httpx.post(f"{service.url}/reload", json={"model_path": str(digits.damaged)}, headers={"X-API-Key": key})
    told = [line for line in settled(service) if line["event"] == "reload_failed"]
    assert {line["level"] for line in told} == {"ERROR"}
    assert "cannot be loaded" in told[-1]["message"]


def test_the_log_is_rotated_by_a_signal_and_loses_nothing(served):
    """As logrotate does it: the file is renamed, then the signal is sent."""
    service, _ = served
    old = service.log.with_name("api.log.1")
    service.log.rename(old)
    for number in (
        "before",
        "meanwhile",
    ):  # the line of the first precedes the second's answer; the second's may be late
        httpx.get(f"{service.url}/health", headers={"x-request-id": number})
    os.kill(int(service.log.with_name("pid").read_text()), signal.SIGUSR1)
    while not service.log.exists() or "log reopened" not in service.log.read_text():
        assert service.process.poll() is None
    httpx.get(f"{service.url}/health", headers={"x-request-id": "after"})
    assert "before" in [line.get("request_id") for line in lines(old)]
    assert "after" in [line.get("request_id") for line in settled(service)]
    told = [
        line for line in lines(old) + lines(service.log) if line.get("request_id") in ("before", "meanwhile", "after")
    ]
    assert len(told) == 3
    assert "log_reopened" in [line["event"] for line in lines(service.log)[:2]]


def test_a_log_that_cannot_be_reopened_goes_on_in_the_old_file(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    writer = writer_to(folder / "api.log")
    logger = logging.getLogger("runbook.service")
    logger.addHandler(writer)
    try:
        folder.rename(tmp_path / "moved")
        writer.reopen()
    finally:
        logger.removeHandler(writer)
        writer.close()
    told = lines(tmp_path / "moved/api.log")
    assert [line["event"] for line in told] == ["log_not_reopened"]
    assert str(folder / "api.log") in told[0]["message"]


def test_a_log_that_cannot_be_opened_is_told(tmp_path):
    with pytest.raises(Invalid, match=r"the log .* cannot be opened: Is a directory"):
        LineWriter(tmp_path)


def test_texts_of_any_kind_make_one_line_of_json(tmp_path):
    writer = writer_to(tmp_path / "log")
    odd = f'a "%s"\n{chr(0xDCFF)}{chr(0x2028)}'
    try:
        raise ValueError("a\nb")  # noqa: TRY301 - for its traceback
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, odd, ("b\n",), sys.exc_info())
    record.path = tmp_path
    writer.handle(record)
    writer.close()
    told = lines(tmp_path / "log")
    assert len(told) == 1
    assert told[0]["traceback"].endswith("ValueError: a\nb")
    assert told[0]["path"] == str(tmp_path)


def test_a_log_on_a_full_disk_does_not_stop_the_service(monkeypatch):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    writer = writer_to(full)
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    writer.handle(logging.LogRecord("x", logging.INFO, "", 0, "text", (), None))
    assert "No space left" in said.getvalue()
    writer.close()
