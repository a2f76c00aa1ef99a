"""bench.yml, optimize.yml and quantize.yml on a small real model."""

import json
from pathlib import Path

import pytest

from runbook.testing import changes_of, plan_of, play
from tests.measuring import write_mlp


@pytest.fixture
def model(tmp_path):
    return write_mlp(tmp_path / "model.onnx")


def test_a_model_is_measured_against_another(model, tmp_path):
    inputs = {"model": str(model), "against": str(model), "batches": "1", "report": f"{tmp_path}/out/bench.json"}
    plan = plan_of("bench.yml", inputs)
    check = play(plan, mode="check")
    assert [step["status"] for step in check["steps"]] == ["changed", "skipped"]
    assert not (tmp_path / "out").exists()
    run = play(plan)
    assert run["status"] == "ok"
    assert [change["kind"] for change in changes_of(run)] == ["make folder", "produce", "produce"]
    assert [(one["a"], one["b"]) for one in run["steps"][0]["data"]["comparisons"]] == [("against", "model")]
    assert Path(run["steps"][0]["data"]["plot"]).is_file()


def test_a_session_is_optimised(model, tmp_path):
    run = play(plan_of("optimize.yml", {"model": str(model), "budget": "1s", "report": f"{tmp_path}/ort.json"}))
    assert run["status"] == "ok"
    best = run["steps"][0]["data"]["best"]
    assert run["steps"][1]["data"]["msg"].startswith(run["steps"][0]["data"]["advice"])
    found = {"model": str(model), "batches": "1", "session_options": f"{tmp_path}/ort.json"}
    measured = play(plan_of("bench.yml", {**found, "report": f"{tmp_path}/bench.json"}))
    assert measured["status"] == "ok"
    (told,) = json.loads((tmp_path / "bench.json").read_text())["candidates"]
    assert told["providers"]["asked"] == best.get("providers", ["CUDA", "CPU"])
    assert {**told["options"], **best.get("options", {})} == told["options"]


def test_a_model_is_quantised_once(model, tmp_path):
    plan = plan_of("quantize.yml", {"model": str(model), "on_slower": "warn"})
    run = play(plan)
    assert [step["status"] for step in run["steps"]] == ["changed", "ok", "ok"]
    assert "trial/model.int8.onnx (a trial, not to be served): " in run["steps"][2]["data"]["msg"]
    assert list(tmp_path.glob("*.onnx")) == [model], "what was not accepted is no model of this folder"
    again = play(plan)
    assert (again["status"], changes_of(again)) == ("ok", [])
