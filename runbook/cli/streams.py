"""The three standard streams: there from the start, and given to nobody when they take no more."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def open_standard() -> None:
    """Open what is closed of stdin, stdout and stderr on nothing, so that no file of ours takes its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


def silence() -> None:
    """Give stdout to nobody, so that nothing more can fail of it, not even the last flush."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
