"""The task that sees to single lines of a text file: `lineinfile`."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Generator
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from runbook.changes import Change
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import task
from runbook.units import Secret

from .editing import RETURNS, Edit, Pattern, edited, raw

END = b"\n"


class Line(Edit):
    """Which file, which line, and where it goes."""

    state: Literal["present", "absent"] = Field("present", description="`absent` removes every line that matches")
    line: str | Secret | None = Field(
        None, validation_alias=AliasChoices("line", "value"), description="the line; `present` needs it"
    )
    regexp: Pattern | None = Field(
        None,
        validation_alias=AliasChoices("regexp", "regex"),
        description="the last line that it matches somewhere is replaced; it should match `line`, too",
    )
    search_string: str | None = Field(None, description="as `regexp`, but a text that the line contains")
    insertafter: Pattern | None = Field(
        None,
        description="where nothing matches: after the last line that this matches, `BOF`, or `EOF`, the default",
    )
    insertbefore: Pattern | None = Field(
        None, description="where nothing matches: before the last line that this matches, or `BOF`"
    )
    backrefs: bool = Field(
        default=False, description="put the groups of `regexp` in for `\\1`, and do nothing where it does not match"
    )
    firstmatch: bool = Field(default=False, description="mean the first line that matches, not the last")
    create: bool = Field(default=False, description="make the file, and the folders above it, where there is none")

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        for one, other in (("insertbefore", "insertafter"), ("regexp", "search_string"), ("backrefs", "search_string")):
            if getattr(self, one) and getattr(self, other):
                raise ValueError(f"`{one}` and `{other}` exclude each other; write one of them")
        if self.state == "present" and self.line is None:
            raise ValueError("`state: present` needs `line`")
        if self.state == "absent" and self.line is self.regexp is self.search_string is None:
            raise ValueError("`state: absent` needs one of `line`, `search_string` and `regexp`")
        if self.backrefs and self.regexp is None and self.state == "present":
            raise ValueError("`backrefs` needs `regexp`, whose groups it means")
        if self.line is not None and "\n" in (self.line.reveal() if isinstance(self.line, Secret) else self.line):
            raise ValueError("`line` holds a newline; write `blockinfile` for several lines")
        return self


@task(
    returns={
        "msg": RETURNS["msg"],
        "backup": "where the former content is; empty unless `backup` kept it",
        "found": "how many lines were removed",
    }
)
def lineinfile(want: Line, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Have a line in a text file, or not have it.

    A line that matches is replaced; where none does, the line is added. Every other line stays as it is, to the byte.
    A pattern that would go on changing the file at each further run is an error.
    """
    found = 0

    def absent(before: bytes | None) -> tuple[bytes | None, str]:
        nonlocal found
        if before is None:
            return None, "file not present"
        matches = _matcher(want)
        kept = [line for line in io.BytesIO(before) if not matches(line)]
        found = found or sum(1 for line in io.BytesIO(before) if matches(line))
        return b"".join(kept), f"{found} line(s) removed" if found else ""

    if want.state == "absent":
        data = yield from edited(want, host, absent, create=False, secret=isinstance(want.line, Secret))
        data |= {"found": found}
    else:
        data = yield from edited(
            want, host, lambda b: _present(want, b), create=want.create, secret=isinstance(want.line, Secret)
        )
    return data | {"backup": data.pop("backup_file", "")}


def _matcher(want: Line) -> Callable[[bytes], Any]:
    """Give what says whether a line is meant; of `regexp` it is the match."""
    if want.regexp is not None:
        return re.compile(raw(want.regexp)).search
    if want.search_string is not None:
        text = raw(want.search_string)
        return lambda line: text in line
    whole = raw(want.line or "")
    return lambda line: line.rstrip(b"\r\n") == whole


def _present(want: Line, before: bytes | None) -> tuple[bytes, str]:
    """Give the content with the line in it."""
    lines = list(io.BytesIO(before or b""))
    line = raw(want.line or "")
    at, match = _meant(want, lines) if want.regexp is not None or want.search_string is not None else (None, None)
    place = None
    if at is None:
        at, place = _equal_or_place(want, lines, line)
    if at is not None:
        new = _expanded(match, line) if want.backrefs and isinstance(match, re.Match) else line
        replaced, lines[at] = lines[at] != new + END, new + END
        return b"".join(lines), "line replaced" if replaced else ""
    if want.backrefs:
        return before or b"", ""
    return _added(want, lines, line, place)


def _expanded(match: re.Match[bytes], line: bytes) -> bytes:
    try:
        return match.expand(line)
    except (re.error, IndexError) as error:  # a group that there is not
        raise TaskFailed(f"`line` does not fit `regexp`: {error}", hint="write `\\\\` for a backslash") from None


def _meant(want: Line, lines: list[bytes]) -> tuple[int | None, Any]:
    """Give the line that is to be replaced, and its match."""
    matches = _matcher(want)
    found: tuple[int | None, Any] = None, None
    for number, line in enumerate(lines):
        if match := matches(line):
            found = number, match
            if want.firstmatch:
                break
    return found


def _equal_or_place(want: Line, lines: list[bytes], line: bytes) -> tuple[int | None, int | None]:
    """Give the number of the line that is there already, and of the one before which it is to be added."""
    pattern = want.insertafter or want.insertbefore
    beside = re.compile(raw(pattern)) if pattern not in (None, "BOF", "EOF") and pattern else None
    equal = place = None
    for number, each in enumerate(lines):
        if each.rstrip(b"\r\n") == line:
            equal = number
        elif beside is not None and beside.search(each):
            place = number + 1 if want.insertafter else number
            if want.firstmatch:
                break
    return equal, place


def _added(want: Line, lines: list[bytes], line: bytes, place: int | None) -> tuple[bytes, str]:
    if "BOF" in (want.insertbefore, want.insertafter):
        place = 0
    elif place is None:
        place = len(lines)
    elif want.insertafter and place < len(lines) and lines[place].rstrip(b"\r\n") == line:
        return b"".join(lines), ""
    if place == len(lines) and lines and lines[-1][-1:] not in (b"\n", b"\r"):
        lines[-1] += END
    lines.insert(place, line + END)
    return b"".join(lines), "line added"
