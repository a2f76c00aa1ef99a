"""The streams of this process while a run goes on: what plugins print is their step's output; nobody need listen."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from threading import Lock
from typing import Literal

from runbook.cli.streams import silence
from runbook.engine.ears import Ears
from runbook.events import Event
from runbook.host import Listener


class Stray(io.TextIOBase):
    """A stream that hands whole lines to the step that prints them; where none is known they go to stderr, masked."""

    def __init__(self, name: Literal["stdout", "stderr"], ears: Ears, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._name, self._ears, self._mask = name, ears, mask
        self._stderr = sys.stderr
        self._held: dict[Listener | None, str] = {}  # what has no newline yet, by who printed it
        self._lock = Lock()
        ears.parting.append(self.finish)

    def write(self, text: str) -> int:
        ear = self._ears.now
        with self._lock:
            *lines, rest = (self._held.pop(ear, "") + text).split("\n")
            if rest:
                self._held[ear] = rest
        for line in lines:
            self._tell(line, ear)
        return len(text)

    def writable(self) -> bool:
        return True

    def finish(self, ear: Listener | None = None) -> None:
        """Hand on what a step, or nobody that is known, has written without a newline."""
        with self._lock:
            rest = self._held.pop(ear, "")
        if rest:
            self._tell(rest, ear)

    def _tell(self, line: str, ear: Listener | None) -> None:
        from runbook.console import say

        if ear is not None:
            ear.output(self._name, line)
        elif self._stderr is not None:
            say(self._mask(line), self._stderr)


class Forgiving:
    """An observer that shows a run as long as there is somebody to see it: a closed pipe or terminal ends no run."""

    def __init__(self, screen: Callable[[Event], None]) -> None:
        self._screen: Callable[[Event], None] | None = screen

    def __call__(self, event: Event) -> None:
        try:
            if self._screen:
                self._screen(event)
        except (OSError, ValueError):  # a closed stream is a ValueError
            self._screen = None
            silence()


@contextmanager
def heard(ears: Ears, mask: Callable[[str], str]) -> Iterator[None]:
    """Listen to stdout and stderr of this process, which belong to the run's own observers alone."""
    out, err = Stray("stdout", ears, mask), Stray("stderr", ears, mask)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.finish()
            err.finish()
