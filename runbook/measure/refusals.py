"""What this process says when it cannot do what it was asked: the task that asked makes it the step's failure."""

from __future__ import annotations


class Refused(Exception):
    """What is wrong, where, and (`hint`) what to write instead."""

    def __init__(self, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.text, self.hint = text, hint
