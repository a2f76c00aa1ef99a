"""A new API key while the service runs: read from its env file when SIGHUP says so."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbook.errors import RunbookError
from runbook.secrets import Redactor
from runbook.service.api import Api
from runbook.service.settings import read_settings

log = logging.getLogger(__name__)


@contextmanager
def rekeyed_by_signal(api: Api, file: Path | None, redactor: Redactor) -> Iterator[None]:
    """Have SIGHUP read the key anew; without an env file, and on Windows, the signal keeps its meaning."""
    if file is None or not hasattr(signal, "SIGHUP"):
        yield
        return
    turn = threading.Lock()

    def read() -> None:
        with turn:
            reread(api, file, redactor)

    # In a thread: whatever was interrupted by the signal may hold a lock that the log takes.
    before = signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=read, daemon=True).start())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def reread(api: Api, file: Path, redactor: Redactor) -> None:
    """Take the key that the env file has now, and no other setting; where the file is wrong the key stays."""
    try:
        settings, _ = read_settings(file)
    except RunbookError as error:
        log.error("the key stays: %s", error, extra={"event": "key_not_read"})  # noqa: TRY400 - the reason is in the text
        return
    if settings.api_key is not None:
        redactor.add(settings.api_key.reveal())
    api.settings = api.settings.model_copy(update={"api_key": settings.api_key})
    log.info("the key of the env file is taken", extra={"event": "key_read"})
