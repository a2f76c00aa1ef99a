"""Calls made side by side in threads, and what a signal means for those that are at work."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from runbook.engine.clock import GRACE
from runbook.errors import Stopped

Call = Callable[[], object]


def together(calls: Sequence[Call], at_once: int, halt: Callable[[Stopped], None]) -> None:
    """Make calls in their order, so many at once, and come back when all are through.

    What one of them raises keeps the rest from being begun, and is raised once those at work are through; of several
    the first in the order. After a signal `halt` is called, which is to end what the calls wait for; those that have
    not come back after a grace are left behind, on threads that do not keep the process alive.
    """
    crew = _Crew(calls)
    threads = [crew.hire(number) for number in range(min(at_once, len(calls)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # in slices, so that a signal is answered
    except Stopped as stopped:
        crew.todo.clear()
        halt(stopped)
        until = time.monotonic() + GRACE
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
        raise
    if crew.errors:
        raise crew.errors[min(crew.errors)]


class _Crew:
    """Threads that take the next call as soon as they are through with one."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.todo = deque(enumerate(calls))
        self.errors: dict[int, BaseException] = {}

    def hire(self, number: int) -> threading.Thread:
        """Make a thread that works in a copy of this context: what guards it, guards the calls."""
        run = contextvars.copy_context().run
        return threading.Thread(target=run, args=(self._work,), daemon=True, name=f"runbook-{number}")

    def _work(self) -> None:
        while True:
            try:
                position, call = self.todo.popleft()
            except IndexError:
                return
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits
                self.errors[position] = error
                self.todo.clear()
