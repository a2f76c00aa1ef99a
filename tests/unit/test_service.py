"""The reference service by its contracts, on a real server."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.service import running_service, write_env

SEVEN = 7


@pytest.fixture(scope="module")
def served(digits, tmp_path_factory):
    """Give a client of a running service, its key and its log; each test leaves `good` serving."""
    folder = tmp_path_factory.mktemp("service")
    key = write_env(folder / ".env", MODEL_PATH=digits.good)
    with (
        running_service(None, folder / ".env", log=folder / "api.log") as service,
        httpx.Client(base_url=service.url, timeout=20) as client,
    ):
        yield client, {"X-API-Key": key}, service


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def image(path: Path) -> dict:
    return {"file": (path.name, path.read_bytes(), "image/png")}


def test_it_is_healthy_and_ready(served):
    client, _, _ = served
    assert client.get("/health").json()["status"] == "healthy"
    ready = {"ready": True, "reloading": False, "worker": "worker-0", "state": "ready", "in_flight": 0}
    assert client.get("/ready").json() == ready


def test_version_says_what_serves(served, digits):
    version = served[0].get("/version").json()
    assert version["model_path"] == str(digits.good)
    assert version["sha256"] == sha256(digits.good)
    assert version["classes"] == 10
    assert version["labels"] == [*"0123456789"]
    assert version["input_shape"] == [1, 8, 8]
    assert version["files"] == [{"name": "good.onnx", "sha256": version["sha256"]}]
    assert version["loaded_at"].endswith("Z")


def test_an_image_is_predicted(served, digits):
    answer = served[0].post("/predict", files=image(digits.samples[SEVEN])).json()
    assert answer["label"] == "7"
    assert answer["class"] == SEVEN
    assert answer["confidence"] == max(answer["probabilities"]) > 0.5
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert answer["sha256"] == sha256(digits.good)


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: [rows], lambda rows: [[rows]]])
def test_an_array_is_predicted_with_or_without_its_outer_dimensions(served, wrap):
    answer = served[0].post("/predict", json={"array": wrap([[0.5] * 8] * 8)}).json()
    assert len(answer["probabilities"]) == 10


def test_a_reload_is_proven_by_version_and_by_the_answers(served, digits):
    client, key, _ = served
    answer = client.post("/reload", json={"model_path": str(digits.older)}, headers=key)
    assert answer.status_code == 200
    assert (answer.json()["model_path"], answer.json()["sha256"]) == (str(digits.older), sha256(digits.older))
    assert client.get("/version").json()["sha256"] == sha256(digits.older)
    assert client.post("/predict", files=image(digits.samples[0])).json()["sha256"] == sha256(digits.older)
    assert client.post("/reload", json={"model_path": str(digits.good)}, headers=key).status_code == 200


def test_switching_takes_less_than_a_second(served, digits):
    client, key, _ = served
    answer = client.post("/reload", json={"model_path": str(digits.good)}, headers=key).json()
    assert answer["switch_s"] < 1
    assert answer["requests_left"] == []


def test_the_same_path_is_loaded_again(served, digits):
    client, key, _ = served
    answer = client.post("/admin/model/reload", headers=key).json()
    assert answer["success"] is True
    assert answer["sha256"] == sha256(digits.good)


def refusals(digits, folder):
    """Give each model that cannot be loaded, with the status, the code and a word of the reason."""
    empty, text, pipe = folder / "empty.onnx", folder / "text.onnx", folder / "pipe.onnx"
    empty.touch()
    text.write_text("no model")
    os.mkfifo(pipe)
    return [
        (digits.good.with_name("god.onnx"), 404, "missing", f"did you mean {digits.good}?"),
        (digits.good / "below", 404, "missing", "there is no file"),
        (digits.good.parent, 422, "unsuitable", "no regular file"),
        (pipe, 422, "unsuitable", "no regular file"),
        (digits.damaged, 422, "damaged", "damaged"),
        (empty, 422, "damaged", "empty"),
        (text, 422, "damaged", "no ONNX model"),
        (digits.five, 422, "class_mismatch", "5 classes"),
        ("a\0b", 422, "request", "no file has such a name"),
        ("\udcff.onnx", 404, "missing", "there is no file"),
    ]


def test_a_model_that_cannot_serve_is_refused_and_the_old_one_serves_on(served, digits, tmp_path):
    client, key, _ = served
    before = client.get("/version").json()
    for path, status, code, reason in refusals(digits, tmp_path):
        body = json.dumps({"model_path": str(path)})
        answer = client.post("/reload", content=body, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
        assert reason in answer.json()["detail"]
        assert client.get("/version").json() == before


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"model_path": 3}', '{"model_path": ""}', "{", "\xff"])
def test_a_reload_of_nothing_says_what_to_send(served, body):
    client, key, _ = served
    answer = client.post("/reload", content=body.encode("latin-1"), headers=key)
    assert answer.status_code == 422
    assert "model_path" in answer.json()["detail"]


@pytest.mark.parametrize("route", ["/reload", "/batch", "/admin/model/reload"])
@pytest.mark.parametrize("given", [{}, {"X-API-Key": "0" * 64}, {"X-API-Key": ""}])
def test_without_the_key_nothing_is_done(served, digits, route, given):
    answer = served[0].post(route, json={"model_path": str(digits.older)}, headers=given)
    assert (answer.status_code, answer.json()["code"]) == (401, "key")
    assert served[0].get("/version").json()["model_path"] == str(digits.good)


def test_sigterm_ends_it_with_0(digits, tmp_path):
    with running_service(digits.good, log=tmp_path / "log") as service:
        assert httpx.get(f"{service.url}/health").status_code == 200
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=10) == 0


def start(*argv: object) -> subprocess.CompletedProcess[str]:
    """Run a service that is not to come up."""
    argv = [sys.executable, "-m", "runbook", "service", "--port", "0", *map(str, argv)]
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)


def test_a_missing_model_is_told_at_the_start(digits):
    done = start("--model", digits.good.with_name("god.onnx"))
    assert done.returncode == 4
    assert f"did you mean {digits.good}?" in done.stderr
    assert done.stdout == ""
