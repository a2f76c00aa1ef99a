"""The errors in logs, counted and shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Protocol, cast

from pydantic import AfterValidator, BeforeValidator

from runbook.changes import Found
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown
from runbook.units import Age, Size

from .entries import entries, seek_line, seek_time
from .errors import Kind, Tally


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | Path) else value


Paths = Annotated[tuple[Path, ...], BeforeValidator(_listed)]
Regex = Annotated[str, AfterValidator(_regex)]


class Wanted(Protocol):
    """What is asked for: the params of `logs.scan`."""

    @property
    def paths(self) -> tuple[Path, ...]: ...
    @property
    def since(self) -> Age: ...
    @property
    def patterns(self) -> tuple[str, ...]: ...
    @property
    def ignore(self) -> tuple[str, ...]: ...
    @property
    def max(self) -> int | None: ...
    @property
    def limit(self) -> Size: ...
    @property
    def samples(self) -> int: ...


def scanned(want: Wanted, host: Host) -> dict[str, Any]:
    """Scan the logs; raises TaskFailed where none is there, or where there are too many errors."""
    since = host.now.timestamp() - want.since
    logs = _logs(host, want.paths)
    tally = Tally(_compiled(want.patterns), _compiled(want.ignore))
    cut = []
    for log in logs:
        if log.stat.mtime / 1e9 < since:
            continue  # nothing in it is younger than itself
        with _opened(host, log) as file:
            if _is_packed(log.path):
                tally.take(_watched(host, entries(file)), since)
                continue
            seek_time(file, log.stat.size, since)
            if log.stat.size - file.tell() > want.limit:
                cut.append(str(log.path))
                seek_line(file, log.stat.size - want.limit)
            tally.take(_watched(host, entries(file)), since)
    data = {
        "errors": tally.errors,
        "entries": tally.entries,
        "samples": [_told(kind) for kind in tally.most(want.samples)],
        "read": [str(log.path) for log in logs],
        "cut": cut,
    }
    if want.max is not None and tally.errors > want.max:
        raise TaskFailed(_too_many(want, tally, logs), hint="look at them in the log, with what was before", data=data)
    return data


def _logs(host: Host, paths: tuple[Path, ...]) -> list[Found]:
    """Give the logs that are there; TaskFailed if none is, for then nobody would ever hear of an error."""
    found: dict[Path, Found] = {}
    for path in paths:
        if re.search(r"[*?\[]", path.name):
            found |= {each.path: each for each in host.find(path.parent, path.name) if each.stat.is_file}
        elif (stat := host.stat(path)) is not None:
            found[path] = Found(path, stat)
    if not found:
        names = ", ".join(map(shown, paths))
        raise TaskFailed(f"there is no log {names}", hint="where does the service write its log? Name it in `paths`")
    return [found[path] for path in sorted(found)]


def _compiled(texts: tuple[str, ...]) -> list[re.Pattern[bytes]]:
    return [re.compile(text.encode("utf-8", "surrogateescape"), re.MULTILINE) for text in texts]


def _is_packed(path: Path) -> bool:
    return path.suffix == ".gz"


@contextmanager
def _opened(host: Host, log: Found) -> Iterator[BinaryIO]:
    with host.open(log.path) as file:
        if not _is_packed(log.path):
            yield file
            return
        from isal import igzip, isal_zlib

        try:
            with igzip.IGzipFile(fileobj=file, mode="rb") as unpacked:  # type: ignore[no-untyped-call]
                yield cast("BinaryIO", unpacked)
        except (EOFError, OSError, isal_zlib.error) as error:  # type: ignore[misc]  # its stubs take the class for an instance
            raise TaskFailed(f"{shown(log.path)} cannot be unpacked: {error}", hint="is it damaged?") from error


def _watched(host: Host, found: Iterator[Any]) -> Iterator[Any]:
    for number, entry in enumerate(found):
        if number % 1000 == 0:
            host.check_deadline()
        yield entry


def _told(kind: Kind) -> dict[str, Any]:
    return {"count": kind.count, "last": _time(kind.at), "text": kind.text}


def _time(at: float | None) -> str | None:
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _too_many(want: Wanted, tally: Tally, logs: list[Found]) -> str:
    kinds = "; ".join(f"{kind.count} x {kind.text}" for kind in tally.most(min(3, want.samples)))
    names = ", ".join(shown(log.path) for log in logs)
    count = "1 error" if tally.errors == 1 else f"{tally.errors} errors"
    return f"{count} within {want.since} in {names}, more than {want.max}{f': {kinds}' if kinds else ''}"
