"""How far a long change is, told now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from runbook.host.guard import lifted
from runbook.host.protocol import Listener

EVERY = 0.1  # seconds between two words on progress


def meter(
    listener: Listener | None, check_deadline: Callable[[], None], text: str, total: Any
) -> Callable[[int], None]:
    """Give the function that a long change tells each piece's bytes; it minds the deadline too."""
    done, told = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, told
        check_deadline()
        done += count
        if listener is not None and time.monotonic() - told >= EVERY:
            told = time.monotonic()
            with lifted():  # those who are told may write it down, also while a plugin plans
                listener.progress(text, done, total if isinstance(total, int) else 0)

    return advance
