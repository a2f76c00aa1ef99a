"""The service's log: one JSON object a line, in one write, without a secret, in a file that can be rotated."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from runbook.errors import Invalid
from runbook.secrets import Redactor

OURS = "runbook.service"
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "color_message", "event"}


class JsonLines(logging.Formatter):
    """A record as a line: time (UTC), level, event, message, then whatever else was said of it."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": at, "level": record.levelname, "event": getattr(record, "event", record.name)}
        line["message"] = record.getMessage()
        line |= {key: value for key, value in vars(record).items() if key not in STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return self._redactor.mask(json.dumps(line, ensure_ascii=False, default=str))


class LineWriter(logging.Handler):
    """Writes each record in one write at the end of the file, so that it can be rotated under it.

    `reopen` goes over to a new file of the same name, as logrotate's `postrotate` asks for by a signal.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.path = path
        self._file = sys.stderr.fileno() if path is None else _open(path)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            rest = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
            while rest:  # a disk that fills up takes a part
                rest = rest[os.write(self._file, rest) :]
        except Exception:  # noqa: BLE001 - as every handler of logging does: the service goes on without the line
            self.handleError(record)

    def close(self) -> None:
        if self.path is not None and self._file >= 0:
            os.close(self._file)
            self._file = -1
        super().close()

    def reopen(self) -> None:
        """Go on in the file that has the name now; one that cannot be opened is told in the old one."""
        log = logging.getLogger(OURS)
        if self.path is None:
            return
        try:
            fresh = _open(self.path)
        except Invalid as error:
            log.error("%s", error, extra={"event": "log_not_reopened"})  # noqa: TRY400 - the reason is in the text
            return
        os.dup2(fresh, self._file, inheritable=False)
        os.close(fresh)
        log.info("log reopened", extra={"event": "log_reopened"})


def of_clients(record: logging.LogRecord) -> bool:
    """Lower the server's complaint that an answer stayed unsent: a client broke off, and nothing is wrong with us."""
    if record.msg == "ASGI callable returned without completing response.":
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True


@contextmanager
def logging_to(path: Path | None, redactor: Redactor) -> Iterator[LineWriter]:
    """Send all there is to log, also that of libraries, to a file or to stderr, and nowhere else."""
    writer, root = LineWriter(path), logging.getLogger()
    writer.setFormatter(JsonLines(redactor))
    before, root.handlers = root.handlers, [writer]
    for name in (OURS, "uvicorn.error"):  # of all others only what goes wrong
        logging.getLogger(name).setLevel(logging.INFO)
    writer.addFilter(of_clients)
    try:
        yield writer
    finally:
        root.handlers = before
        writer.close()


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o640)
    except OSError as error:
        raise Invalid(f"the log {path} cannot be opened: {error.strerror or error}") from error
