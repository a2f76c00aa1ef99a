"""rotate_logs.yml under the real service: it answers all the while, and its log is whole when the archives are joined."""

import json
import os
import threading
import urllib.request

import pytest

from runbook.testing import changes_of, plan_of, play
from tests.service import running_service, write_env
from tests.writing import archived, everything


@pytest.fixture
def service(tmp_path, digits_in):
    digits, env_file = digits_in(tmp_path), tmp_path / ".env"
    write_env(env_file)
    with running_service(digits.good, env_file, log=tmp_path / "api.log") as running:
        yield running


def rotate(log, mode="run", **inputs):
    told = {"log": str(log), "max_size": "1kB", **inputs}
    return play(plan_of("rotate_logs.yml", told), mode=mode)


@pytest.mark.parametrize("inputs", [{}, {"signal": "USR1"}], ids=["as it is", "by its signal"])
def test_the_service_goes_on_and_no_line_is_lost(service, inputs):
    asked, done = 0, threading.Event()

    def ask():
        nonlocal asked
        while not done.is_set():
            with urllib.request.urlopen(f"{service.url}/health", timeout=5) as answer:
                assert answer.status == 200
            asked += 1

    client = threading.Thread(target=ask)
    client.start()
    try:
        for _ in range(3):
            while service.log.stat().st_size < 10_000:  # more than a block, so that the check and the run choose alike
                done.wait(0.01)
            check = rotate(service.log, "check", **inputs)
            report = rotate(service.log, **inputs)
            assert report["status"] == "ok", report["steps"][0]["error"]
            data = report["steps"][0]["data"]
            assert data["rotated"]
            assert data["loss_possible"] is False
            assert data["method"] == check["steps"][0]["data"]["method"]
            assert [(each["kind"], each["target"]) for each in changes_of(check)] == [
                (each["kind"], each["target"]) for each in changes_of(report)
            ]
            if inputs:
                assert data["method"] == "reopen"
    finally:
        done.set()
        client.join()
    service.process.terminate()  # a line is written once its answer is sent: the last one is certain now
    service.process.wait(timeout=15)
    assert len(archived(service.log)) == 3
    lines = [json.loads(line) for line in everything(service.log).splitlines()]
    assert sum(line.get("path") == "/health" for line in lines) == asked


def test_a_log_that_is_not_due(tmp_path):
    log = tmp_path / "cloudflared.log"
    log.write_text("a line\n")
    report = play(plan_of("rotate_logs.yml", {"log": str(log)}))
    assert changes_of(report) == []
    assert report["steps"][0]["data"]["reason"].startswith("7B, ")
    assert os.listdir(tmp_path) == ["cloudflared.log"]


def test_what_may_be_lost_is_said(service):
    while service.log.stat().st_size < 100:
        pass
    report = rotate(service.log, max_size="1B", method="copytruncate")
    assert "may have been lost" in report["steps"][1]["reason"]
