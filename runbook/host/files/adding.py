"""Adding to the end of a file that others may be adding to as well."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runbook.host.files.durable import pour
from runbook.host.reading import look, require_file, status
from runbook.host.refusals import refusing
from runbook.unknown import Unknown, force

if TYPE_CHECKING:
    from runbook.host.files.durable import Ledger

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


class Adding(Protocol):
    """What this function needs of the host that it is a method of."""

    _ledger: Ledger

    def _at(self, path: Path) -> Path: ...


def append(host: Adding, path: Path, content: bytes | Unknown) -> None:
    """Add to a file, through links, and have it on the disk; a new one has the mode 0644 less the umask."""
    if isinstance(content, Unknown):
        force(content)
    path = host._at(path)  # noqa: SLF001 - a method of the host
    with refusing("add to", path):
        found = look(path, follow=True)
        if found is not None:
            require_file("add to", path, found)
        descriptor = os.open(path, _APPEND, 0o644)
        try:
            require_file("add to", path, status(os.fstat(descriptor)))  # it may have been replaced meanwhile
            pour(content, descriptor)
            os.fsync(descriptor)
            made = status(os.fstat(descriptor))
        finally:
            os.close(descriptor)
        if found is None:
            host._ledger.note(path, made)  # noqa: SLF001
