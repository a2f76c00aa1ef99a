"""Tasks that see to parts of a text file: `blockinfile` and `replace`."""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, model_validator

from runbook.changes import Change
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import task
from runbook.units import Secret

from .editing import RETURNS, Edit, Pattern, edited, raw

END = b"\n"


def _known(encoding: str) -> str:
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise ValueError(f"there is no encoding {encoding!r}; write for example utf-8, latin-1 or utf-16") from error
    return encoding


class Block(Edit):
    """Which file, which lines, and between which markers."""

    state: Literal["present", "absent"] = Field("present", description="`absent` removes the block and its markers")
    block: str | Secret = Field(
        "",
        validation_alias=AliasChoices("block", "content"),
        description="the lines between the markers; an empty one removes the block",
    )
    marker: str = Field(
        "# {mark} ANSIBLE MANAGED BLOCK", description="the lines around the block; `{mark}` is what follows here"
    )
    marker_begin: str = Field("BEGIN", description="what `{mark}` is before the block")
    marker_end: str = Field("END", description="what `{mark}` is after the block")
    insertafter: Pattern | None = Field(
        None, description="a new block goes after the last line that this matches, or to the `EOF` (the default)"
    )
    insertbefore: Pattern | None = Field(
        None, description="a new block goes before the last line that this matches, or to the `BOF`"
    )
    append_newline: bool = Field(default=False, description="have an empty line after the block, but at the end")
    prepend_newline: bool = Field(
        default=False, description="have an empty line before the block, but at the beginning"
    )
    create: bool = Field(default=False, description="make the file, and the folders above it, where there is none")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.insertbefore and self.insertafter:
            raise ValueError("`insertbefore` and `insertafter` exclude each other; write one of them")
        begin, end = self.markers()
        if begin == end:
            raise ValueError("both markers would be the same line; write `{mark}` in `marker`")
        if begin.count(END) > 1 or end.count(END) > 1:
            raise ValueError("a marker is one line; it holds a newline")
        return self

    def markers(self) -> tuple[bytes, bytes]:
        """Give the lines before and after the block."""
        begin, end = (self.marker.replace("{mark}", mark) for mark in (self.marker_begin, self.marker_end))
        return raw(begin) + END, raw(end) + END

    def lines(self) -> list[bytes]:
        """Give the block with its markers; nothing if it is to be gone."""
        text = raw(self.block)
        if self.state == "absent" or not text:
            return []
        begin, end = self.markers()
        return [begin, *(text if text.endswith(END) else text + END).splitlines(keepends=True), end]


class Replacement(Edit):
    """Which file, what in it, and what instead."""

    regexp: str = Field(
        description="what is replaced, everywhere; `^` and `$` mean the ends of lines, `(?s)` lets `.` go on"
    )
    replace: str | Secret = Field(
        "", description="what instead, with `\\1` and `\\g<name>` for groups; empty removes it"
    )
    after: str | None = Field(None, description="only what comes after this match, in which `.` matches newlines, too")
    before: str | None = Field(None, description="only what comes before this match")
    encoding: Annotated[str, AfterValidator(_known)] = Field("utf-8", description="how the file's text is written")

    @model_validator(mode="after")
    def _regular(self) -> Self:
        for pattern, flags in ((self.regexp, re.MULTILINE), (_section(self), re.DOTALL)):
            try:
                re.compile(pattern, flags)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return self


@task(returns=RETURNS)
def blockinfile(want: Block, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Have some lines in a text file, between two lines that mark them; or have them no more.

    A block that is there already is replaced where it is. Several blocks in a file need markers of their own. Every
    other line stays as it is, to the byte.
    """

    def edit(before: bytes | None) -> tuple[bytes | None, str]:
        if before is None and want.state == "absent" and want.create:
            return None, f"File {want.path} not present"
        after = b"".join(_with_block(want, before or b""))
        if after == before:
            return after, ""
        return after, "File created" if before is None else "Block inserted" if want.lines() else "Block removed"

    return (yield from edited(want, host, edit, create=want.create, secret=isinstance(want.block, Secret)))


def _with_block(want: Block, before: bytes) -> list[bytes]:
    """Give the lines of the file as they are to be."""
    lines, block = before.splitlines(keepends=True), want.lines()
    begin, end = want.markers()
    ends = [max((n for n, line in enumerate(lines) if line == mark), default=None) for mark in (begin, end)]
    if ends[0] is None or ends[1] is None:
        at = _place(want, before, lines)
    else:
        at, last = sorted((ends[0], ends[1]))
        del lines[at : last + 1]
    if at > 0 and not lines[at - 1].endswith(END):
        lines[at - 1] += END
    if want.state == "present":
        if want.prepend_newline and at != 0 and lines[at - 1] != END:
            lines.insert(at, END)
            at += 1
        if want.append_newline and at < len(lines) and lines[at] != END:
            lines.insert(at, END)
    lines[at:at] = block
    return lines


def _place(want: Block, before: bytes, lines: list[bytes]) -> int:
    """Give the number of the line before which a new block goes."""
    pattern = want.insertafter or want.insertbefore
    if pattern is None or want.insertafter == "EOF":
        return len(lines)
    if want.insertbefore == "BOF":
        return 0
    beside = re.compile(raw(pattern))
    if beside.flags & re.MULTILINE:
        match = beside.search(before)
        found = before.count(END, 0, match.end() if want.insertafter else match.start()) if match else None
    else:
        found = max((number for number, line in enumerate(lines) if beside.search(line)), default=None)
    if found is None:
        return len(lines)
    return found + 1 if want.insertafter else found


@task(returns={**RETURNS, "rc": "0; 257 of a failure where there is no file"})
def replace(want: Replacement, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Replace whatever a regular expression matches in a text file.

    A pattern that matches its own result, and would go on changing the file at each further run, is an error: `(?!...)`
    keeps it from what has been replaced.
    """
    secret = isinstance(want.replace, Secret)
    data = yield from edited(want, host, lambda before: _replaced(want, before), create=False, secret=secret)
    return {"rc": 0, **data}


def _section(want: Replacement) -> str:
    """Give the pattern of the part of the file that is meant, if one is."""
    if not (want.after or want.before):
        return ""
    return f"{want.after or ''}(?P<subsection>.*{'?' if want.after and want.before else ''}){want.before or ''}"


def _replaced(want: Replacement, before: bytes | None) -> tuple[bytes | None, str]:
    if before is None:
        raise TaskFailed(f"there is no file {want.path}", hint="make it in a step before", data={"rc": 257})
    try:
        text = before.decode(want.encoding, "surrogateescape")
        start, end = 0, len(text)
        if pattern := _section(want):
            section = re.search(pattern, text, re.DOTALL)
            if section is None:
                return before, f"Pattern for before/after params did not match the given file: {pattern}"
            start, end = section.span("subsection")
        new = want.replace.reveal() if isinstance(want.replace, Secret) else want.replace
        result, count = re.subn(want.regexp, new, text[start:end], flags=re.MULTILINE)
        if result == text[start:end]:
            return before, ""
        after = (text[:start] + result + text[end:]).encode(want.encoding, "surrogateescape")
    except UnicodeError as error:
        raise TaskFailed(
            f"{want.path} is no text in {want.encoding}: {getattr(error, 'reason', 'a character does not fit')}",
            hint="say with `encoding` how it is written",
        ) from None
    except (re.error, IndexError) as error:  # a group that there is not
        raise TaskFailed(f"`replace` does not fit `regexp`: {error}") from None
    return after, f"{count} replacements made"
