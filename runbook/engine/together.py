"""Calls made side by side in threads, and what a signal means for those that are at work."""

from __future__ import annotations

import contextvars
import threading
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
    crew = _Crew(calls, min(at_once, len(calls)))
    try:
        for number in range(min(at_once, len(calls))):
            crew.hire(number)
        while not crew.through.wait(0.2):  # in slices, so that a signal is answered
            pass
    except Stopped as stopped:
        crew.todo.clear()
        halt(stopped)
        crew.through.wait(GRACE)
        raise
    if crew.errors:
        raise crew.errors[min(crew.errors)]


class _Crew:
    """Threads that take the next call as soon as they are through with one."""

    def __init__(self, calls: Sequence[Call], size: int) -> None:
        self.todo = deque(enumerate(calls))
        self.errors: dict[int, BaseException] = {}
        self.through = threading.Event()  # to join a thread after a signal has cut that short does not wait for it
        self._left = size
        self._lock = threading.Lock()

    def hire(self, number: int) -> None:
        """Start a thread that works in a copy of this context: what guards it, guards the calls."""
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._work,), daemon=True, name=f"runbook-{number}").start()

    def _work(self) -> None:
        self._call_all()
        with self._lock:
            self._left -= 1
            if not self._left:
                self.through.set()

    def _call_all(self) -> None:
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
