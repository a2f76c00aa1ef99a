"""Intervals hold what they say, noise alone gives no verdict, and every contestant gets the same share of drift."""

import numpy as np
import pytest

from runbook.measure import rounds, worker
from runbook.measure.machine import Moment, between, fingerprint, moment, noise
from runbook.measure.rounds import Block, interleaved, orders
from runbook.measure.statistics import Ratio, latency, paired_ratio, rate_with_interval, upper_bound
from runbook.measure.timing import block_calls, shares

ROUNDS = 20


def measured(generator, ratio: float, *, spread: float = 0.05, disturbed: float = 0.15):
    """Give paired times as a busy machine gives them: drift that both share, jitter, and now and then a hard blow."""
    drift = np.exp(np.cumsum(generator.normal(0, 0.2, ROUNDS)))
    blows = [np.where(generator.random(ROUNDS) < disturbed, 1 + generator.exponential(1, ROUNDS), 1) for _ in "ab"]
    jitter = [np.exp(generator.normal(0, spread, ROUNDS)) for _ in "ab"]
    return drift * blows[0] * jitter[0] * ratio, drift * blows[1] * jitter[1]


@pytest.mark.parametrize("ratio", [1.0, 1.3, 0.5])
@pytest.mark.parametrize("disturbed", [0.0, 0.15])
def test_the_interval_holds_the_true_ratio_in_95_of_100(ratio, disturbed):
    generator = np.random.default_rng(7)
    found = [paired_ratio(*measured(generator, ratio, disturbed=disturbed)) for _ in range(400)]
    assert sum(one.low <= ratio <= one.high for one in found) / 400 >= 0.93  # 0.95 less two standard errors


def test_the_same_twice_is_inconclusive_and_a_third_more_work_is_found():
    generator = np.random.default_rng(3)
    same = [paired_ratio(*measured(generator, 1.0)).verdict(0.02) for _ in range(300)]
    assert same.count("inconclusive") / 300 >= 0.95
    slower = [paired_ratio(*measured(generator, 1 / 1.3)).verdict(0.02) for _ in range(100)]
    assert slower.count("worse") >= 95
    assert "better" not in slower


def lying(generator, ratio: float, starts: int = 5, *, place: float = 0.02):
    """Give paired times of several starts, each of which has another luck with its memory."""
    luck = np.repeat(np.exp(generator.normal(0, place, starts)), ROUNDS // starts)
    a, b = measured(generator, ratio, spread=0.01, disturbed=0.05)
    return a * luck, b


@pytest.mark.parametrize("ratio", [1.0, 1.3])
def test_several_starts_hold_what_processes_differ_by(ratio):
    """Without them, the interval is of the one process alone, and far too narrow."""
    generator = np.random.default_rng(11)
    samples = [lying(generator, ratio) for _ in range(400)]
    found = [paired_ratio(*times, starts=[4] * 5) for times in samples]
    assert sum(one.low <= ratio <= one.high for one in found) / 400 >= 0.93
    once = [paired_ratio(*lying(generator, ratio, 1)) for _ in range(100)]
    assert sum(one.low <= ratio <= one.high for one in once) / 100 < 0.5


def test_starts_share_the_rounds():
    assert shares(20, 5) == [4] * 5
    assert shares(7, 3) == [3, 2, 2]
    assert shares(6, 10) == [1] * 6
    assert shares(6, 1) == [6]


def test_drift_that_both_share_is_no_difference():
    drift = np.linspace(1, 5, ROUNDS)
    found = paired_ratio(drift * 1.2, drift)
    assert (found.ratio, found.low, found.high) == pytest.approx((1.2, 1.2, 1.2))
    assert found.verdict() == "better"


def test_a_margin_makes_small_differences_none():
    assert Ratio(1.03, 1.01, 1.05).verdict() == "better"
    assert Ratio(1.03, 1.01, 1.05).verdict(0.02) == "inconclusive"
    assert Ratio(0.9, 0.85, 0.95).verdict(0.02) == "worse"
    assert Ratio(1.0, 0.9, 1.1).noisy
    assert not Ratio(1.0, 0.97, 1.03).noisy


def test_too_few_rounds_are_refused():
    with pytest.raises(ValueError, match="6 pairs at least"):
        paired_ratio([1] * 5, [1] * 5)
    with pytest.raises(ValueError, match="6 pairs"):
        paired_ratio([1] * 9, [1] * 8)


def test_intervals_of_percentiles_are_of_blocks_not_of_calls():
    """Blocks that differ among themselves give a wide interval, however many calls they have."""
    generator = np.random.default_rng(1)
    blocks = [level + generator.normal(0, 0.001, 100) for level in generator.normal(1, 0.1, 20)]
    found = latency(blocks)
    low, high = found["p50"]["interval"]
    assert low < found["p50"]["value"] < high
    assert high - low > 0.04
    assert found["p50"]["value"] <= found["p90"]["value"] <= found["p95"]["value"] <= found["p99"]["value"]


def test_a_rate_is_all_samples_in_all_of_the_time():
    """One block of two was held up: the mean of both rates would be 505 a second."""
    found = rate_with_interval([100] * 8, [0.1] * 4 + [10.0] * 4)
    assert found["value"] == pytest.approx(800 / 40.4)
    assert found["interval"][0] < found["value"] < found["interval"][1]
    assert rate_with_interval([1.0] * 8, [1.0] * 8) == {"value": 1.0, "interval": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("losses", "count", "bound"), [(0, 128, 0.0231), (0, 598, 0.0050), (1, 128, 0.0365), (3, 3, 1)]
)
def test_the_bound_of_what_was_not_seen(losses, count, bound):
    assert upper_bound(losses, count) == pytest.approx(bound, abs=1e-4)


def test_rounds_give_each_contestant_every_place():
    found = list(orders("abc", 60))
    assert all(sorted(order) == ["a", "b", "c"] for order in found)
    assert all(later == before[::-1] for before, later in zip(found[::2], found[1::2], strict=True))
    places = [sum(order.index(each) for order in found) / 60 for each in "abc"]
    assert places == [1, 1, 1]  # each is as often early as late
    assert list(orders("abc", 4, seed=1)) == list(orders("abc", 4, seed=1))


def test_a_round_is_a_block_of_each():
    taken = []

    def run(name):
        taken.append(name)
        return Block((1.0, 9.0, 2.0))

    found = interleaved(["a", "b"], 8, run)
    assert [sorted(pair) for pair in zip(taken[::2], taken[1::2], strict=True)] == [["a", "b"]] * 8
    assert found["a"].times == [2.0] * 8
    assert Block((1.0, 3.0)).typical == 2.0


def test_the_machine_is_told():
    found = fingerprint()
    assert found["cpus"] >= 1
    assert found["cpu"]
    assert found["packages"]["numpy"] == np.__version__
    assert moment().at <= moment().at


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("echo 'NVIDIA H200, 143771 MiB, 570.1'; echo", ["NVIDIA H200, 143771 MiB, 570.1"]),
        ("echo 'has failed because it could not communicate with the driver'; exit 9", []),
        (None, []),
    ],
)
def test_gpus_are_told_by_their_own_tool(tmp_path, monkeypatch, does, told):
    if does:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    assert fingerprint()["gpus"] == told


def test_a_busy_machine_is_called_noisy_and_why():
    quiet = noise(Moment(0, 0.1, 0.0, 0.0), Moment(10, 0.2, 0.1, 0.0), 5, 4.0)
    assert (quiet["noisy"], quiet["why"], quiet["cpu_pressure"]) == (False, [], 0.01)
    busy = noise(Moment(0, 3, 0.0, 0.0), Moment(10, 4, 9.0, 2.0), 500, 4.0)
    assert busy["noisy"]
    assert busy["why"] == [
        "processes waited for a core in 90% of the time",
        "the control group's quota held it up for 2.0 s",
    ]
    assert busy["involuntary_switches_per_second"] == 125.0
    unknown = noise(Moment(0, None, None, None), Moment(1, None, None, None), 0, 0)
    assert (unknown["cpu_pressure"], unknown["noisy"]) == (None, False)


def test_what_was_done_between_measurements_is_not_counted():
    spans = [
        (Moment(0, 0.1, 0.0, None), Moment(10, 0.2, 1.0, None)),
        (Moment(90, 0.9, 80.0, None), Moment(100, 0.3, 81.0, None)),
    ]
    found = noise(*between(spans), 0, 0)
    assert (found["seconds"], found["cpu_pressure"], found["load"]) == (20, 0.1, [0.1, 0.3])
    assert found["throttled_seconds"] is None


@pytest.mark.parametrize(
    ("block", "typical", "calls"), [(0.05, 0.001, 50), (0.05, 1e-6, 500), (0.05, 3.0, 1), (1, 0, 500)]
)
def test_the_calls_of_a_block(block, typical, calls):
    assert block_calls(block, typical) == calls
    assert block_calls(block, typical, 40) == min(calls, 40)


def test_a_block_that_others_hold_up_ends_early():
    def call():
        nonlocal now
        now += 1

    now = 0
    assert len(worker.block(call, 1000)["times"]) == 1000
    found = worker.block(call, 1000, longest=0.0)
    assert (now, len(found["times"])) == (1001, 1)


def test_it_is_told_now_and_then_how_far_the_rounds_are(monkeypatch, capsys):
    monkeypatch.setattr(rounds, "EVERY", 0)
    interleaved(["a", "b"], 3, lambda _: Block((0.1,)), what="batch 8: ")
    assert capsys.readouterr().err.splitlines() == [f"batch 8: round {number} of 3" for number in (1, 2, 3)]
    monkeypatch.setattr(rounds, "EVERY", 60)
    interleaved(["a", "b"], 3, lambda _: Block((0.1,)))
    assert capsys.readouterr().err == ""
