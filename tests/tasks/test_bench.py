"""Real models, measured in processes of their own: the shape of the report, its invariants, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import jsonschema
import numpy as np
import onnxruntime
import pytest
from PIL import Image

from runbook.errors import TaskFailed
from runbook.host import Overlay
from runbook.measure import drawing, ortengine, plot, telling, worker
from runbook.measure.bench import _at_target
from runbook.measure.crew import Hand
from runbook.measure.refusals import Refused
from runbook.service import sessions
from runbook.service.digits import write_samples
from runbook.tasks.measuring import candidates, child
from tests.measuring import QUICK, write_mlp
from tests.releasing import host_at, played

SCHEMA = json.loads((Path(ortengine.__file__).parent / "bench_schema.json").read_text())


@pytest.fixture
def model(tmp_path):
    return write_mlp(tmp_path / "model.onnx")


def test_candidates_are_measured_and_compared(tmp_path, model):
    other = write_mlp(tmp_path / "heavy.onnx", width=512, depth=4)
    samples = write_samples(tmp_path / "samples/deep")
    record = played(
        "bench.infer",
        host_at(tmp_path),
        candidates=[
            {"model": str(model), "name": "a"},
            {"model": str(other), "name": "b", "options": {"level": "basic"}},
        ],
        batches="1,4",
        threads=1,
        inputs=f"{tmp_path}/samples/**/*.png",
        latency_target="10s",
        **{**QUICK, "plot": True},
    )
    data = record.data
    report = json.loads(Path(data["report"]).read_text())
    jsonschema.validate(report, SCHEMA)
    assert Path(data["report"]) == tmp_path / "reports/bench_20260310T020000Z.json"
    assert report["created"] == "2026-03-10T02:00:00Z"
    assert report["settings"]["images"] == len(samples)
    assert [(one["name"], one["options"]["level"], one["options"]["threads"]) for one in report["candidates"]] == [
        ("a", "all", 1),
        ("b", "basic", 1),
    ]
    assert [(one["candidate"], one["batch"]) for one in data["results"]] == [("a", 1), ("b", 1), ("a", 4), ("b", 4)]
    for one in report["results"]:
        marks = [one["latency_ms"][name]["value"] for name in ("p50", "p90", "p95", "p99")]
        assert marks == sorted(marks)
        assert all(low <= high for low, high in (each["interval"] for each in one["latency_ms"].values()))
        assert len(one["rounds_ms"]) == 6
        assert one["throughput"]["value"] > 0
        assert one["cpu_seconds_per_sample"] > 0
    assert [(one["a"], one["b"], one["batch"]) for one in data["comparisons"]] == [("a", "b", 1), ("a", "b", 4)]
    for one in data["comparisons"]:
        assert one["interval"][0] <= one["ratio"] <= one["interval"][1]
        assert one["ratio"] < 1  # it has two hundred times the work
    assert [one["candidate"] for one in data["at_target"]] == ["a", "b"]
    margin = "Compared in paired rounds; less than 3 % is no difference"
    files = [f"{one['name']}: {one['model']}" for one in report["candidates"]]
    shown = (
        "Latency and throughput",
        "The most within 10000 ms",
        "Candidates",
        *files,
        f"inputs: {len(samples)} images",
        margin,
    )
    assert [line for line in data["msg"].splitlines() if line in shown] == list(shown)
    assert "table" not in report
    assert all(one["peak_bytes"] > 2**20 and len(one["sha256"]) == 64 for one in report["candidates"])
    picture = ET.parse(data["plot"]).getroot()
    words = {one.text for one in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {
        "a: model.onnx",
        "b: heavy.onnx",
        f"model.onnx, heavy.onnx; inputs: {len(samples)} images",
        "Latency, ms, logarithmic (p50; dashed: p95)",
        "Throughput, samples/s",
        "batch size (samples at once)",
    } <= words


def test_a_picture_is_drawn_where_and_as_it_is_asked_for(tmp_path, model):
    picture = tmp_path / "pictures/latest.png"
    data = played("bench.infer", host_at(tmp_path), model=str(model), batches=1, **{**QUICK, "plot": picture}).data
    assert data["plot"] == str(picture)
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert image.getpixel((0, 0)) == (255, 255, 255)
        assert {(0, 114, 178), (51, 51, 51)} <= {colour for _, colour in image.getcolors(2**20)}


def test_dashes_go_around_corners():
    dashed = drawing.Line(((0, 0), (6, 0), (6, 6)), dash=4)
    assert dashed.pieces() == [((0, 0), (4, 0)), ((6, 2), (6, 6))]
    assert drawing.Line(((0, 0), (6, 0), (6, 6))).pieces() == [((0, 0), (6, 0)), ((6, 0), (6, 6))]
    assert drawing.Words((0, 0), "a<b\x07").svg() == '<text x="0" y="0">a&lt;b\\x07</text>'


@pytest.mark.parametrize(
    ("low", "top", "marks"),
    [(0.03, 0.9, [0.02, 0.05, 0.1, 0.2, 0.5, 1]), (3, 3, [2, 5]), (1.5, 30, [1, 2, 5, 10, 20, 50])],
)
def test_marks_of_a_logarithmic_axis_are_round_and_enclose_the_values(low, top, marks):
    assert plot.log_ticks(low, top) == pytest.approx(marks)


def test_nothing_is_measured_in_check(tmp_path, model):
    host = Overlay(host_at(tmp_path), imagined=True)
    record = played("bench.infer", host, model=str(model), **QUICK)
    assert [change["kind"] for change in record.changes] == ["make folder", "produce"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx"]


def test_each_number_of_threads_is_a_candidate(tmp_path, model):
    record = played("bench.infer", host_at(tmp_path), model=str(model), threads="1,2", batches=1, **QUICK)
    names = ["model.onnx, 1 threads", "model.onnx, 2 threads"]
    assert [one["candidate"] for one in record.data["results"]] == names
    assert [(one["a"], one["b"]) for one in record.data["comparisons"]] == [tuple(names)]


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is there")
@pytest.mark.parametrize("require", [False, True])
def test_a_provider_that_is_not_there_is_told_or_refused(tmp_path, model, require):
    params = {"model": str(model), "providers": "CUDA,CPU", "batches": 1, "require": require, **QUICK}
    if require:
        with pytest.raises(TaskFailed, match=r"CUDA was required, and CUDA is not to be had here \(ONNX Runtime has "):
            played("bench.infer", host_at(tmp_path), **params)
        assert not list(tmp_path.glob("reports/*"))
    else:
        report = json.loads(Path(played("bench.infer", host_at(tmp_path), **params).data["report"]).read_text())
        assert report["candidates"][0]["providers"] == {
            "asked": ["CUDA", "CPU"],
            "given": ["CPUExecutionProvider"],
            "lacking": ["CUDA"],
        }
        assert not any("CUDA" in note for note in report["notes"]), "of a machine without a GPU nobody expects it"
        alone = played("bench.infer", host_at(tmp_path), **{**params, "providers": "CUDA"}).data
        assert "model.onnx: CUDA asked for and not there; it ran on CPUExecutionProvider" in alone["notes"]
        assert "CPU, not CUDA" in alone["msg"]


@pytest.mark.parametrize(
    ("what", "params", "said"),
    [
        ("damaged", {}, "is damaged or no ONNX model: a field of an unknown kind at byte"),
        ("fixed", {"batches": 2}, "takes batches of 1 only, not of 2"),
        ("image", {"inputs": "bad.png"}, "bad.png is no image that can be read"),
        ("large", {"batches": "1,1,100000000000"}, r"model.onnx: the inputs of a batch of 100000000000 take .*TB, and"),
    ],
)
def test_what_cannot_be_measured_is_refused_and_no_report_is_left(tmp_path, model, what, params, said):
    if what == "damaged":
        model.write_bytes(b"\x08\x08no model")
    elif what == "fixed":
        write_mlp(model, batch=1)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(TaskFailed, match=said):
        played("bench.infer", host_at(tmp_path), model=str(model), **{"batches": 1, **params, **QUICK})
    assert not list(tmp_path.glob("reports/*"))


def test_what_a_batch_takes_too_much_of_is_told_with_a_hint():
    said = r"m\.onnx cannot be run on a batch of 9: Unable to allocate"
    with pytest.raises(Refused, match=said) as refused, worker.refusing("m.onnx", 9):
        raise MemoryError("Unable to allocate 12 TiB")
    assert refused.value.hint == "measure smaller `batches`"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_report_that_cannot_be_written_names_its_folder_and_what_was_measured(tmp_path, model):
    host = host_at(tmp_path)
    asked = {"candidates": [{"name": "m", "engine": "onnx", "model": str(model)}], "batches": [1], "created": "now"}
    timing = {"rounds": 6, "starts": 1, "block": 0.001, "margin": 0.03}
    with pytest.raises(TaskFailed, match="to the folder /dev: No space left on device") as failed:
        child.work(host, "bench", Path("/dev/full"), **asked, **timing)
    assert "free some space" in failed.value.hint
    assert "Latency and throughput" in failed.value.data["table"]


def test_a_model_of_another_kind_is_told_and_no_gate_takes_it(tmp_path, model):
    wide = write_mlp(tmp_path / "wide.onnx", side=12)
    both = [{"model": str(model), "name": "a"}, {"model": str(wide), "name": "b"}]
    data = played("bench.infer", host_at(tmp_path), candidates=both, batches=1, **QUICK).data
    kinds = r"a takes (1, 8, 8) and b takes (1, 12, 12): they are models of another kind, whose speeds do not compare"
    assert kinds in data["notes"]
    timing = {name: value for name, value in QUICK.items() if name != "plot"}
    with pytest.raises(TaskFailed, match=r"old takes \(1, 8, 8\) and new takes \(1, 12, 12\)") as failed:
        played("bench.gate", host_at(tmp_path), baseline=data["report"], model=str(wide), **timing)
    assert "renew=true" in failed.value.hint


@pytest.mark.parametrize(("value", "read"), [("1, 8,1", (1, 8)), (4, (4,)), ([2, "4"], (2, 4))])
def test_batches_are_read_each_once(value, read):
    assert candidates._batches(value) == list(read)


@pytest.mark.parametrize("value", ["a,b", "-4", -4, 0, "1,,2", [True], 1.5, "²"])
def test_what_is_no_batch_is_told_in_plain_words(value):
    with pytest.raises(ValueError, match=r"is no batch size: write whole numbers from 1, as 1,4 or \[1, 4\]"):
        candidates._batches(value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_what_the_machine_refuses_a_process_is_told(tmp_path, model):
    """It is no crash: its coordinator hears what there was no room for."""
    samples = tmp_path / "given.npz"
    np.savez(samples, image=np.zeros((2, 1, 8, 8), np.float32))
    (tmp_path / "full.npz").symlink_to("/dev/full")
    with Hand() as hand:
        hand.load("m", {"engine": "onnx", "model": str(model)})
        with pytest.raises(Refused, match="No space left on device") as refused:
            hand.ask("outputs", key="m", samples=str(samples), to=str(tmp_path / "full.npz"), batch=2)
        assert "free some space" in refused.value.hint
        with pytest.raises(Refused, match="No such file or directory"):
            hand.ask("outputs", key="m", samples=str(tmp_path / "none.npz"), to=str(tmp_path / "x"), batch=2)


def test_who_was_killed_is_named_with_what_it_did(model):
    with Hand() as hand:
        hand.load("m", {"engine": "onnx", "model": str(model)})
        hand._process.kill()
        said = (
            "the process that was to warm up m at a batch of 2 ended: killed by signal 9; was there too little memory"
        )
        with pytest.raises(Refused, match=said):
            hand.ask("warm", key="m", batch=2)


def test_times_are_written_short():
    assert [telling.short_time(one) for one in (5.19e-6, 0.0132, 2.5)] == ["5.19 µs", "13.2 ms", "2.5 s"]


def test_no_worker_outlives_its_coordinator(model):
    """It ends with its stdin; what the libraries print does not get between the answers."""
    asked = [
        {"do": "load", "key": "m", "candidate": {"engine": "onnx", "model": str(model)}},
        {"do": "warm", "key": "m", "batch": 2},
        {"do": "block", "key": "m", "batch": 2, "calls": 3, "longest": 60},
        {"do": "load", "key": "n", "candidate": {"engine": "onnx", "model": "/nowhere.onnx"}},
    ]
    lines = "".join(json.dumps(one) + "\n" for one in asked)
    command = [sys.executable, "-P", "-m", "runbook.measure.worker"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[0]["inputs"] == [{"name": "image", "dtype": "float32", "shape": [1, 8, 8], "batch": None}]
    assert len(told[2]["times"]) == 3
    assert "/nowhere.onnx" in told[3]["refused"]


def test_without_torch_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "find_spec", lambda _: None)
    (tmp_path / "net.pt").write_bytes(b"PK")
    with pytest.raises(TaskFailed, match="needs PyTorch") as failed:
        played("bench.infer", host_at(tmp_path), model="net.pt", engine="torch", **QUICK)
    assert failed.value.hint == "pip install 'runbook[torch]'"


def test_peak_memory_is_the_process_s_own():
    """The kernel's `ru_maxrss` would begin with that of the process that started it."""
    held = b"x" * 300_000_000
    code = "from runbook.measure.machine import peak_bytes; held = b'x' * 64_000_000; print(peak_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 64_000_000 < int(done.stdout) < 200_000_000 < len(held)


def test_the_options_that_are_built():
    """Those of CUDA too, which this machine may not have."""
    made = sessions.session_options(
        {
            "level": "layout",
            "threads": 3,
            "inter_threads": 2,
            "parallel": True,
            "spinning": True,
            "arena": False,
            "config": {"session.use_env_allocators": "0"},
        }
    )
    assert (made.intra_op_num_threads, made.inter_op_num_threads, made.enable_cpu_mem_arena) == (3, 2, False)
    assert made.graph_optimization_level.name == "ORT_ENABLE_LAYOUT"
    assert made.execution_mode.name == "ORT_PARALLEL"
    assert made.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    assert made.get_session_config_entry("session.force_spinning_stop") == "1"
    here = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    options = {"workspace": True, "cuda_graph": True}
    cuda = ("CUDAExecutionProvider", {"cudnn_conv_use_max_workspace": "1", "enable_cuda_graph": "1"})
    assert sessions.provider_list(["CUDA", "CPU"], options, here) == [cuda, "CPUExecutionProvider"]
    assert sessions.provider_list(["TensorRT"], {}, here) == ["TensorrtExecutionProvider"]
    assert sessions.provider_list(["CUDA"], options, ["CPUExecutionProvider"]) == ["CPUExecutionProvider"]


class Recorder:
    """A session on a GPU as far as it is spoken to, and what stands for its memory there."""

    def __init__(self):
        self.said = []

    def get_providers(self):
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def get_outputs(self):
        return [SimpleNamespace(name="scores")]

    def io_binding(self):
        return self

    def run(self, names, feed, options):
        self.said.append(("run", names, options.get_run_config_entry("gpu_graph_id")))
        return [np.zeros((len(feed["image"]), 10), np.float32)]

    def run_with_iobinding(self, binding, options=None):
        assert binding is self
        self.said.append(("bound run", options and options.get_run_config_entry("gpu_graph_id")))

    def __getattr__(self, name):
        return lambda *args: self.said.append((name, *args))


def spoken(monkeypatch, *, cuda_graph: bool) -> list[tuple]:
    session = Recorder()
    place = SimpleNamespace(
        ortvalue_from_numpy=lambda array, *where: ("copy", array.shape, *where),
        ortvalue_from_shape_and_type=lambda shape, kind, *where: ("room", shape, np.dtype(kind).name, *where),
    )
    monkeypatch.setattr(onnxruntime, "OrtValue", place)
    model = ortengine.OrtModel("m.onnx", session, [], None, {}, cuda_graph)
    call = model.call({"image": np.ones((4, 3), np.float32)})
    call()
    call()
    return session.said


def test_on_a_gpu_inputs_and_outputs_are_bound_once(monkeypatch):
    said = spoken(monkeypatch, cuda_graph=False)
    assert [one[0] for one in said] == ["bind_cpu_input", "bind_output", "bound run", "bound run"]
    assert said[1] == ("bind_output", "scores")


def test_a_cuda_graph_has_places_of_its_own_for_each_batch(monkeypatch):
    assert spoken(monkeypatch, cuda_graph=True) == [
        ("run", ["scores"], "-1"),
        ("bind_ortvalue_input", "image", ("copy", (4, 3), "cuda", 0)),
        ("bind_ortvalue_output", "scores", ("room", (4, 10), "float32", "cuda", 0)),
        ("bound run", "4"),
        ("bound run", "4"),
    ]


def test_the_libraries_that_pip_has_brought_are_loaded_before_a_session_on_a_gpu(tmp_path, monkeypatch, capsys):
    loaded = []
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: loaded.append(print("Failed to load libcublas")))
    sessions._preload.cache_clear()
    model = str(write_mlp(tmp_path / "model.onnx"))
    sessions.open_session(model, {}, ["CPU"])
    assert loaded == []
    for _ in range(2):
        sessions.open_session(model, {}, ["CUDA", "CPU"])
    assert len(loaded) == 1
    assert capsys.readouterr().out == "", "the service's stdout has one line"
    sessions._preload.cache_clear()


def test_the_best_throughput_within_the_target():
    results = [
        {"candidate": "a", "batch": batch, "latency_ms": {"p95": {"value": p95}}, "throughput": {"value": rate}}
        for batch, p95, rate in ((1, 2.0, 500), (8, 9.0, 900), (32, 30.0, 1100))
    ]
    p95 = {"value": 9.0, "interval": [8.0, 11.0]}
    results[1]["latency_ms"]["p95"] = p95
    found = {"candidate": "a", "target_ms": 10.0, "batch": 8, "throughput": 900, "p95_ms": p95, "sure": False}
    assert _at_target(results, 10.0) == [found]
    assert _at_target(results, 12.0)[0]["sure"] is True
    assert set(_at_target(results, 1.0)[0].values()) == {"a", 1.0, None}
    assert _at_target(results, None) == []


@pytest.mark.parametrize(("top", "marks"), [(0.07, 5), (1, 6), (99, 6), (123456, 6)])
def test_marks_of_an_axis_are_round_and_reach_beyond_the_values(top, marks):
    found = plot.ticks(top / 3, top)
    assert found[0] == 0
    assert found[-2] < top <= found[-1] * (1 + 1e-9)
    assert abs(len(found) - marks) <= 2
