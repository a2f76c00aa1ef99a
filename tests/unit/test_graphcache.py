"""Kept graphs: the same answers, never another model's, never trusted blindly, and no load fails for them."""

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest

from runbook.service import graphcache, sessions
from runbook.service.classifier import Runtime, load_classifier
from runbook.service.graphcache import GraphCache, usual_folder
from runbook.service.recommended import SessionOptions
from runbook.service.refusals import Refused
from runbook.service.sessions import open_session
from tests.measuring import write_conv, write_mlp
from tests.releasing import host_at, played


@pytest.fixture
def cache(tmp_path):
    return GraphCache(tmp_path / "graphs")


def answers(opened):
    one = opened.session.get_inputs()[0]
    shape = [length if isinstance(length, int) else 2 for length in one.shape]
    return opened.session.run(None, {one.name: np.random.default_rng(0).random(shape, np.float32)})[0]


def load(content, cache, sha256="a" * 64, wanted=("CPU",), **options):
    return open_session(content, {"threads": 1, **options}, list(wanted), kept=cache, sha256=sha256)


@pytest.mark.parametrize("level", ["basic", "extended", "layout", "all"])
@pytest.mark.parametrize("write", [write_conv, write_mlp])
def test_the_second_load_takes_the_kept_graph_and_answers_the_same(tmp_path, cache, write, level):
    content = write(tmp_path / "model.onnx").read_bytes()
    plain = load(content, None, level=level)
    first, second = load(content, cache, level=level), load(content, cache, level=level)
    assert [one.cached for one in (plain, first, second)] == [False, False, True]
    assert np.array_equal(answers(plain), answers(second))
    assert np.array_equal(answers(first), answers(second))
    assert len(list(cache.folder.iterdir())) == 1
    if os.name == "posix":
        assert cache.folder.stat().st_mode & 0o777 == 0o700


def test_what_decides_about_a_graph_is_in_its_name(cache, monkeypatch):
    def key(sha256="a", wanted=("CPU",), **options):
        return cache.key(sha256, options, wanted)

    base = key()
    assert key(threads=4, spinning=True, arena=False) == base
    assert key(level="all", sha256="a") != key(level="basic")
    assert key(level="all") == base
    assert key(config={"session.optimized_model_external_initializers_file_name": "weights"}) is None
    assert key(sha256="b") != base
    assert key(level="disable_all") is None
    assert key(wanted=["TensorRT", "CPU"]) is None
    monkeypatch.setattr(graphcache, "cpu", lambda: ["another"])
    other = key()
    assert other != base
    monkeypatch.setattr(onnxruntime, "__version__", "0.0")
    assert key() not in {base, other}


def test_graphs_for_a_gpu_are_of_that_gpu_and_driver(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(graphcache, "NVIDIA", tmp_path)
    assert cache.key("a", {}, ["CUDA", "CPU"]) is None, "the driver does not tell"
    (tmp_path / "gpus/0000:01:00.0").mkdir(parents=True)
    (tmp_path / "version").write_text("NVRM version: 1\n")
    told = tmp_path / "gpus/0000:01:00.0/information"
    told.write_text("Model: \t\t H200\nIRQ: 5\n")
    first = cache.key("a", {}, ["CUDA", "CPU"])
    told.write_text("Model: \t\t H200\nIRQ: 7\n")
    assert cache.key("a", {}, ["CUDA", "CPU"]) == first
    told.write_text("Model: \t\t A100\nIRQ: 7\n")
    assert cache.key("a", {}, ["CUDA", "CPU"]) not in {first, None}
    assert cache.key("a", {}, ["CUDA"]) != first


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:100] + b"\x00\x00\x00\x00" + content[104:],
        lambda _: b"not a graph at all",
    ],
)
def test_a_damaged_graph_is_replaced(tmp_path, cache, damage):
    content = write_mlp(tmp_path / "model.onnx").read_bytes()
    load(content, cache)
    (kept,) = cache.folder.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    again = load(content, cache)
    assert not again.cached
    assert np.array_equal(answers(again), answers(load(content, cache)))
    assert load(content, cache).cached


def test_a_graph_that_the_runtime_does_not_take_is_replaced(tmp_path, cache):
    content = write_mlp(tmp_path / "model.onnx").read_bytes()
    load(content, cache)
    (kept,) = cache.folder.iterdir()
    kept.write_bytes(b"no model" + graphcache._sum(b"no model") + graphcache.MARK)
    assert not load(content, cache).cached
    assert load(content, cache).cached


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, cache):
    content = write_mlp(tmp_path / "model.onnx").read_bytes()
    load(content, cache)
    cache.folder.chmod(0o777)
    assert not load(content, cache).cached
    cache.folder.chmod(0o755)
    assert load(content, cache).cached
    if os.geteuid() == 0:
        os.chown(cache.folder, 12345, -1)
        assert not load(content, cache).cached


@pytest.mark.parametrize("name", ["/proc/graphs", "file/graphs", "file"])
def test_a_folder_that_cannot_be_made_costs_nothing_but_the_gain(tmp_path, name):
    (tmp_path / "file").touch()
    content = write_mlp(tmp_path / "model.onnx").read_bytes()
    cache = GraphCache(tmp_path / name)
    assert not load(content, cache).cached
    assert not load(content, cache).cached
    assert (tmp_path / "file").read_bytes() == b""


def test_a_folder_that_can_only_be_read_serves_what_it_has(tmp_path, cache):
    content = write_mlp(tmp_path / "model.onnx").read_bytes()
    load(content, cache)
    target = tmp_path / "bound"
    target.mkdir()
    mounting = ["mount", "--bind", "-o", "ro", cache.folder, target]
    if subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("no mounts here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", target], check=True)
        assert load(content, GraphCache(target)).cached
        other = load(content, GraphCache(target), sha256="b" * 64)
        assert not other.cached
        assert len(answers(other))
    finally:
        subprocess.run(["umount", target], check=True)


def test_a_full_disk_leaves_nothing_and_the_model_is_loaded(tmp_path):
    target = tmp_path / "disk"
    target.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", target]
    if subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("no mounts here")
    try:
        content = write_mlp(tmp_path / "model.onnx", width=256).read_bytes()
        assert len(content) > 64_000
        for _ in range(2):
            found = load(content, GraphCache(target))
            assert not found.cached
            assert np.array_equal(answers(found), answers(load(content, None)))
        assert list(target.iterdir()) == []
    finally:
        subprocess.run(["umount", target], check=True)


def test_it_is_bounded_and_what_was_not_used_for_longest_goes(tmp_path):
    content = write_mlp(tmp_path / "model.onnx").read_bytes()
    cache = GraphCache(tmp_path / "graphs", most=2)
    for number, sha256 in enumerate(("a", "b")):
        load(content, cache, sha256=sha256)
        os.utime(cache.folder / cache.key(sha256, {}, ["CPU"]), (number, number))
    assert load(content, cache, sha256="a").cached  # now b was not used for longest
    left = cache.folder / f"x{graphcache.SPARE}"
    left.touch()
    os.utime(left, (time.time() - 2 * graphcache.FORGOTTEN_S,) * 2)
    (cache.folder / f"y{graphcache.SPARE}").touch()
    load(content, cache, sha256="c")
    assert {path.name for path in cache.folder.iterdir()} == {
        *(cache.key(sha256, {}, ["CPU"]) for sha256 in "ac"),
        f"y{graphcache.SPARE}",
    }
    for bound in ("most_bytes", "largest"):
        small = GraphCache(tmp_path / bound, **{bound: 100})
        assert not load(content, small).cached
        assert not small.folder.exists() or list(small.folder.iterdir()) == []


def test_many_at_once_keep_one_whole_graph(tmp_path, cache):
    content = write_conv(tmp_path / "model.onnx").read_bytes()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: answers(load(content, cache)), range(24)))
    assert all(np.array_equal(found[0], one) for one in found)
    assert load(content, cache).cached
    assert len(list(cache.folder.iterdir())) == 1


def test_a_graph_without_what_was_asked_for_is_not_kept(tmp_path, cache, monkeypatch):
    """The CPU's graph under the name of the GPU's would be taken for it when the GPU is back."""
    monkeypatch.setattr(graphcache, "_with_gpu", lambda: ["a GPU"])
    content = write_mlp(tmp_path / "model.onnx").read_bytes()
    found = load(content, cache, wanted=["CUDA", "CPU"])
    if "CUDAExecutionProvider" in found.given:
        pytest.skip("this machine has a GPU")
    assert found.lacking == ["CUDA"]
    assert list(cache.folder.iterdir()) == []


def test_the_service_keeps_graphs_and_not_of_weights_in_files_of_their_own(digits, tmp_path, cache):
    runtime = Runtime(kept=cache)
    first, second = load_classifier(digits.good, runtime), load_classifier(digits.good, runtime)
    assert (first.cached, second.cached) == (False, True)
    assert second.labels == first.labels
    assert second.preprocessing == first.preprocessing
    images = np.random.default_rng(0).random((3, *first.shape), np.float32)
    assert np.array_equal(first.run(images), second.run(images))
    assert first.file == second.file
    assert load_classifier(digits.older, runtime).cached is False, "it is another model"
    paired = tmp_path / "model.onnx"
    options = {"save_as_external_data": True, "location": "weights", "size_threshold": 0}
    onnx.save_model(onnx.load(digits.good), paired, **options)
    held = len(list(cache.folder.iterdir()))
    assert [load_classifier(paired, runtime).cached for _ in range(2)] == [False, False]
    assert len(list(cache.folder.iterdir())) == held


def test_a_damaged_model_is_refused_with_a_cache_too(digits, cache):
    with pytest.raises(Refused, match="damaged or no ONNX model"):
        load_classifier(digits.damaged, Runtime(kept=cache))
    assert list(cache.folder.iterdir()) == []


def test_where_graphs_are_by_default(monkeypatch, tmp_path):
    assert str(usual_folder()) == os.environ["RUNBOOK_MODEL_CACHE"]
    monkeypatch.delenv("RUNBOOK_MODEL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if os.name == "posix":
        assert usual_folder() == tmp_path / "runbook/graphs"


def test_a_candidate_is_measured_by_its_kept_graph(tmp_path):
    write_conv(tmp_path / "model.onnx")
    both = [{"model": "model.onnx", "name": "made"}, {"model": "model.onnx", "name": "kept", "cache": True}]
    timing = {"rounds": 6, "block": "1ms", "plot": False, "batches": 1}
    data = played("bench.infer", host_at(tmp_path), candidates=both, report="bench.json", **timing).data
    assert len(data["results"]) == 2
    told = json.loads((tmp_path / "bench.json").read_text())["candidates"]
    assert [one["graph"] for one in told] == ["made", "kept"]


def test_the_options_of_the_service_are_those_of_the_session(digits, cache):
    options = SessionOptions(level="basic", threads=2, config={"session.use_env_allocators": "0"})
    made = sessions.session_options(options.model_dump())
    assert made.intra_op_num_threads == 2
    assert load_classifier(digits.good, Runtime(options, kept=cache)).options is options
