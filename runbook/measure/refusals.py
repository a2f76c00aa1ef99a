"""What this process says when it cannot do what it was asked: the task that asked makes it the step's failure."""

from __future__ import annotations


class Refused(Exception):
    """What is wrong, where, and (`hint`) what to write instead."""

    def __init__(self, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.text, self.hint = text, hint


def of_machine(error: OSError | MemoryError) -> Refused:
    """Say what a machine refuses: a disk that is full, memory that is not there."""
    from runbook.host.refusals import HINTS

    if isinstance(error, MemoryError):
        return Refused(f"there is too little memory: {error}" if str(error) else "there is too little memory")
    where = f"{error.filename}: " if error.filename else ""
    return Refused(f"{where}{error.strerror or error}", hint=HINTS.get(error.errno or 0))
