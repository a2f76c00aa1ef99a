"""Networks of torch: measured in every form beside ONNX Runtime, exported, and quantised as their census demands."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from runbook.errors import TaskFailed
from runbook.measure import ortengine
from tests.measuring import QUICK, write_mlp
from tests.releasing import host_at, played

pytestmark = pytest.mark.torch
NETWORKS = Path(__file__).parents[1] / "torching.py"
TIMING = {"rounds": 6, "starts": 1, "block": "5ms", "threads": 1}
ONCE = {**QUICK, "starts": 1}  # importing torch takes seconds, in each process anew
STRICT = """import torch
from beside import ANSWER
class Strict(torch.nn.Module):
    def forward(self, x):
        assert not self.training and not torch.is_grad_enabled()
        return x.flatten(1) + ANSWER
def make():
    return Strict().train()
def broken():
    return {}["weights"]
def nothing():
    return None
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Give a folder with a network in every form, and with what is no model or not fit to serve."""
    folder = tmp_path_factory.mktemp("torch")
    subprocess.run([sys.executable, NETWORKS, folder], check=True, timeout=300)
    (folder / "strict.py").write_text(STRICT)
    (folder / "beside.py").write_text("ANSWER = 42\n")
    return folder


@pytest.fixture(scope="module")
def dense(saved):
    """Export the network that was saved, with any batch."""
    params = {"model": str(saved / "dense.pt2"), "out": saved / "dense.onnx", "shape": [1, 8, 8]}
    assert played("onnx.export", host_at(saved), **params).data["difference"] < 1e-4
    told = played("onnx.check", host_at(saved), model=saved / "dense.onnx").data
    assert told["inputs"] == [{"name": "input", "type": "float", "shape": ["batch", 1, 8, 8]}]
    return saved / "dense.onnx"


def test_every_form_is_measured_beside_onnx(tmp_path, saved, dense):
    models = [dense, saved / "dense.pt", saved / "dense.pt2", f"{NETWORKS}:dense"]
    params = {**ONCE, "threads": 1, "batches": "1,3"}
    data = played("bench.infer", host_at(tmp_path), candidates=[{"model": str(one)} for one in models], **params).data
    report = json.loads(Path(data["report"]).read_text())
    jsonschema.validate(report, json.loads(Path(ortengine.__file__).with_name("bench_schema.json").read_text()))
    assert [one["engine"] for one in report["candidates"]] == ["onnx", "torch", "torch", "torch"]
    assert [one["providers"]["given"] for one in report["candidates"]] == [["CPUExecutionProvider"], *[["CPU"]] * 3]
    assert len(data["results"]) == 8
    # Hundreds of times as fast or as slow would be another model, or one that is not run.
    assert all(0.02 < one["ratio"] < 10 for one in data["comparisons"])


def test_both_engines_run_one_model_and_the_gate_runs_it_again(tmp_path, saved, dense):
    params = {"engine": "both", "model": str(dense), "batches": 2, **ONCE}
    data = played("bench.infer", host_at(tmp_path), torch=str(saved / "dense.pt2"), **params).data
    assert [(one["a"], one["b"]) for one in data["comparisons"]] == [("onnx", "torch")]
    assert not any("not the same model" in note for note in data["notes"])
    timing = {name: value for name, value in ONCE.items() if name != "plot"}
    again = {"baseline": data["report"], "candidate": "torch", "max_slower": "90%", **timing}
    assert played("bench.gate", host_at(tmp_path), **again).data["passed"] is True
    other = write_mlp(tmp_path / "other.onnx")
    told = played("bench.infer", host_at(tmp_path), torch=str(saved / "dense.pt2"), **params | {"model": str(other)})
    assert "onnx and torch are not the same model: on the same inputs they differ by up to" in told.data["notes"][0]


def test_what_is_loaded_neither_learns_nor_drops(saved, tmp_path):
    """It is put to eval, run without gradients, and may import what is beside it; what cannot be is refused, and why."""
    inputs = [{"name": "x", "dtype": "float32", "shape": [1, 8, 8], "batch": None}]
    np.savez(tmp_path / "in.npz", x=np.zeros((3, 1, 8, 8), np.float32))
    names = ("strict.py:make", "training.pt2", "weights.pt", "strict.py:broken", "strict.py:nothing", "strict.py:none")
    asked = [
        {"do": "load", "key": name, "candidate": {"engine": "torch", "model": str(saved / name), "inputs": inputs}}
        for name in (*names, "two.pt2")
    ]
    files = {"samples": str(tmp_path / "in.npz"), "to": str(tmp_path / "out.npz")}
    asked += [{"do": "outputs", "key": name, "batch": 8, **files} for name in ("strict.py:make", "two.pt2")]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "runbook.measure.worker"],
        input="".join(json.dumps(one) + "\n" for one in asked),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    first, *refused, fixed, answered, guarded = map(json.loads, done.stdout.splitlines())
    assert first["given"] == ["CPU"]
    for told, said in zip(
        refused,
        (
            "was exported while training: its dropout still learns or drops",
            "weights.pt holds no TorchScript",
            "cannot be loaded by PyTorch: KeyError: 'weights'",
            "strict.py:nothing gives NoneType, and not a module",
            "strict.py has no function 'none'",
        ),
        strict=True,
    ):
        assert said in told["refused"]
    assert "file.py:function" in refused[1]["hint"]
    assert "refused" not in fixed
    assert answered["shapes"] == [[3, 64]]
    assert (np.load(tmp_path / "out.npz")["arr_0"] == 42).all()
    assert "two.pt2 cannot be run on a batch of 3: " in guarded["refused"]


def test_a_fixed_batch_is_exported_as_such_or_refused(tmp_path, saved):
    params = {"model": str(saved / "two.pt2"), "out": tmp_path / "net.onnx", "shape": [1, 8, 8]}
    with pytest.raises(TaskFailed, match=r"two\.pt2 cannot be run on \[3, 1, 8, 8\]") as failed:
        played("onnx.export", host_at(tmp_path), **params)
    assert "`dynamic: false` and `batch`" in failed.value.hint
    assert list(tmp_path.iterdir()) == []
    script = {**params, "model": str(saved / "dense.pt"), "dynamic": False, "batch": 2}
    assert played("onnx.export", host_at(tmp_path), **script).data["difference"] < 1e-4
    told = played("onnx.check", host_at(tmp_path), model=tmp_path / "net.onnx").data
    assert told["inputs"][0]["shape"] == [2, 1, 8, 8]


def test_a_network_of_convolutions_is_slower_in_dynamic_int8_and_faster_in_static(tmp_path):
    model = tmp_path / "net" / "resnet.onnx"
    played("onnx.export", host_at(tmp_path), model=f"{NETWORKS}:resnet", out=model, shape=[3, 32, 32])
    params = {"model": model, "out": tmp_path / "int8.onnx", "count": 16, "min_agreement": "0%", **TIMING}
    refused = None
    try:
        slower = played("onnx.quantize", host_at(tmp_path), method="dynamic", **params).data
    except TaskFailed as error:
        refused = error
    if refused is None:
        pytest.skip(f"the machine is too busy to tell: {slower['speedup']:.2f} {slower['interval']}")
    assert re.search(r"not published: INT8 is slower: 0\.\d\d times as fast as FP32", refused.message)
    assert refused.data["speed"]["verdict"] == "worse"
    assert list(tmp_path.iterdir()) == [model.parent]
    data = played("onnx.quantize", host_at(tmp_path), **params).data
    report = json.loads(Path(data["report"]).read_text())
    assert data["method"] == "static"
    assert report["speed"]["verdict"] in ("better", "inconclusive")  # the latter where the machine is too busy to tell
    assert report["operators"]["Conv"] == 20
    assert data["bytes"][1] < data["bytes"][0] / 3


def test_a_transformer_is_quantised_without_calibration(tmp_path):
    model = tmp_path / "net.onnx"
    played("onnx.export", host_at(tmp_path), model=f"{NETWORKS}:transformer", out=model, shape=[32, 128])
    params = {"model": model, "out": tmp_path / "int8.onnx", "count": 32, **TIMING}
    data = played("onnx.quantize", host_at(tmp_path), min_agreement="50%", on_slower="warn", **params).data
    assert data["method"] == "dynamic"
    assert data["bytes"][1] < data["bytes"][0] / 2
