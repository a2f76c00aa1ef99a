"""gate.yml on small real models: the first is kept, and a slower one fails however long its file has been gone."""

import json

import onnx
import pytest

from runbook.testing import changes_of, plan_of, play
from tests.measuring import write_mlp


@pytest.fixture
def gate(tmp_path):
    """Give the function that plays it in this folder, with small budgets."""
    (tmp_path / "export").mkdir()

    def played(model, mode="run", **more):
        inputs = {"exp_dir": str(tmp_path), "model": str(model), "batches": "1", "rounds": "10", **more}
        return play(plan_of("gate.yml", inputs), mode=mode)

    return played


def step(report, name):
    return next(step for step in report["steps"] if step["name"].startswith(name))


def test_the_first_is_kept_and_a_slower_one_fails_until_it_is_accepted(gate, tmp_path):
    quick = write_mlp(tmp_path / "export/quick.onnx")
    slow = write_mlp(tmp_path / "export/slow.onnx", width=512, depth=4)

    check = gate(quick, mode="check")
    assert (check["status"], (tmp_path / "reports").exists()) == ("ok", False)
    first = gate(quick)
    assert first["status"] == "ok"
    assert step(first, "Run the baseline")["status"] == "skipped"
    kept = tmp_path / "reports/baseline"
    assert (kept / "model.onnx").read_bytes() == quick.read_bytes()
    assert json.loads((kept / "bench.json").read_text())["candidates"][0]["name"] == "baseline"

    quick.unlink()  # what was exported is cleared away one day
    failed = gate(slow)
    assert failed["status"] == "failed", step(failed, "Say how")
    assert step(failed, "Run the baseline")["error"]["message"].startswith(
        "slower than the old one by more than 5%: batch"
    )
    assert (
        json.loads(next((tmp_path / "reports").glob("gate_*.json")).read_text())["comparisons"][0]["verdict"] == "worse"
    )
    assert (kept / "model.onnx").read_bytes() != slow.read_bytes()

    assert gate(slow, renew="true")["status"] == "ok"
    again = gate(slow)
    assert again["status"] == "ok", again["steps"]
    assert [change["kind"] for change in changes_of(again)] == ["produce"]
    assert step(again, "Say how it compares")["items"][0]["data"]["msg"].startswith("batch 1: ")


def test_a_model_is_kept_with_the_data_beside_it(gate, tmp_path):
    model = onnx.load(write_mlp(tmp_path / "one.onnx", width=64))
    where = tmp_path / "export/model.onnx"
    onnx.save(model, where, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert gate(where)["status"] == "ok"
    for path in (tmp_path / "export").iterdir():
        path.unlink()
    assert gate(tmp_path / "one.onnx")["status"] == "ok"
    assert {path.name for path in (tmp_path / "reports/baseline").iterdir()} == {
        "bench.json", "bench.svg", "model.onnx", "weights.bin"
    }  # fmt: skip


def test_a_model_that_is_damaged_is_no_baseline(gate, tmp_path):
    model = write_mlp(tmp_path / "export/model.onnx")
    model.write_bytes(model.read_bytes()[:500])
    failed = gate(model)
    assert step(failed, "See that the model is whole")["status"] == "failed"
    assert not (tmp_path / "reports").exists()


def test_a_baseline_that_was_changed_is_told(gate, tmp_path):
    model = write_mlp(tmp_path / "export/model.onnx")
    gate(model)
    write_mlp(tmp_path / "reports/baseline/model.onnx", seed=1)
    failed = gate(model)
    assert "is not the model that" in step(failed, "Run the baseline")["error"]["message"]
    assert gate(model, renew="true")["status"] == "ok"
