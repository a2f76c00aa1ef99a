"""What keeps the service from starting, each told with what to do about it; and how it starts."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys

import httpx
import onnx
import pytest
from onnx import TensorProto, helper

from runbook.errors import Invalid
from runbook.service.classifier import Runtime, load_classifier
from runbook.service.refusals import Refused
from runbook.service.server import Wish, run_service
from tests.service import running_service, write_env

RUN = [sys.executable, "-m", "runbook", "service"]


def start(*argv: object, port: int = 0, **options) -> subprocess.CompletedProcess[str]:
    """Run a service that is not to come up."""
    argv = [*RUN, "--port", port, *argv]
    return subprocess.run(list(map(str, argv)), check=False, capture_output=True, text=True, timeout=30, **options)


def test_a_port_that_is_taken_is_told(digits):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = start("--model", digits.good, port=port)
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in done.stderr
    assert "--port; 0 picks a free one" in done.stderr
    assert done.stdout == ""


def refused(**wish) -> Invalid:
    """Try to start one in this process; it tells no address, and gives its log back."""
    handlers = logging.getLogger().handlers
    with pytest.raises(Invalid) as told:
        run_service(Wish(port=0, **{"model": None, **wish}), lambda _: pytest.fail("it has started"))
    assert logging.getLogger().handlers is handlers
    return told.value


@pytest.mark.parametrize(
    ("name", "reason", "hint"),
    [
        ("god.onnx", "did you mean ", "typing error"),
        ("damaged.onnx", "cannot be loaded", "copy the file again"),
        (".", "is a folder", "name the .onnx file in it: it holds "),
    ],
)
def test_a_model_that_cannot_be_served_is_told(digits, tmp_path, name, reason, hint):
    told = refused(model=digits.good.parent / name, log=tmp_path / "log")
    assert reason in told.message
    assert hint in told.hint


def test_no_model_at_all_is_told(tmp_path):
    write_env(tmp_path / ".env", MODEL_PATH="")
    assert refused(env_file=tmp_path / ".env").hint == "give --model PATH, or MODEL_PATH in the env file"


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ("API_KEY=tooshort\n", 0o600, "API_KEY is too short"),
        ("API_KEY=x\n", 0o644, "open to others"),
        (None, 0o600, "no such file"),
    ],
)
def test_a_wrong_env_file_is_told(digits, tmp_path, text, mode, reason):
    file = tmp_path / ".env"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    told = refused(model=digits.good, env_file=file)
    assert reason in told.message
    assert "tooshort" not in str(told)


def test_a_host_that_there_is_not_is_told(digits, tmp_path):
    assert (
        "no.such.host.invalid" in refused(model=digits.good, host="no.such.host.invalid", log=tmp_path / "log").message
    )


def test_a_pid_file_that_cannot_be_written_is_told(digits, tmp_path):
    told = refused(model=digits.good, pid_file=tmp_path / "no/pid", log=tmp_path / "log")
    assert "the pid file" in told.message


def test_wrong_options_are_told(digits):
    done = start("--model", digits.good, "--providers", "CUDA,TPU")
    assert (done.returncode, "'TPU' is unknown; known are CPU, CUDA, TensorRT" in done.stderr) == (2, True)


def test_packages_that_are_not_installed_are_named_with_their_extra(digits, tmp_path):
    """An environment without them, as far as looking for them goes."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name in {'uvicorn', 'onnxruntime'} else find(name, *rest)\n"
    )
    done = start("--model", digits.good, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 4
    assert "uvicorn, onnxruntime" in done.stderr
    assert "pip install 'runbook[serve,onnx]'" in done.stderr


def classifier(path, *, inputs=1, shape=("N", 1, 8, 8), classes=(10,), metadata=None, kind=TensorProto.FLOAT):
    """Write a model that flattens its input, in some odd way."""
    taken = [helper.make_tensor_value_info(f"in{number}", kind, list(shape)) for number in range(inputs)]
    given = helper.make_tensor_value_info("out", kind, ["N", *classes])
    nodes = [helper.make_node("Flatten", ["in0"], ["out"], axis=1)]
    graph = helper.make_graph(nodes, "odd", taken, [given])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {key: json.dumps(value) for key, value in (metadata or {}).items()})
    onnx.save_model(model, path)
    return path


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"inputs": 2, "classes": (64,)}, "takes 2 inputs"),
        ({"shape": ("N", 1, "H", "W"), "classes": ("C",)}, "every length but the first must be a fixed number"),
        ({"shape": (8, 1, 8, 8), "classes": (64,)}, "takes batches of 8 only"),
        ({"kind": TensorProto.INT64, "classes": (64,)}, "takes tensor(int64)"),
        ({"classes": (64,), "metadata": {"labels": ["a"]}}, "has 64 classes, and its metadata `labels`"),
        ({"classes": (64,), "metadata": {"preprocessing": {"size": [4, 4]}}}, "does not make its shape [1, 8, 8]"),
        ({"classes": (64,), "metadata": {"preprocessing": {"size": "x"}}}, "the metadata `preprocessing.size`"),
    ],
)
def test_a_model_that_is_no_image_classifier_is_told(tmp_path, odd, reason):
    with pytest.raises(Refused) as refused:
        load_classifier(classifier(tmp_path / "odd.onnx", **odd), Runtime())
    assert refused.value.code == "unsuitable"
    assert reason in refused.value.detail


def test_an_ipv6_address_is_written_as_urls_have_it_and_the_log_is_on_stderr(digits):
    argv = [*RUN, "--port", "0", "--host", "::1", "--model", str(digits.good)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        told = process.stdout.readline().split()
        if not told:
            pytest.skip("this machine has no IPv6")
        assert told[-1].startswith("http://[::1]:")
        assert httpx.get(f"{told[-1]}/health").status_code == 200
        process.send_signal(signal.SIGUSR1)  # does not end a service that logs to stderr
        assert httpx.get(f"{told[-1]}/health").status_code == 200
        process.terminate()
        _, log = process.communicate(timeout=15)
    assert process.returncode == 0
    assert {json.loads(line)["event"] for line in log.splitlines()} >= {"listening", "request"}


def test_a_relative_path_is_made_absolute_and_a_link_is_not_followed(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    link = tmp_path / "latest.onnx"
    link.symlink_to(digits.good)
    right = {"X-API-Key": write_env(tmp_path / ".env", MODEL_PATH="latest.onnx")}
    with running_service(None, tmp_path / ".env", log=tmp_path / "log") as service:
        first = httpx.get(f"{service.url}/version").json()
        link.unlink()
        link.symlink_to(digits.older)
        again = httpx.post(f"{service.url}/reload", json={"model_path": "latest.onnx"}, headers=right).json()
    assert first["model_path"] == again["model_path"] == str(link)
    assert first["sha256"] != again["sha256"]
