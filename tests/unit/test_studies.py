"""What the studies count as right, the models that they ask about, and the pages that they write."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
import pytest

from benchmarks.studies import pages, peers, search
from benchmarks.studies.burners import burning
from benchmarks.studies.models import SEARCHED, chain
from benchmarks.studies.overhead import overhead
from benchmarks.studies.verdicts import PAIRS, right, summary, write_pairs

SAME, MORE = PAIRS


def comparison(ratio, low, high, verdict="inconclusive"):
    return {"ratio": ratio, "interval": [low, high], "verdict": verdict}


@pytest.mark.parametrize(
    ("pair", "found", "expected"),
    [
        (SAME, comparison(1.02, 1.01, 1.03), True),
        (SAME, comparison(1.2, 0.9, 1.5, "better"), True),  # the interval holds 1
        (SAME, comparison(1.2, 1.1, 1.3, "better"), False),
        (MORE, comparison(0.77, 0.75, 0.8, "worse"), True),
        (MORE, comparison(0.77, 0.5, 1.1), False),
        (MORE, comparison(1.3, 1.2, 1.4, "better"), False),
    ],
)
def test_what_is_right(pair, found, expected):
    assert right(pair, found) is expected


def test_right_answers_are_counted():
    found = summary(SAME, [comparison(1.0, 0.9, 1.1), comparison(1.02, 1.01, 1.03), comparison(2, 1.5, 3, "better")])
    assert (found["runs"], found["right"], found["holds_one"]) == (3, 2, 1)
    assert found["verdicts"] == {"better": 1, "worse": 0, "inconclusive": 2}
    assert (found["lowest"], found["highest"]) == (1.0, 2)


def run(ratio=1.0, calls=30, everything=100, best="a"):
    names = {"model": "chain", "found": "a", "best": best}
    return {**names, "ratio": ratio, "calls": calls, "exhaustive": everything, "interval": [ratio, ratio]}


@pytest.mark.parametrize(
    ("one", "expected"), [(run(), True), (run(0.975), True), (run(0.96), False), (run(calls=34), False)]
)
def test_near_is_within_3_percent_for_a_third_of_the_calls(one, expected):
    assert search.near(one) is expected


def test_searches_are_counted():
    found = search.summary([run(), run(0.9, 20, best="b")])
    assert (found["near"], found["same"], found["slowest"], found["shares"]) == (1, 1, 0.9, [0.2, 0.3])


def test_misleading_answers_of_others_are_counted():
    found = peers.summary({SAME: [1.0, 1.02, 1.5, 0.9], MORE: [0.77, 0.8, 1.0, 1.3]})
    assert (found["same_told_apart"], found["more_not_found"]) == (2, 2)
    assert peers.tuned([run(1.2), run(0.8), run(1.01)]) | {"runs": []} == {
        "runs": [],
        "ahead": 1,
        "behind": 1,
        "alike": 1,
    }


def test_what_a_peer_says_behind_its_answer_is_not_read():
    assert peers.answer("[INFO] loading\n[1.5, 2.5]\n[INFO] exiting\n") == [1.5, 2.5]
    with pytest.raises(SystemExit, match="no answer, but: nothing"):
        peers.answer("nothing\n")


def test_the_models_run_and_one_has_more_work(tmp_path):
    written = [write(tmp_path / f"{name}.onnx") for name, write in SEARCHED.items()]
    for path in written:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        shape = [size if isinstance(size, int) else 2 for size in given.shape]
        (made,) = session.run(None, {given.name: np.ones(shape, np.float32)})[:1]
        assert len(made) == 2
        assert np.isfinite(made).all() or made.dtype.kind != "f"
    pairs = write_pairs(tmp_path)
    assert pairs["one"].read_bytes() == pairs["twin"].read_bytes()
    assert pairs["more"].stat().st_size > 1.2 * pairs["one"].stat().st_size


def burners():
    """Give those that live; a zombie, of whichever test, has no command line."""
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in living if "getppid" in " ".join(child.cmdline())]


def test_burners_burn_and_end():
    with burning(2):
        assert len(burners()) == 2
    assert burners() == []


def test_a_burner_ends_with_whoever_started_it():
    code = "from benchmarks.studies.burners import burning\nimport os\nwith burning(1):\n    os._exit(0)\n"
    marker = f"runbook-burner-{os.getpid()}"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"MARKER": marker})
    until = time.monotonic() + 30
    while marker in environments():
        assert time.monotonic() < until


def environments():
    """Give the environments of all processes that can be read, as one text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            found.append(path.read_text(errors="replace"))
    return "".join(found)


def test_the_two_searches_are_of_the_same_space_and_held_together(tmp_path, monkeypatch):
    """A real one, of few configurations and few rounds: what it finds is not for a test, but that it all fits is."""
    monkeypatch.setattr(search, "SPACE", {**search.SPACE, "level": ["all"], "threads": [1]})
    found = search.once(chain(tmp_path / "chain.onnx", depth=2), 0)
    assert found["found"] == found["best"] == "CPU: level all, threads 1"
    assert found["ratio"] == 1.0
    assert 0 < found["calls"] < found["exhaustive"]


def test_the_overhead_is_measured(tmp_path):
    found = overhead(tmp_path, pairs=8)
    assert found["interval"][0] <= found["share"] <= found["interval"][1]
    assert found["microseconds"] > 1


def test_the_pages_have_their_markers_and_are_written(tmp_path, monkeypatch):
    for name in ("PERFORMANCE.md", "benchmarks.md"):
        text = (pages.DOCS / name).read_text()
        assert text.count(pages.BEGIN) == text.count(pages.END) == 1
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    told = {"cores": 2, "date": "2026-01-02", "environment": {"cpu": "Z80", "packages": {"onnxruntime": "1.2"}}}
    verdict = summary(SAME, [comparison(1.0, 0.9, 1.1)])
    measured = {"microseconds": 101.0, "share": 0.002, "interval": [-0.001, 0.004]}
    asked = peers.summary({SAME: [1.0, 1.5], MORE: [0.77, 0.8]})
    tuned = {"runs": [{"model": "chain", "runbook": "one", "olive": "other", "ratio": 1.2, "interval": [1.1, 1.3]}]}
    pages.written(
        {
            "verdicts": {"2": {**told, "found": {SAME: verdict}}},
            "search": {"0": {**told, "found": {"chain": search.summary([run()])}}},
            "overhead": {"0": {**told, "found": measured}},
            "peers": {"0": {**told, "found": {"Olive": asked}}},
            "tuners": {"4": {**told, "found": tuned}},
        }
    )
    trusted, beside = ((tmp_path / name).read_text() for name in ("PERFORMANCE.md", "benchmarks.md"))
    assert "Z80, 2 cores, ONNX Runtime 1.2, 2026-01-02." in trusted
    assert "| the same twice | two burners | 1 of 1 | 1.000 to 1.000 | 1 of 1 |" in trusted
    assert "| chain | no burners | 1 of 1 | 1 of 1 | 1.000 | 30% to 30% |" in trusted
    assert "| 101 µs | no burners | +0.20% | -0.10% to +0.40% |" in trusted
    assert "| Olive | no burners | 1.00 to 1.50 | 1 of 2 | 0.77 to 0.80 | 0 of 2 |" in beside
    assert "| chain | 4 burners | one | other | 1.20 | 1.10 to 1.30 |" in beside
