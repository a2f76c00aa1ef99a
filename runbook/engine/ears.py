"""Who hears what plugins print: the step that is at work in this thread, or the only one that there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from runbook.host import Listener

_here: ContextVar[Listener | None] = ContextVar("runbook_listener", default=None)


class Ears:
    """The listeners of the steps at work; each of `parting` is called with one before it stops to listen."""

    def __init__(self) -> None:
        self.parting: list[Callable[[Listener], None]] = []
        self._all: list[Listener] = []

    @property
    def now(self) -> Listener | None:
        """Give the listener of this thread; in one that a plugin has started, the only one, or None among several."""
        only = self._all[:2]
        return _here.get() or (only[0] if len(only) == 1 else None)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Let a step hear what is printed while the body runs, here and in threads with a copy of this context."""
        token = _here.set(listener)
        self._all.append(listener)
        try:
            yield
        finally:
            for part in self.parting:
                part(listener)
            self._all.remove(listener)
            _here.reset(token)
