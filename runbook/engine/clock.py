"""Times of the run: stamps in RFC 3339 UTC, durations by the monotonic clock, and steps that overstay theirs."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from runbook.errors import Stopped, TaskFailed, TimedOut
from runbook.units import Duration

T = TypeVar("T")
GRACE = 3.0


def stamp(moment: datetime | None = None) -> str:
    """Write a moment, now if none is given, in RFC 3339 with milliseconds."""
    text = (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def seconds(value: Any, keyword: str) -> float:
    """Read a keyword that is a time: a number of seconds or a text like `30s`."""
    try:
        if isinstance(value, str):
            return float(Duration.parse(value))
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return float(value)
    except ValueError as error:
        raise TaskFailed(f"{keyword}: {error}") from error
    raise TaskFailed(f"{keyword} must be a number of seconds or a text like 30s, not {value!r}")


def within(limit: float | None, call: Callable[[], T], stop: Callable[[Stopped], None]) -> T:
    """Run a call that has a time limit in seconds; when a signal ends the run, `stop` ends what the call waits for.

    Every Host call checks the deadline by itself; only a plugin that never comes back to its Host needs more: it is
    left behind on a thread that does not keep the process alive, and `Abandoned` says so.
    """
    if limit is None:
        return call()
    box: list[tuple[bool, Any]] = []
    done = threading.Event()  # to join a thread after a signal has cut that short does not wait for it

    def work() -> None:
        try:
            box.append((True, call()))
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits
            box.append((False, error))
        finally:
            done.set()

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), daemon=True, name="runbook-step")
    thread.start()
    end = time.monotonic() + limit + GRACE
    try:
        while not done.wait(0.2) and time.monotonic() < end:  # in slices, so that a signal is answered
            pass
    except Stopped as stopped:
        stop(stopped)
        done.wait(GRACE)
        raise
    if not box:
        raise Abandoned(f"timed out after {limit:g} s, and the task does not return; it was left behind")
    good, value = box[0]
    if not good:
        raise value
    result: T = value
    return result


class Abandoned(TimedOut):
    """A plugin did not return after its time was over; its host is out of the run."""
