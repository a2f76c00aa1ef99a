"""The service runs models as `ort.optimize` recommends it: from its report to predictions and back to a benchmark."""

import json
from pathlib import Path

import httpx
import onnxruntime
import pytest

from runbook.errors import Invalid, TaskFailed
from runbook.service.classifier import Runtime, load_classifier
from runbook.service.recommended import SessionOptions, read_recommendation
from runbook.service.refusals import Refused
from runbook.tasks.measuring.candidates import Candidate, Options
from tests.measuring import QUICK
from tests.releasing import host_at, played
from tests.service import running_service, write_env
from tests.unit.test_service_start import start


def written(folder, content) -> str:
    path = folder / "options.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_from_the_search_to_the_service_and_back_to_a_benchmark(digits, tmp_path):
    timing = {name: value for name, value in QUICK.items() if name != "plot"}
    played(
        "ort.optimize", host_at(tmp_path), model=digits.good, levels=["basic"], threads=2, **timing, report="found.json"
    )
    report = json.loads((tmp_path / "found.json").read_text())
    recommended = {"model": str(digits.good), "providers": ["CPU"], "options": report["configurations"][0]["options"]}
    (tmp_path / "found.json").write_text(json.dumps({**report, "best": recommended}))  # whatever came out of it
    right = {"X-API-Key": write_env(tmp_path / ".env")}
    options = ("--session-options", str(tmp_path / "found.json"), "--model-cache", str(tmp_path / "graphs"))
    with running_service(digits.good, tmp_path / ".env", *options, log=tmp_path / "log") as service:
        first = httpx.get(f"{service.url}/version").json()
        files = {"file": (digits.samples[7].name, digits.samples[7].read_bytes(), "image/png")}
        answer = httpx.post(f"{service.url}/predict", files=files).json()
        again = httpx.post(f"{service.url}/reload", json={"model_path": str(digits.good)}, headers=right).json()
    assert first["providers"] == ["CPUExecutionProvider"]
    expected = {**SessionOptions().model_dump(), **recommended["options"]}
    assert (expected["level"], expected["threads"]) == ("basic", 2)
    assert first["session"] == {"options": expected, "graph": "made"}
    assert again["session"] == {"options": expected, "graph": "kept"}
    assert answer["label"] == "7"
    told = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert any(line["event"] == "session" and "level basic, threads 2" in line["message"] for line in told)
    played(
        "bench.infer",
        host_at(tmp_path),
        candidates=[{"model": str(digits.good), "name": "by the report", "session_options": "found.json"}],
        batches=1,
        report="bench.json",
        **QUICK,
    )
    played(
        "bench.infer",
        host_at(tmp_path),
        model=str(digits.good),
        session_options="found.json",
        batches=1,
        report="b.json",
        **QUICK,
    )
    for name in ("bench.json", "b.json"):
        (measured,) = json.loads((tmp_path / name).read_text())["candidates"]
        assert measured["options"] == expected
        assert measured["providers"]["asked"] == ["CPU"]


def test_without_a_file_the_service_runs_one_thread_and_says_so(digits, tmp_path):
    with running_service(digits.good, None, "--no-model-cache", log=tmp_path / "log") as service:
        told = httpx.get(f"{service.url}/version").json()["session"]
    assert told == {"options": {**SessionOptions().model_dump(), "threads": 1}, "graph": "made"}


def test_a_search_that_found_nothing_changes_nothing(digits, tmp_path):
    """Its `best` is the model alone; what is not said is as it is without a file."""
    nothing = read_recommendation(Path(written(tmp_path, {"model": str(digits.good)})))
    assert (nothing.options, nothing.providers) == (Runtime().options, Runtime().providers)
    more = {"session_options": "options.json", "batches": 1, "report": "b.json", **QUICK}
    played("bench.infer", host_at(tmp_path), model=str(digits.good), **more)
    (measured,) = json.loads((tmp_path / "b.json").read_text())["candidates"]
    assert measured["options"] == Options().model_dump()
    assert measured["providers"]["asked"] == ["CPU"]


WRONG = [
    ("{", "are no JSON", "is no JSON"),
    ("[" * 100_000, "are no JSON", "is no JSON"),
    ("[1]", "holds no session options", "holds no session options"),
    ({"schema": "runbook.bench/1", "candidates": []}, "is a report, and not of ort.optimize", "not of ort.optimize"),
    ({"options": {"treads": 1}}, "options.treads is unknown", "options.treads"),
    ({"option": {}}, "option is unknown", "'option' is unknown"),
    ({"options": {"threads": -1}}, "options.threads: Input should be greater than or equal to 0", "options.threads"),
    ({"options": {"level": "most"}}, "options.level: Input should be 'disable_all'", "options.level"),
    ({"providers": []}, "providers: ", "providers"),
    ({"providers": ["TPU"]}, "providers.0: Input should be 'CPU', 'CUDA' or 'TensorRT'", "providers.0"),
    ({"options": {"config": {"a": 1}}}, "options.config.a: Input should be a valid string", "options.config.a"),
]


@pytest.mark.parametrize(("content", "text", "_"), WRONG)
def test_a_wrong_file_is_told_with_its_place(tmp_path, content, text, _):
    with pytest.raises(Invalid) as refused:
        read_recommendation(Path(written(tmp_path, content)))
    assert text in refused.value.message
    assert refused.value.message.startswith(("the session options ", str(tmp_path)))
    assert refused.value.hint


@pytest.mark.parametrize(("content", "_", "text"), WRONG)
def test_bench_infer_refuses_the_same_files(digits, tmp_path, content, _, text):
    written(tmp_path, content)
    with pytest.raises(TaskFailed, match=text):
        played("bench.infer", host_at(tmp_path), model=str(digits.good), session_options="options.json", **QUICK)


def test_a_file_that_is_not_there(digits, tmp_path):
    with pytest.raises(Invalid, match="cannot be read: No such file"):
        read_recommendation(tmp_path / "none.json")
    with pytest.raises(TaskFailed, match="there are no session options"):
        played("bench.infer", host_at(tmp_path), model=str(digits.good), session_options="none.json", **QUICK)


def test_what_is_near_is_named(tmp_path):
    with pytest.raises(Invalid) as refused:
        read_recommendation(Path(written(tmp_path, {"options": {"treads": 1}})))
    assert refused.value.hint == "did you mean 'threads'?"


def test_a_cuda_graph_is_not_for_a_service(tmp_path):
    with pytest.raises(Invalid, match=r"options\.cuda_graph"):
        read_recommendation(Path(written(tmp_path, {"options": {"cuda_graph": True}})))


def test_a_provider_that_is_not_there_is_told_with_what_was_given(digits, tmp_path):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this may be a machine with a GPU")
    with pytest.raises(Refused) as refused:
        load_classifier(digits.good, Runtime(providers=("CUDA", "CPU"), strict=True))
    assert refused.value.code == "provider"
    assert refused.value.detail == "the session options ask for CUDA, and ONNX Runtime gave CPUExecutionProvider"
    done = start("--model", digits.good, "--session-options", written(tmp_path, {"providers": ["CUDA", "CPU"]}))
    assert done.returncode == 4
    assert "ask for CUDA, and ONNX Runtime gave CPUExecutionProvider" in done.stderr
    assert "runbook doctor" in done.stderr


@pytest.mark.parametrize(
    "twice",
    [
        ("--session-options", "x", "--threads", "2"),
        ("--session-options", "x", "--providers", "CPU"),
        ("--no-model-cache", "--model-cache", "x"),
    ],
)
def test_nothing_is_said_twice(digits, twice):
    done = start("--model", digits.good, *twice)
    assert done.returncode == 2
    assert twice[-2] in done.stderr or "exclude each other" in done.stderr


def test_the_service_knows_the_options_that_steps_know():
    """Their models stand apart, since neither may import the other."""
    assert SessionOptions.model_fields.keys() == Options.model_fields.keys()
    assert SessionOptions().model_dump() == Options().model_dump()


@pytest.mark.parametrize("more", [{"providers": ["CPU"]}, {"options": {"threads": 1}}])
def test_a_candidate_says_its_options_once(more):
    with pytest.raises(ValueError, match="write one or the other"):
        Candidate.model_validate({"model": "m.onnx", "session_options": "x.json", **more})


@pytest.mark.parametrize("more", [{"cache": True}, {"session_options": "x.json"}])
def test_what_is_of_onnx_runtime_is_refused_for_torch(more):
    with pytest.raises(ValueError, match="are ONNX Runtime's"):
        Candidate.model_validate({"model": "m.pt", **more})
