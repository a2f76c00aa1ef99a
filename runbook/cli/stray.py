"""The streams of this process while a run goes on: what plugins print is their step's output; nobody need listen."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Literal

from runbook.cli.streams import silence
from runbook.engine.stage import Ears
from runbook.events import Event


class Stray(io.TextIOBase):
    """A stream that hands whole lines to the step at work; without one they go to stderr, masked."""

    def __init__(self, name: Literal["stdout", "stderr"], ears: Ears, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._name, self._ears, self._mask = name, ears, mask
        self._stderr = sys.stderr
        self._held = ""

    def write(self, text: str) -> int:
        *lines, self._held = (self._held + text).split("\n")
        for line in lines:
            self._tell(line)
        return len(text)

    def writable(self) -> bool:
        return True

    def finish(self) -> None:
        """Hand on what was written without a newline."""
        if self._held:
            self._tell(self._held)
            self._held = ""

    def _tell(self, line: str) -> None:
        from runbook.console import say

        if self._ears.now is not None:
            self._ears.output(self._name, line)
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
