"""Killed at any system call, a run loses nothing, leaves nothing half-written, and can simply be run again."""

import pytest

from tests.faults.sandbox import Point
from tests.faults.sweep import sweep

pytestmark = pytest.mark.fault


def test_killed_at_any_call_that_touches_its_files(bench):
    points = bench.share(bench.points, 6)
    sweep([(point,) for point in points], bench.killed_at)


def test_killed_between_those_calls(bench):
    first = {point.call: point.nth for point in reversed(bench.points)}
    others = [
        Point(call, nth)
        for call, start in sorted(first.items())
        for nth in range(start, bench.totals[call] + 1)
        if Point(call, nth) not in bench.points
    ]
    sweep([(point,) for point in bench.share(others[:: max(1, len(others) // 60)], 1)], bench.killed_at)


def test_not_killed_after_the_last_call(bench):
    box = bench.sandbox()
    last = Point("fsync", bench.totals["fsync"] + 1)
    assert box.interrupted(last, "signal=SIGKILL").rc == 0


def test_the_points_cover_the_files_the_journal_and_the_report(bench):
    calls = {point.call for point in bench.points} | set(bench.scenario.uncounted)
    assert {"write", "openat", "fsync", "fdatasync", "mkdir"} <= calls
    assert calls & {"rename", "renameat", "renameat2"}
