"""Real models checked, compared and quantised: the gates hold, and what does not pass is not published."""

import hashlib
import json
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest

from runbook.errors import TaskFailed
from runbook.host import Overlay
from runbook.measure import quantising
from runbook.measure.graphs import census, method_for, read_graph
from runbook.measure.judging import judged
from runbook.measure.quantising import _reasons
from runbook.measure.refusals import Refused
from runbook.service.digits import load_digits, write_model
from runbook.tasks.measuring.quantised import hint_for
from tests.measuring import write_conv, write_mlp
from tests.releasing import host_at, played

SCHEMA = json.loads(Path(quantising.__file__).with_name("quantize_schema.json").read_text())
QUICK = {"rounds": 6, "block": "1ms", "threads": 1, "on_slower": "warn"}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Give a trained model, and samples that it was not trained on, with their labels."""
    folder = tmp_path_factory.mktemp("digits")
    write_model(folder / "model.onnx", epochs=15)
    images, labels = load_digits(10)
    held = len(images) // 6
    np.savez(folder / "held.npz", image=images[-held:, None], labels=labels[-held:])
    return folder


@pytest.fixture
def folder(digits, tmp_path):
    for file in digits.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_a_network_is_quantised_judged_by_real_samples_and_published_once(folder):
    params = {"model": folder / "model.onnx", "samples": folder / "held.npz", "max_drop": 2, **QUICK}
    record = played("onnx.quantize", host_at(folder), **params)
    data, report = record.data, json.loads((folder / "trial/model.int8.json").read_text())
    assert (data["published"], data["method"]) == (False, "dynamic")
    assert onnx.load(data["path"]).graph.node
    jsonschema.validate(report, SCHEMA)
    assert report["quality"]["samples"] == 128
    flips = data["flips"]
    assert data["drop"] == pytest.approx(100 * (flips["lost"] - flips["gained"]) / 128, abs=1e-3)
    assert min(data["accuracy"]) > 0.8
    assert data["agreement"] > 0.95
    assert data["bound"] >= 2.3
    assert data["interval"][0] <= data["speedup"] <= data["interval"][1]
    again = played("onnx.quantize", host_at(folder), **params)
    assert (again.changes, again.data) == ([], data)
    (folder / "trial/model.int8.onnx").write_bytes(b"another's")
    assert len(played("onnx.quantize", host_at(folder), **params).changes) == 2
    with np.load(folder / "held.npz") as held:
        np.savez(folder / "held.npz", image=held["image"][::-1], labels=held["labels"][::-1])
    assert len(played("onnx.quantize", host_at(folder), **params).changes) == 2, "other samples under the same name"


def test_nothing_is_made_in_check(folder):
    host = Overlay(host_at(folder), imagined=True)
    record = played("onnx.quantize", host, model=folder / "model.onnx", **QUICK)
    assert [change["kind"] for change in record.changes] == ["make folder", "produce", "produce"]
    assert not list(folder.rglob("*int8*"))


@pytest.mark.parametrize(
    ("verdict", "kinds"), [("worse", ["remove", "produce", "produce"]), ("better", ["produce"] * 2)]
)
def test_a_model_whose_report_says_that_it_is_slower_loses_its_name(folder, verdict, kinds):
    """Only that one: what was accepted once is perhaps in service."""
    made = folder / "model.int8.onnx"
    made.write_bytes(b"\x08\x08")
    told = {"sha256": hashlib.sha256(made.read_bytes()).hexdigest(), "speed": {"verdict": verdict}, "made_of": {}}
    made.with_suffix(".json").write_text(json.dumps(told))
    host = Overlay(host_at(folder), imagined=True)
    record = played("onnx.quantize", host, model=folder / "model.onnx", **{**QUICK, "on_slower": "fail"})
    assert [change["kind"] for change in record.changes] == kinds
    trial = played("onnx.quantize", Overlay(host_at(folder), imagined=True), model=folder / "model.onnx", **QUICK)
    assert [change["kind"] for change in trial.changes] == ["make folder", "produce", "produce"]


def test_a_model_that_loses_accuracy_is_refused_and_nothing_is_published(folder):
    """Ranges found on inputs a thousand times as small clip whatever real ones make."""
    with np.load(folder / "held.npz") as held:
        np.savez(folder / "tiny.npz", image=held["image"] / 1000)
    with pytest.raises(TaskFailed, match=r"not published: top-1 drops by .* points on 128 samples") as failed:
        played(
            "onnx.quantize",
            host_at(folder),
            model=folder / "model.onnx",
            method="static",
            samples=folder / "held.npz",
            calibration=folder / "tiny.npz",
            **QUICK,
        )
    jsonschema.validate(failed.value.data, SCHEMA)
    assert failed.value.data["published"] is False
    assert failed.value.data["quality"]["flips"]["lost"] > 10
    assert failed.value.hint.startswith("try another `method`")
    assert not list(folder.rglob("*int8*"))


def test_convolutions_are_calibrated_and_without_labels_agreement_is_the_gate(tmp_path):
    model = write_conv(tmp_path / "conv.onnx")
    data = played("onnx.quantize", host_at(tmp_path), model=model, count=16, min_agreement="10%", **QUICK).data
    assert data["method"] == "static"
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(census(read_graph(data["path"])))
    assert data["drop"] is None
    assert data["notes"][:2] == [
        "synthetic inputs, no labelled samples: the gate is agreement with FP32, not accuracy",
        "calibrated on synthetic inputs: give `samples` of your own",
    ]


def verdict(**other):
    quality = {"labelled": True, "drop": 0.0, "agreement": 1.0, "samples": 128, "flips": {"lost": 0, "gained": 0}}
    speed = {"verdict": "better", "ratio": 2.0, "interval": [1.9, 2.1]}
    asked = {"max_drop": 0.5, "min_agreement": 0.95, "on_slower": "fail"}
    return _reasons(*({**one, **{k: v for k, v in other.items() if k in one}} for one in (asked, quality, speed)))


def test_the_gates():
    assert verdict() == ([], [])
    slower = {"verdict": "worse", "ratio": 0.28, "interval": [0.2, 0.3]}
    assert verdict(**slower)[0] == ["INT8 is slower: 0.28 times as fast as FP32 (0.20 to 0.30); do not deploy it"]
    assert verdict(**slower, on_slower="warn")[0] == []
    assert verdict(drop=0.4) == ([], [])
    assert "1 lost, 0 gained" in verdict(drop=0.78, flips={"lost": 1, "gained": 0})[0][0]
    assert verdict(labelled=False, agreement=0.9)[0] == ["it agrees with FP32 on 90.00% only; 95% is wanted"]
    assert verdict(verdict="inconclusive", ratio=1.01) == ([], ["no faster as far as can be told: 1.01 times"])


def test_the_hint_is_for_the_gate_that_was_closed():
    """More samples make no model faster."""
    drops, slower = (verdict(drop=9)[0], verdict(verdict="worse")[0])
    assert hint_for(drops).startswith("try another `method`")
    assert hint_for(slower).startswith("serve FP32")
    assert "; or serve FP32" in hint_for([*drops, *slower])


def test_flips_are_counted_both_ways():
    before, after = np.eye(4)[[0, 1, 2, 3]], np.eye(4)[[0, 2, 2, 1]]
    found = judged([before], [after], np.asarray([0, 1, 3, 1]))
    assert found["flips"] == {"lost": 1, "gained": 1, "net": 0}
    assert (found["drop"], found["agreement"], found["accuracy"]) == (0.0, 0.5, [0.5, 0.5])
    with pytest.raises(Refused, match="different shapes"):
        judged([before], [after[:, :3]], None)


@pytest.mark.parametrize(
    ("operators", "method"),
    [({"Conv": 20, "Gemm": 1}, "static"), ({"MatMul": 12, "Conv": 1}, "dynamic"), ({"LSTM": 1}, "dynamic")],
)
def test_the_census_chooses(operators, method):
    assert method_for(operators) == method
    with pytest.raises(Refused, match="nothing to quantise"):
        method_for({"Relu": 3})


def test_a_model_is_checked_with_its_external_data(tmp_path):
    model = write_mlp(tmp_path / "model.onnx")
    onnx.save_model(onnx.load(model), model, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    found = played("onnx.check", host_at(tmp_path), model=model).data
    assert found["external"] == ["model.onnx.data"]
    assert found["bytes"] == sum(file.stat().st_size for file in tmp_path.iterdir())
    assert found["opset"]["ai.onnx"] == 17
    assert found["inputs"] == [{"name": "image", "type": "float", "shape": ["N", 1, 8, 8]}]
    (tmp_path / "model.onnx.data").unlink()
    with pytest.raises(TaskFailed, match=r"model\.onnx\.data"):
        played("onnx.check", host_at(tmp_path), model=model)


def test_weights_in_a_file_of_their_own_are_quantised_and_weighed_too(tmp_path):
    model = write_mlp(tmp_path / "model.onnx", width=256)
    whole = model.stat().st_size
    onnx.save_model(onnx.load(model), model, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    data = played("onnx.quantize", host_at(tmp_path), model=model, count=16, min_agreement="50%", **QUICK).data
    assert data["bytes"][0] >= whole * 0.99
    assert data["bytes"][1] < whole / 2
    (tmp_path / "model.onnx.data").write_bytes(bytes((tmp_path / "model.onnx.data").stat().st_size))
    again = played("onnx.quantize", Overlay(host_at(tmp_path), imagined=True), model=model, count=16, **QUICK)
    assert len(again.changes) == 2, "other weights under the same name"


def test_an_invalid_graph_is_refused(tmp_path):
    model = onnx.load(write_mlp(tmp_path / "model.onnx"))
    model.graph.node[1].input[0] = "nobody makes this"
    onnx.save_model(model, tmp_path / "model.onnx")
    with pytest.raises(TaskFailed, match="is no valid ONNX model"):
        played("onnx.check", host_at(tmp_path), model=tmp_path / "model.onnx")


NET = """import torch
def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 10))
"""


@pytest.mark.torch
def test_a_torch_model_is_exported_whole_and_once(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    params = {"model": f"{tmp_path}/net.py:make", "out": tmp_path / "net.onnx", "shape": [3, 8, 8]}
    record = played("onnx.export", host_at(tmp_path), **params)
    assert record.data["difference"] < 1e-4
    assert sorted(path.name for path in tmp_path.glob("net.*")) == ["net.export.json", "net.onnx", "net.py"]
    told = played("onnx.check", host_at(tmp_path), model=tmp_path / "net.onnx").data
    assert (told["external"], told["inputs"][0]["shape"]) == ([], ["batch", 3, 8, 8])
    assert played("onnx.export", host_at(tmp_path), **params).changes == []
    with pytest.raises(TaskFailed, match="has no function 'build'"):
        played("onnx.export", host_at(tmp_path), **{**params, "model": f"{tmp_path}/net.py:build"})
    with pytest.raises(TaskFailed, match=r"cannot be run on \[2, 1, 8, 8\]"):
        played("onnx.export", host_at(tmp_path), **{**params, "shape": [1, 8, 8]})


def test_models_are_compared(folder):
    other = write_mlp(folder / "other.onnx")
    params = {"a": folder / "model.onnx", "samples": folder / "held.npz", "count": 50}
    same = played("onnx.compare", host_at(folder), b=folder / "model.onnx", **params).data
    assert (same["samples"], same["agreement"], same["largest_difference"], same["drop"]) == (50, 1.0, 0.0, 0.0)
    with pytest.raises(TaskFailed, match=r"they agree on .*% of 50 samples only"):
        played("onnx.compare", host_at(folder), b=other, min_agreement="90%", **params)
    with pytest.raises(TaskFailed, match="they differ by up to"):
        played("onnx.compare", host_at(folder), b=other, max_difference=0.001, **params)
    np.savez(folder / "bad.npz", picture=np.zeros((2, 1, 8, 8)))
    with pytest.raises(TaskFailed, match="has no array 'image', which the model takes; it has picture"):
        played("onnx.compare", host_at(folder), b=other, a=other, samples=folder / "bad.npz")


def test_a_folder_for_each_label_holds_samples(folder):
    from PIL import Image

    images, labels = load_digits(10)
    for number, (image, label) in enumerate(zip(images[-40:], labels[-40:], strict=True)):
        place = folder / "samples" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(place / f"{number}.png")
    params = {"a": folder / "model.onnx", "b": folder / "model.onnx", "samples": folder / "samples"}
    found = played("onnx.compare", host_at(folder), **params).data
    assert found["samples"] == 40
    assert min(found["accuracy"]) > 0.7
    (folder / "samples/7").rename(folder / "samples/seven")
    with pytest.raises(TaskFailed, match="the model has no label 'seven'"):
        played("onnx.compare", host_at(folder), **params)
    assert Path(folder / "samples/seven").is_dir()
