"""Calls side by side: how many at once, what errors and signals mean for those that are at work."""

from __future__ import annotations

import contextvars
import signal
import threading
import time

import pytest

from runbook.engine import together as module
from runbook.engine.together import together
from runbook.errors import Stopped


def nothing(stopped: Stopped) -> None:
    raise AssertionError(stopped)


@pytest.mark.parametrize(("calls", "at_once", "most"), [(20, 4, 4), (3, 8, 3), (5, 1, 1)])
def test_as_many_at_once_as_may_be(calls: int, at_once: int, most: int) -> None:
    full, lock, seen = threading.Barrier(most), threading.Lock(), [0, 0]

    def call() -> None:
        with lock:
            seen[0] += 1
            seen[1] = max(seen)
        if seen[1] <= most and not full.broken and calls % most == 0:
            full.wait(10)  # so many are there at the same time, or this fails
        with lock:
            seen[0] -= 1

    together([call] * calls, at_once, nothing)
    assert seen[1] <= most


def test_all_are_called_once() -> None:
    done: list[int] = []
    together([lambda n=n: done.append(n) for n in range(100)], 7, nothing)
    assert sorted(done) == list(range(100))


def test_an_error_keeps_the_rest_from_being_begun_and_the_first_in_order_is_raised() -> None:
    both, done = threading.Barrier(2), []

    def fail(name: str) -> None:
        both.wait(10)
        raise ValueError(name)

    calls = [lambda: fail("first"), lambda: fail("second"), *[lambda: done.append(1)] * 50]
    with pytest.raises(ValueError, match="first"):
        together(calls, 2, nothing)
    assert done == []


def test_each_thread_has_a_copy_of_the_context() -> None:
    word = contextvars.ContextVar("word", default="")
    word.set("ours")
    seen: list[str] = []

    def call() -> None:
        seen.append(word.get())
        word.set("mine")

    together([call] * 2, 2, nothing)
    assert (seen[0], word.get()) == ("ours", "ours")


def test_a_signal_ends_what_listens_and_leaves_the_rest_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE", 0.2)
    stop, at_work, never, begun = threading.Event(), threading.Barrier(2), threading.Event(), []

    def good() -> None:
        begun.append("good")
        at_work.wait(10)
        stop.wait(10)

    def deaf() -> None:
        begun.append("deaf")
        at_work.wait(10)
        never.wait(10)

    def stop_us(number: int, frame: object) -> None:
        raise Stopped(number)

    before = signal.signal(signal.SIGALRM, stop_us)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    started = time.monotonic()
    try:
        with pytest.raises(Stopped):
            together([good, deaf, good], 2, lambda _: stop.set())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert 0.3 <= time.monotonic() - started < 5
    assert sorted(begun) == ["deaf", "good"], "nothing is begun after a signal"
    never.set()
