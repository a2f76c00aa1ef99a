"""A crontab's text: blocks between markers, each with its owner, and everything else to the byte as it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runbook.changes import Run, RunCommand
from runbook.errors import TaskFailed
from runbook.host import Host

SPOOL = "/var/spool/cron"
BEGIN, END = "# BEGIN runbook: ", "# END runbook: "
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?:(\*)|([0-9]{1,2}|[A-Za-z]{3})(?:-([0-9]{1,2}|[A-Za-z]{3}))?)(?:/([0-9]{1,2}))?")


def field(least: int, most: int, names: Sequence[str] = (), first: int = 0) -> Callable[[Any], str]:
    """Give the check of one of the five fields: `*`, numbers, names, ranges, lists and steps, as cron takes them."""

    def number(text: str) -> int:
        if text.isdecimal():
            return int(text)
        if text.lower() in names:
            return names.index(text.lower()) + first
        raise ValueError(f"{text!r} is no {'name or ' if names else ''}number that cron knows here")

    def check(value: Any) -> str:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(text, str):
            raise ValueError(f'{value!r} is no field of a crontab; write a number, "*" or "*/5"')  # noqa: TRY004
        for part in text.split(","):
            found = _PART.fullmatch(part)
            if found is None:
                raise ValueError(f"{part!r} is none of *, a number, a range 1-5 and a step */5; lists have no blanks")
            low, high = (number(end) for end in (found[2] or str(least), found[3] or found[2] or str(most)))
            if not least <= low <= high <= most:
                raise ValueError(f"{part!r} is not within {least} to {most}")
            if found[4] is not None and (int(found[4]) == 0 or (found[2] and not found[3])):
                raise ValueError(f"the step of {part!r} means nothing; write */5 or a range 0-30/5")
        return text

    return check


def owner(value: Any) -> str:
    """Check the name in a marker: it must be found again."""
    if not isinstance(value, str) or not value.isprintable() or value != value.strip() or not 0 < len(value) <= 100:
        raise ValueError("write a name of up to 100 printable characters on one line, as `nightly upkeep`")
    return value


def escaped(job: str) -> str:
    """Write a command for cron, where a bare `%` ends it; ValueError for what crons read in different ways."""
    if not job.strip() or job != job.strip():
        raise ValueError("write the command, without blanks around it")
    control = next((char for char in job if not char.isprintable() and char != "\t"), None)
    if control is not None:
        raise ValueError(f"a crontab's line cannot hold the character {control!r}; put the command into a script")
    if re.search(r"\\[\\%]", job):
        raise ValueError(
            "crons differ in what a backslash means before % or another backslash; a bare % is escaped for cron, and"
            " anything else goes into a script"
        )
    return job.replace("%", "\\%")


def spanned(text: str, name: str) -> tuple[list[str], tuple[int, int] | None]:
    """Give the lines, and where our block is, from its first to behind its last; unbalanced markers are refused."""
    lines = text.split("\n")
    begun: tuple[int, str] | None = None
    found: tuple[int, int] | None = None
    for number, line in enumerate(lines):
        if line.startswith(BEGIN):
            if begun is not None:
                raise _unbalanced(number, line, f"the block of line {begun[0] + 1} is still open")
            begun = number, line.removeprefix(BEGIN)
        elif line.startswith(END):
            if begun is None or begun[1] != line.removeprefix(END):
                raise _unbalanced(number, line, "it ends a block that does not begin before it")
            if begun[1] == name:
                if found is not None:
                    raise _unbalanced(begun[0], lines[begun[0]], f"there is one of that name in line {found[0] + 1}")
                found = begun[0], number + 1
            begun = None
    if begun is not None:
        raise _unbalanced(begun[0], lines[begun[0]], "it does not end")
    return lines, found


def _unbalanced(number: int, line: str, why: str) -> TaskFailed:
    return TaskFailed(
        f"line {number + 1} of the crontab, {line!a}: {why}",
        hint="mend the markers with `crontab -e`; until then nothing is touched",
    )


def with_block(text: str, name: str, line: str | None) -> str:
    """Give the table with our block holding this line, in its place or at the end; None removes the block."""
    lines, found = spanned(text, name)
    block = [] if line is None else [BEGIN + name, line, END + name]
    if found is not None:
        return "\n".join([*lines[: found[0]], *block, *lines[found[1] :]])
    if line is None:
        return text
    joint = "\n" if text and not text.endswith("\n") else ""
    return text + joint + "".join(f"{each}\n" for each in block)


def blocks(text: str) -> Mapping[str, str]:
    """Give the line of each block by the name of its owner."""
    names = [line.removeprefix(BEGIN) for line in text.split("\n") if line.startswith(BEGIN)]
    found = {}
    for name in names:
        lines, place = spanned(text, name)
        if place is not None:
            found[name] = "\n".join(lines[place[0] + 1 : place[1] - 1])
    return found


def table(host: Host) -> str:
    """Read the user's table; one that is not there is empty."""
    done = host.probe(["crontab", "-l"])
    if done.rc == 0:
        return done.stdout
    if done.rc == 1 and "no crontab for" in done.stderr:
        return ""
    raise TaskFailed(
        f"cannot read the crontab: `crontab -l` {done.last_words()}",
        hint="may this user have one? see crontab(1) on cron.allow and cron.deny",
    )


def installed(before: str, after: str, name: str, line: str | None) -> Run:
    """Give the change that replaces the table; its diff shows our block alone, for other lines may hold secrets."""
    argv = ("crontab", "-") if after else ("crontab", "-r")
    old = blocks(before).get(name)
    signed = (("-", old), ("+", line))
    shows = "".join(f"{sign}{each}\n" for sign, text in signed if text is not None for each in text.split("\n"))
    detail = f"{name}: {'removed' if line is None else line}"
    return Run(
        RunCommand(argv, stdin=after or None, affects=(SPOOL,)),
        expect=(0,),
        detail=detail,
        shows=f"--- crontab\n+++ crontab\n@@ {name} @@\n{shows}",
    )


minute, hour, day = field(0, 59), field(0, 23), field(1, 31)
month, weekday = field(1, 12, _MONTHS, 1), field(0, 7, _DAYS)
