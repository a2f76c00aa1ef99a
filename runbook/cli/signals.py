"""Signals that end a run in good order: hang-up, interrupt, terminate."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from runbook.errors import Stopped


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first such signal into `Stopped`, in the main thread; later ones find the run already ending.

    A signal that was ignored when we were started (`nohup`) stays ignored, and after one came all are: nothing shall
    disturb the end.
    """
    numbers = [n for name in ("SIGINT", "SIGTERM", "SIGHUP") if (n := getattr(signal, name, None)) is not None]
    before = {number: signal.getsignal(number) for number in numbers}

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
