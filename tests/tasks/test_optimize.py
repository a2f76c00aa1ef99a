"""What is tried, and a real model gets options that bench.infer and the gate take."""

import json
from contextlib import suppress
from pathlib import Path

import jsonschema
import onnxruntime
import pytest

from runbook.checkup.models import Tried
from runbook.errors import TaskFailed
from runbook.measure import optimising
from runbook.measure.optimising import described, space
from runbook.measure.refusals import Refused
from runbook.tasks import bench
from runbook.units import Percent
from tests.measuring import QUICK, write_mlp
from tests.releasing import host_at, played

ASKED = {
    "providers": [["CPU"]],
    "level": ["basic", "all"],
    "threads": [1, 2],
    "spinning": [False, True],
    "parallel": [False],
    "inter_threads": [0],
    "arena": [True],
    "workspace": [False, True],
}
HERE = ["CPUExecutionProvider"]


def test_the_space_leaves_out_what_makes_no_sense():
    found, notes = space(ASKED, HERE)
    assert len(found) == 6  # one thread does not spin, and the workspace is CUDA's
    assert notes == []
    assert described(found[0]) == "CPU: level basic, threads 1"
    with_cuda, notes = space({**ASKED, "providers": [["CUDA", "CPU"], ["CPU"]]}, ["CUDAExecutionProvider", *HERE])
    assert len(with_cuda) == 18
    assert [one["options"]["workspace"] for one in with_cuda[:2]] == [False, True]
    assert space({**ASKED, "providers": [["CUDA"], ["CPU"]]}, HERE)[1] == [
        "CUDA is skipped: CUDA is not to be had here"
    ]
    with pytest.raises(Refused, match="nothing is left to try"):
        space({**ASKED, "providers": [["CUDA"]]}, HERE)


WITH_GPU = ["TensorrtExecutionProvider", "CUDAExecutionProvider", *HERE]


def test_a_provider_that_is_required_fails_before_anything_is_measured(tmp_path):
    asked = {**ASKED, "require": True, "providers": [["CUDA", "CPU"], ["CPU"]]}
    why = {"CUDAExecutionProvider": "libcublas.so.13: not found"}
    with pytest.raises(Refused) as refused:
        space(asked, HERE, why)
    assert refused.value.text == "CUDA,CPU was required, and CUDA is not to be had here (libcublas.so.13: not found)"
    assert len(space(asked, WITH_GPU)[0]) == 18
    assert space({**asked, "require": False}, HERE, why)[1] == [
        "CUDA,CPU is skipped: CUDA is not to be had here (libcublas.so.13: not found)"
    ]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this may be a machine with a GPU")
    write_mlp(tmp_path / "model.onnx")
    with pytest.raises(TaskFailed, match="CUDA was required, and CUDA is not to be had here"):
        played("ort.optimize", host_at(tmp_path), model="model.onnx", require=True)
    assert not (tmp_path / "reports/ort_bench.json").exists()


def test_tensorrt_is_named_where_it_is(tmp_path):
    left_out = space(ASKED, WITH_GPU)[1]
    assert left_out == ["TensorRT is there and was not asked for: `providers: ['TensorRT,CUDA', CUDA, CPU]`"]
    found, notes = space({**ASKED, "providers": [["TensorRT", "CUDA"]]}, WITH_GPU)
    assert (len(found), notes) == (12, [])


def test_what_is_listed_and_no_use_is_not_searched(monkeypatch):
    """A session would run on the CPU in silence, and be taken for one on the GPU."""
    told = Tried(WITH_GPU[1:], {"CUDAExecutionProvider": "no driver", "CPUExecutionProvider": None})
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: WITH_GPU[1:])
    monkeypatch.setattr(optimising, "try_providers", lambda: told)
    asked = {**ASKED, "providers": [["CUDA"], ["CPU"]]}
    assert space(asked, *optimising._providers(asked))[1] == ["CUDA is skipped: CUDA is not to be had here (no driver)"]
    monkeypatch.setattr(optimising, "try_providers", lambda: pytest.fail("nobody asks for it"))
    assert optimising._providers(ASKED) == (WITH_GPU[1:], {})


def test_a_real_model_is_optimised_and_the_recommendation_can_be_measured(tmp_path):
    model = write_mlp(tmp_path / "model.onnx")
    timing = {name: value for name, value in QUICK.items() if name != "plot"}
    data = played("ort.optimize", host_at(tmp_path), model=model, levels=["basic", "all"], **timing, threads=1).data
    assert data["tried"] == 2
    assert data["interval"][0] <= data["speedup"] <= data["interval"][1]
    assert data["notes"][0] == "CUDA is skipped: CUDA is not to be had here"
    report = json.loads((tmp_path / data["report"]).read_text())
    jsonschema.validate(report, json.loads(Path(optimising.__file__).with_name("optimize_schema.json").read_text()))
    assert report["calls"] > 0
    better = report["final"]["verdict"] == "better"
    assert better or (data["speedup"], data["best"]) == (1.0, {"model": str(model)})
    said = "times as fast as ONNX Runtime's default" if better else "keep what you have: nothing tried is faster"
    assert said in data["advice"]
    assert f"recommended: {data['advice']}" in data["msg"]
    measured = played("bench.infer", host_at(tmp_path), candidates=[data["best"]], batches=1, **QUICK).data
    assert measured["results"]


def test_the_gate_runs_the_old_configuration_beside_the_new_one(tmp_path):
    model, heavy = write_mlp(tmp_path / "model.onnx"), write_mlp(tmp_path / "heavy.onnx", width=768, depth=4)
    timing = {name: value for name, value in QUICK.items() if name != "plot"}
    options = {"threads": 1}
    first = played(
        "bench.infer", host_at(tmp_path), candidates=[{"model": str(model), "options": options}], batches=2, **QUICK
    )
    baseline = first.data["report"]
    with suppress(TaskFailed):  # it is slower, but how much of that a busy machine lets be seen is not for a test
        played("bench.gate", host_at(tmp_path), baseline=baseline, model=str(heavy), **timing)
    report = json.loads((tmp_path / "reports/gate_20260310T020000Z.json").read_text())
    assert [(one["name"], one["options"]["threads"]) for one in report["candidates"]] == [("old", 1), ("new", 1)]
    passed = played("bench.gate", host_at(tmp_path), baseline=baseline, max_slower="90%", **timing)
    assert passed.data["passed"] is True
    model.write_bytes(heavy.read_bytes())
    with pytest.raises(TaskFailed, match="is not the model that"):
        played("bench.gate", host_at(tmp_path), baseline=baseline, **timing)


def test_noise_alone_closes_no_gate():
    vague = {"batch": 1, "ratio": 0.8, "interval": [0.5, 1.2], "verdict": "inconclusive"}
    assert bench._passed({"comparisons": [vague]}, Percent.parse("5%"))
    slower = {**vague, "interval": [0.7, 0.85], "verdict": "worse"}
    with pytest.raises(TaskFailed, match=r"by more than 5%: batch 1: 0\.80 times as fast \(0\.70 to 0\.85\)") as failed:
        bench._passed({"comparisons": [vague, slower], "table": "all of it"}, Percent.parse("5%"))
    assert (failed.value.data["passed"], failed.value.data["table"]) == (False, "all of it")
    assert "renew=true" in failed.value.hint
