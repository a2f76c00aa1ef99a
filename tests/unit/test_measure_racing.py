"""The race finds the fastest in spite of noise, for a third of the calls, and is fair to what it cannot tell apart."""

import numpy as np
import pytest

from runbook.measure.racing import BLOCK, EXHAUSTIVE, FIRST, MOST, Lap, affordable, race, survivors

CALLS, WARMING = 20, 11  # in a round of half blocks; when a session is new


def ran(true, generator, noise, blows=0.1):
    """Give what runs rungs on a machine with jitter and hard blows, and in each rung another place in memory."""

    def run(alive, rounds):
        shape = (len(alive), rounds)
        hit = np.where(generator.random(shape) < blows, generator.exponential(0.7, shape), 0)
        place = generator.normal(0, 0.005, (len(alive), 1))
        told = true[list(alive)][:, None] + place + generator.normal(0, noise, shape) - hit
        made = (len(alive) + 1) * (rounds * CALLS + WARMING)
        ratios = {number: list(row) for number, row in zip(alive, told, strict=True)}
        return Lap(ratios, dict.fromkeys(alive, CALLS), CALLS, made)

    return run


def search(seed, count=15, noise=0.05):
    """Give the regret and the share of the calls of an exhaustive search."""
    generator = np.random.default_rng(seed)
    true = np.log(generator.uniform(0.5, 1.5, count))
    found = race(count, ran(true, generator, noise))
    assert found.ended
    return float(np.exp(true.max() - true[found.winner])), found.calls / (
        count * (EXHAUSTIVE * CALLS / BLOCK + WARMING)
    )


def test_the_fastest_is_found_for_a_third_of_the_calls():
    found = [search(seed) for seed in range(60)]
    assert sum(regret <= 1.03 for regret, _ in found) >= 54
    assert max(share for _, share in found) <= 1 / 3


def test_noise_as_of_a_machine_that_others_fill_costs_little():
    found = [search(seed, noise=0.15) for seed in range(60)]
    assert np.mean([regret for regret, _ in found]) < 1.03


def test_the_slower_half_leaves_and_what_is_slower_for_certain():
    known = {0: [0.0, 0.01, -0.01, 0.0], 1: [-0.5] * 4, 2: [-0.01, 0.0, 0.0, 0.01], 3: [-0.6] * 4, 4: [-0.7] * 4}
    assert survivors([0, 2, 1, 3, 4], known) == [0, 2]  # 1 is of the faster half, and yet out
    noisy = {number: [0.5, -0.5, 0.4, -0.4] for number in range(4)}
    assert survivors([0, 1, 2, 3], noisy) == [0, 1]
    assert survivors([0], {0: [0.0] * 4}) == [0]
    assert survivors([1, 0], {0: [0.0], 1: [0.0]}) == [1]


def test_calls_are_shared_among_the_rungs_to_come():
    lap = Lap({}, {0: 10, 1: 20, 2: 30}, 40, 0)
    assert affordable(400, [0, 1, 2], lap) == 2  # two rungs; a round of these and of the default takes 100 calls
    assert affordable(150, [0, 1, 2], lap) == 0
    assert affordable(10**9, [0, 1], lap) == MOST


def test_one_alone_has_won():
    found = race(1, ran(np.zeros(1), np.random.default_rng(0), 0.1))
    assert (found.winner, len(found.rungs), found.ended) == (0, 1, True)
    assert found.rungs[0]["rounds"] == FIRST


def test_a_race_whose_time_is_up_gives_the_best_so_far():
    def run(alive, rounds):
        return Lap({number: [float(number % 2)] * rounds for number in alive}, dict.fromkeys(alive, 1), 1, rounds)

    found = race(9, run, over=lambda: True)
    assert (found.winner % 2, len(found.rungs), found.ended) == (1, 1, False)


def test_fewer_calls_end_it_earlier():
    def calls(most):
        return race(15, ran(np.linspace(0, 0.2, 15), np.random.default_rng(1), 0.05), most=most)

    first, whole = FIRST * CALLS * 16, calls(None)
    assert [len(calls(1).rungs), calls(10**9).calls] == [1, whole.calls]
    some = calls(first + 500)
    assert first < some.calls < whole.calls


@pytest.mark.parametrize("warming", [0, 1000])
def test_calls_that_are_spent_end_it(warming):
    """Where warming up is most of the work, the first rung is all there is."""

    def run(alive, rounds):
        made = rounds * (len(alive) + 1) + warming * (len(alive) + 1)
        return Lap({number: [-number / 1000] * rounds for number in alive}, dict.fromkeys(alive, 1), 1, made)

    found = race(8, run)
    assert found.winner == 0
    assert found.ended
    assert (len(found.rungs) == 1) is bool(warming)
