"""Which locks a run takes: known from the playbook's text alone, before anything is compiled."""

from __future__ import annotations

from pathlib import Path

from runbook.playbook.model import Playbook


def lock_names(book: Playbook, inventory: Path) -> list[str]:
    """Give the names: one for the inventory, or what a play names itself; `none` is no lock."""
    from runbook.lock import lock_name

    names = {play.lock if play.lock is not None else lock_name(inventory) for play in book.plays}
    return sorted(names - {"none"})
