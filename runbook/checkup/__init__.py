"""What `runbook doctor` looks at: each check is one function of the folder for state, and stands in one tuple."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from runbook.checkup.finding import Finding
from runbook.checkup.machine import compression, python, scheduler, state_folder, time_of_day, yaml_reader
from runbook.checkup.models import extras, runtimes, usable_providers

__all__ = ["CHECKS", "Check", "Finding", "examine"]
Check = Callable[[Path], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    python,
    yaml_reader,
    compression,
    state_folder,
    time_of_day,
    scheduler,
    extras,
    runtimes,
    usable_providers,
)


def examine(home: Path, checks: Iterable[Check] = CHECKS) -> Iterator[Finding]:
    """Make the checks one after the other; one that breaks off is a failure, and no other is left out for it."""
    for check in checks:
        try:
            yield from check(home)
        except Exception as error:  # noqa: BLE001 - what is examined is broken in ways that nobody has thought of
            text = f"the check broke off: {type(error).__name__}: {error}"
            yield Finding(check.__name__, "fail", text, "please report this line")
