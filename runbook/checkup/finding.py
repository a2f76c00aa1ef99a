"""What a check has found."""

from __future__ import annotations

from typing import Literal

from runbook.value import frozen

Status = Literal["ok", "warn", "fail"]


@frozen
class Finding:
    """One line of the examination: what was looked at, how it is, and (`hint`) what to do about it."""

    name: str
    status: Status
    text: str
    hint: str | None = None
