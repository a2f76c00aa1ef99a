"""The benchmarks measure in turn, judge each budget, and write their table between its markers."""

import sys
from pathlib import Path

import pytest

from benchmarks import models
from benchmarks.budgets import BUDGETS, verdicts
from benchmarks.contestants import GREETING, SHAPES, FilePlay
from benchmarks.measure import Trial, interleave
from benchmarks.table import BEGIN, END, render, write_between


def cost(seconds: float, memory: int = 50_000_000) -> dict[str, float]:
    return {"seconds": seconds, "fastest": seconds, "slowest": seconds, "cpu": seconds, "memory": memory, "rounds": 1}


def numbers(own: float = 0.4) -> dict:
    files = {"ansible-core": cost(50), "pyinfra": cost(4), "runbook": cost(own), "bare Python": cost(0.1)}
    start = ("bare Python", "runbook --version", "runbook --help", "runbook tasks", "the libraries alone")
    return {
        "date": "2026-01-01",
        "machine": {
            "cpu": "X",
            "cores": 2,
            "system": "Linux",
            "file_system": "ext4",
            "python": "3.11",
            "load": [0.1],
            "versions": ["v"],
        },
        "load_after": [0.2],
        "files": {f"{count} {state}": files for count in (1, 10, 100) for state in ("changed", "unchanged")},
        "scale": {
            "1000 unchanged": {shape: cost(1) for shape in SHAPES},
            "10000 unchanged": {shape: cost(11.9) for shape in SHAPES},
        },
        "archive": {
            "files": 8,
            "bytes": 200_000_000,
            "times": {
                name: cost(9) | {"megabytes_per_second": 1, "ratio": 0.2}
                for name in ("gzip", "runbook", "runbook, the step")
            },
        },
        "release": {"bytes": 10**9, "times": {"runbook": cost(6), "tar and sha256sum": cost(60)}},
        "instances": {
            f"{count} {what}": {"runbook": cost(count / 100), "ansible-core": cost(count)}
            for count in (1, 10, 100, 1000)
            for what in ("checked", "reloaded")
        },
        "start-up": {name: cost(0.02) for name in start} | {"a file step, unchanged": cost(0.06)},
    }


def test_every_budget_is_judged():
    assert [verdict["promise"] for verdict in verdicts(numbers())] == [budget.promise for budget in BUDGETS]


@pytest.mark.parametrize(("own", "met"), [(0.4, True), (0.42, False)])
def test_a_floor_is_met_or_not(own, met):
    verdict = next(iter(verdicts(numbers(own))))
    assert verdict["promise"].endswith("ansible-core")
    assert verdict["value"] == pytest.approx(50 / own)
    assert verdict["met"] is met


def test_a_ceiling_is_met_or_not():
    by_promise = {verdict["promise"]: verdict for verdict in verdicts(numbers())}
    assert by_promise["10,000 unchanged steps, literal: longer than 1,000"]["met"]
    beyond = by_promise["a play of one step, beyond the libraries"]
    assert (beyond["value"], beyond["met"]) == (pytest.approx(40), True)


def test_what_was_not_measured_is_not_judged():
    without = numbers()
    del without["files"]["100 changed"]["pyinfra"], without["archive"]
    promises = {verdict["promise"] for verdict in verdicts(without)}
    assert not promises & {
        "100 file steps, changed: faster than pyinfra",
        "logs compressed, by the step: faster than gzip",
    }


def test_the_table_goes_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n{BEGIN}\nold\n{END}\ntail\n")
    write_between(page, render(numbers()))
    text = page.read_text()
    assert text.startswith(f"# Title\n{BEGIN}\n")
    assert text.endswith(f"{END}\ntail\n")
    assert "old" not in text
    assert "**not met**" in text  # gzip's nine seconds are not beaten by nine seconds
    assert "| 100 changed: ansible-core | 50.000 (50.000 to 50.000) | 125.00 |" in text


def test_the_page_has_its_markers():
    page = (Path(__file__).parents[2] / "docs/benchmarks.md").read_text()
    assert page.count(BEGIN) == page.count(END) == 1


def test_trials_take_turns_and_are_measured(tmp_path):
    order = []
    trials = [
        Trial(
            name, [sys.executable, "-c", "b = b'x' * 30_000_000"], tmp_path, before=lambda name=name: order.append(name)
        )
        for name in "ab"
    ]
    found = interleave(trials, 2)
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert found["a"]["rounds"] == 2
    assert 0 < found["a"]["fastest"] <= found["a"]["seconds"] <= found["a"]["slowest"]
    assert found["a"]["memory"] > 30_000_000


def test_a_failing_command_ends_the_benchmark(tmp_path):
    with pytest.raises(SystemExit, match="ended with 3"):
        Trial("x", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path).run()


def test_bare_python_writes_what_was_asked(tmp_path):
    play = FilePlay(tmp_path, 3)
    play.clear()
    Trial("bare", play.bare(), tmp_path, after=play.check).run()
    assert (play.out / "2.txt").read_text() == GREETING
    (play.out / "2.txt").write_text("other")
    with pytest.raises(SystemExit, match="other files"):
        play.check()


def test_the_study_of_models_draws_its_tables():
    comparison = {"a": "onnx", "b": "torch", "batch": 8, "ratio": 0.74, "interval": [0.7, 0.78]}
    quality = {
        "drop": 0.33,
        "flips": {"lost": 2, "gained": 1},
        "bound": 1.6,
        "agreement": 0.98,
        "accuracy": [0.98, 0.977],
    }
    fate = {
        "method": "static",
        "published": True,
        "speedup": 3.4,
        "interval": [3.2, 3.6],
        "bytes": [4, 1],
        "refused": [],
    }
    vague = {"drop": None, "flips": None, "bound": None, "agreement": 0.992, "accuracy": None}
    slower = {**fate, "method": "dynamic", "published": False, "speedup": 0.21, "interval": [0.2, 0.22]}
    text = models.page(
        {
            "date": "2026-01-01",
            "environment": {"cpu": "X", "cpus": 2, "features": ["avx2"], "packages": {"torch": "2.13.0"}},
            "load": "0.1 to 0.9",
            "rounds": 40,
            "block": "50ms",
            "models": {
                "resnet": {
                    "what": "a net",
                    "engines": [comparison],
                    "latency_ms": {"onnx, 8": 1.5, "torch, 8": 2.0},
                    "cpu_ms": {"onnx, 8": 1.25, "torch, 8": 1.75},
                    "int8": {"auto": {**fate, **quality}, "dynamic": {**slower, **vague}},
                }
            },
        }
    )
    assert "| a net | 8 | 1.5 | 1.25 | 2 | 1.75 | 0.74 | 0.70 to 0.78 |" in text
    assert "| a net | auto: static | 3.40 | 3.20 to 3.60 | 98.00% to 97.70%, 2 lost, 1 gained | published |" in text
    assert "| a net | dynamic | 0.21 | 0.20 to 0.22 | agrees on 99.2% | refused |" in text
    page = models.PAGE.read_text("utf-8")
    assert page.count(models.BEGIN) == page.count(models.END) == 1
