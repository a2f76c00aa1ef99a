"""A change that adds to the end of a file: Append."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from runbook.changes.base import AFTER_THE_RUN, Change, Machine
from runbook.units import human_bytes
from runbook.unknown import Unknown, resolved
from runbook.value import sealed


@sealed
class Append(Change):
    """Add to the end of a file, which is made if it is missing; what others add meanwhile stays.

    The content may be an `Unknown` that an earlier change of the same list makes known.
    """

    kind: ClassVar[str] = "append"
    path: Path
    content: bytes | Unknown

    @property
    def target(self) -> str:
        return str(self.path)

    def apply(self, host: Machine) -> None:
        host.append(self.path, resolved(self.content))

    def describe(self) -> str:
        return AFTER_THE_RUN if isinstance(self.content, Unknown) else human_bytes(len(self.content))
