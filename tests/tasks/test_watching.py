"""The watch's decisions, simulated: every sequence of results, and random worlds in which restarts help or do not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.tasks.watching.flapping import flaps, percent
from runbook.tasks.watching.logic import Result, Rules, advance, settle, without_memory
from runbook.tasks.watching.state import Target, Unreadable, Watched, decode, encode

START = datetime(2026, 3, 10, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GOOD, BAD = Result(ok=True), Result(ok=False, reason="the connection was refused")
OPENS, CLOSES = {"down", "flapping"}, {"up", "unwatched"}
LENGTH = 16


def rules(**more):
    return Rules(**{"restart": {"api": "tunnel"}, **more})


class Trail:
    """What one sequence has led to so far: when there were restarts, and what was told, in order."""

    __slots__ = ("restarts", "row", "story")

    def __init__(self, restarts=(), story=(), row=0):
        self.restarts, self.story, self.row = restarts, story, row


def walk(rule, state, trail, depth, good):
    """Play every continuation of a sequence, and judge each pass; gives how many sequences were played to the end."""
    if depth == LENGTH:
        return 1
    played = 0
    now = START + depth * MINUTE
    for result in (GOOD, BAD):
        after, decided = advance(state, {"api": result}, now, rule)
        row = 0 if result.ok else trail.row + 1
        restarts = trail.restarts + (now,) * len(decided.restarts)
        story = trail.story + tuple(each.kind for each in decided.news)
        judge(rule, state, after, decided, now, row, restarts, story)
        if decided.restarts and not good:
            after = settle(after, {"tunnel": "refused"}, rule)
        played += walk(rule, after, Trail(restarts, story, row), depth + 1, good)
    return played


def judge(rule, before, after, decided, now, row, restarts, story):
    recent = [each for each in restarts if now - each < rule.window]
    assert len(recent) <= rule.budget, restarts
    target = after.targets["api"]
    if decided.restarts:
        assert row >= rule.failures
        assert target.failures == 0
    if not row:
        assert not decided.restarts
        assert "down" not in {each.kind for each in decided.news}
    told = [kind for kind in story if kind in OPENS | CLOSES]
    assert set(told[0::2]) <= OPENS, story  # one alert, one all-clear, in turns
    assert set(told[1::2]) <= CLOSES, story
    assert (len(told) % 2 == 1) == (target.incident is not None and target.incident.told is not None)
    assert story.count("restarted") <= len(restarts)
    if row == 0 and not target.flapping and rule.successes == 1:
        assert target.incident is None


def test_every_sequence_of_sixteen_results():
    assert walk(rules(), Watched(), Trail(), 0, good=True) == 2**LENGTH


@pytest.mark.parametrize(
    ("more", "good"),
    [
        ({"budget": 1, "grace": timedelta(0), "flapping": False}, False),
        ({"restart": {"api": None}}, True),
        ({"failures": 1, "budget": 2}, False),
        ({"failures": 3, "successes": 2, "window": timedelta(minutes=5)}, True),
        ({"grace": timedelta(minutes=4), "budget": 5}, False),
    ],
)
def test_every_shorter_sequence_by_other_rules(more, good, monkeypatch):
    monkeypatch.setitem(globals(), "LENGTH", 11)
    assert walk(rules(**more), Watched(), Trail(), 0, good) == 2**11


def tell(rule, pattern, *, step=MINUTE, outcomes=None, state=None, start=START):
    """Play a pattern of `+` and `-`; gives what happened in each pass: restarts as `R`, news by their names."""
    state, told = state or Watched(), []
    for number, mark in enumerate(pattern):
        now = start + number * step
        state, decided = advance(state, {"api": GOOD if mark == "+" else BAD}, now, rule)
        told.append(" ".join([*("R" * len(decided.restarts)), *(each.kind for each in decided.news)]))
        if decided.restarts and outcomes is not None:
            state = settle(state, {"tunnel": outcomes}, rule)
    return told, state


def test_one_failure_is_none():
    told, state = tell(rules(), "+-+")
    assert told == ["", "", ""]
    assert state.targets["api"].incident is None


def test_a_killed_service_is_restarted_once_and_told_of_once():
    told, _ = tell(rules(), "++--+++")
    assert told == ["", "", "", "R", "restarted", "", ""]


def test_a_service_that_does_not_come_back_is_told_of_and_its_restarts_are_counted():
    told, state = tell(rules(), "--" + "-" * 40)
    assert [each for each in told if "down" in each] == ["down"]
    assert told[3] == "down"  # the first failure after the grace
    assert sum("R" in each for each in told) == 3
    assert state.targets["api"].state == "down"
    assert tell(rules(), "+", state=state, start=START + 42 * MINUTE)[0] == ["up"]


def test_since_is_when_the_row_began_whatever_was_restarted_in_it():
    _, state = tell(rules(), "+" + "-" * 9)
    assert state.targets["api"].since == state.targets["api"].incident.since == START + MINUTE


def test_failures_in_the_grace_do_not_count_and_none_does_twice():
    told, _ = tell(rules(grace=timedelta(minutes=3)), "--" + "--" + "+++")
    assert told == ["", "R", "", "", "restarted", "", ""]


def test_without_a_restart_the_alert_comes_with_the_second_failure():
    assert tell(rules(restart={}), "-----+")[0] == ["", "down", "", "", "", "up"]


def test_a_refused_restart_is_told_of_with_the_next_failure_and_is_no_loop():
    told, state = tell(rules(), "--" + "-" * 20, outcomes="start limit hit")
    assert told[:3] == ["", "R", "down"]
    assert sum("R" in each for each in told) == 3
    assert state.targets["api"].incident.refused == "start limit hit"


def test_a_reminder_comes_when_it_is_due_and_is_no_second_alert():
    told, _ = tell(rules(restart={}, remind=timedelta(minutes=10)), "-" * 25)
    assert [number for number, each in enumerate(told) if each == "reminder"] == [11, 21]
    assert told.count("down") == 1


def test_two_checks_of_one_service_restart_it_once():
    rule = rules(restart={"in": "tunnel", "out": "tunnel"})
    state, restarts = Watched(), 0
    for number in range(8):
        state, decided = advance(state, {"in": BAD, "out": BAD}, START + number * MINUTE, rule)
        restarts += len(decided.restarts)
        assert len(decided.restarts) <= 1
        if number == 3:
            assert [each.target for each in decided.news] == ["in", "out"]
    assert restarts == 3


def test_flapping_is_weighed_as_nagios_does_and_has_two_thresholds():
    assert percent("+-" * 10 + "+") == pytest.approx(100)
    assert percent("+" * 21) == 0
    assert percent("+" * 20 + "-") == pytest.approx(6)  # 1.2 of 20
    assert percent("-" + "+" * 20) == pytest.approx(4)  # 0.8 of 20
    assert not flaps("+-+-+", before=False)
    assert flaps("+-+-+-", before=False) == (percent("+-+-+-") >= 30)
    middle = "+" * 10 + "-+-+" + "+" * 7
    assert 15 < percent(middle) < 30
    assert (flaps(middle, before=True), flaps(middle, before=False)) == (True, False)


def test_one_alert_for_all_of_a_flapping_and_one_all_clear():
    told, state = tell(rules(), "+-" * 12 + "+" * 25)
    news = [each for each in told if each]
    assert news == ["flapping", "up"]
    assert state.targets["api"].state == "up"


def test_a_new_boot_is_a_grace_and_begins_to_count_anew():
    _, state = tell(rules(), "+-")
    state = replace(state, boot="one")
    later = START + 2 * MINUTE
    state, decided = advance(state, {"api": BAD}, later, rules(), boot="two")
    assert (decided.restarts, state.boot, state.targets["api"].failures) == ((), "two", 0)
    for number, wanted in ((1, ()), (2, ()), (3, ("tunnel",))):
        state, decided = advance(state, {"api": BAD}, later + number * MINUTE, rules(), boot="two")
        assert decided.restarts == wanted


def test_a_clock_that_is_set_back_leaves_no_grace_for_ever_and_no_budget_free():
    _, state = tell(rules(budget=1), "--")
    before = START - timedelta(days=1)
    told, state = tell(rules(budget=1), "-" * 30, state=state, start=before)
    assert [each for each in told if each] == ["down"]
    assert told.index("down") <= 3  # the grace is 90 s from the new time, not a day
    told, _ = tell(rules(budget=1), "-" * 90, state=state, start=before + timedelta(hours=1))
    assert sum("R" in each for each in told) <= 2


def test_a_clock_that_jumps_ahead_ends_the_grace_and_nothing_else():
    _, state = tell(rules(), "--")
    told, _ = tell(rules(), "-+", state=state, start=START + timedelta(days=30))
    assert told == ["down", "up"]


def test_lost_state_is_unknown_and_allows_no_restart_for_a_window():
    state = without_memory(["tunnel"], START, rules())
    told, state = tell(rules(), "-" * 59, state=state)
    assert told.count("down") == 1
    assert not any("R" in each for each in told)
    told, _ = tell(rules(), "--", state=state, start=START + 60 * MINUTE)
    assert any("R" in each for each in told)


def test_what_is_no_longer_watched_is_told_of_if_people_wait_to_hear():
    _, state = tell(rules(restart={}), "--")
    state, decided = advance(state, {"other": GOOD}, START + 2 * MINUTE, rules())
    assert [(each.kind, each.target) for each in decided.news] == [("unwatched", "api")]
    assert set(state.targets) == {"other"}


def test_every_death_is_noticed_within_a_minute_by_passes_of_thirty_seconds():
    step = timedelta(seconds=30)
    for died in range(30):  # seconds after a pass
        passes = [step * number - timedelta(seconds=died) for number in range(1, 4)]
        state, _ = advance(Watched(), {"api": GOOD}, START, rules())
        for after in passes:
            state, decided = advance(state, {"api": BAD}, START + timedelta(seconds=died) + after, rules())
            if decided.restarts:
                assert after <= MINUTE
                break
        else:
            raise AssertionError("never noticed")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("+-"), st.integers(1, 200), st.booleans()), max_size=60),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 300),
    st.integers(1, 3),
)
def test_any_world_keeps_the_budget_and_the_turns(passes, failures, successes, grace, budget):
    rule = rules(failures=failures, successes=successes, grace=timedelta(seconds=grace), budget=budget)
    state, now, restarts, told = Watched(), START, [], []
    for mark, seconds, works in passes:
        now += timedelta(seconds=seconds)
        state = decode(encode(state))
        state, decided = advance(state, {"api": GOOD if mark == "+" else BAD}, now, rule)
        restarts += [now] * len(decided.restarts)
        told += [each.kind for each in decided.news if each.kind != "restarted"]
        state = settle(state, dict.fromkeys(decided.restarts, None if works else "refused"), rule)
        assert sum(now - each < rule.window for each in restarts) <= budget
        assert set(told[0::2]) <= OPENS
        assert set(told[1::2]) <= CLOSES


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"{", "it is no JSON"),
        (b"[]", "does not say that it is runbook.health/1"),
        (b'{"schema": "runbook.health/2"}', "does not say that it is runbook.health/1"),
        (b'{"schema": "runbook.health/1", "targets": {"api": {"state": "fine"}}}', "targets.api.state"),
        (b'{"schema": "runbook.health/1", "targets": {"api": {"results": "++x"}}}', "targets.api.results"),
        (b'{"schema": "runbook.health/1", "last_run": "2026-03-10T02:00:00"}', "last_run"),
        (b'{"schema": "runbook.health/1", "more": 1}', "more"),
        (b'{"schema": "runbook.health/1", "services": {"x": {"times": [1e400]}}}', "services.x.times.0"),
    ],
)
def test_damaged_state_is_told_for_what_it_is(data, reason):
    with pytest.raises(Unreadable, match=reason):
        decode(data)


def test_state_is_read_back_as_it_was_written():
    _, state = tell(rules(), "+--" + "-" * 6, outcomes="refused")
    assert decode(encode(state)) == state
    assert decode(encode(Watched(targets={"api": Target()}))) == Watched(targets={"api": Target()})
