"""The task that looks for files: `find`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, PositiveInt, WithJsonSchema, model_validator

from runbook.changes import Found
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import Params, task
from runbook.units import Duration, Size

from .lacking import FIND

# Ansible's sizes, which are powers of 1024; `100MB` and `100MiB` are read as everywhere else in runbook.
POWERS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def _seconds(value: Any) -> float:
    """Read an age, in seconds or like `7d`; with a minus it means younger."""
    text = "" if isinstance(value, bool) else str(value).lower()
    number = text.removeprefix("-")
    length = float(number) if number.isdigit() else float(Duration.parse(number))
    return -length if text.startswith("-") else length


def _bytes(value: Any) -> int:
    """Read a size, in bytes, like `10m` or like `100MB`; with a minus it means smaller."""
    text = "" if isinstance(value, bool) else str(value)
    number = text.removeprefix("-")
    plain = re.fullmatch(r"(\d+)([bkmgt]?)", number.lower())
    length = int(plain[1]) * POWERS[plain[2] or "b"] if plain else int(Size.parse(number))
    return -length if text.startswith("-") else length


def _listed(value: Any) -> Any:
    """Let a text stand for the list of what its commas part."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


AgeLimit = Annotated[float, BeforeValidator(_seconds), WithJsonSchema({"type": ["integer", "string"]})]
SizeLimit = Annotated[int, BeforeValidator(_bytes), WithJsonSchema({"type": ["integer", "string"]})]
Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Search(Params):
    """Where to look, and what a match is; what is given must all hold."""

    lacks = FIND
    paths: Annotated[tuple[Path, ...], BeforeValidator(_listed)] = Field(
        validation_alias=AliasChoices("paths", "path", "name"), min_length=1, description="the folders to look in"
    )
    patterns: Texts = Field(
        ("*",), validation_alias=AliasChoices("patterns", "pattern"), description="shell patterns, one of which fits"
    )
    excludes: Texts = Field(
        (), validation_alias=AliasChoices("excludes", "exclude"), description="shell patterns, none of which fits"
    )
    use_regex: bool = Field(default=False, description="read patterns and excludes as regular expressions")
    file_type: Literal["file", "directory", "link", "any"] = Field("file", description="what kind of thing")
    age: AgeLimit | None = Field(None, description="at least this old, like `7d`; `-7d` is at most this old")
    age_stamp: Literal["mtime"] = Field("mtime", description="the time that the age is counted from")
    size: SizeLimit | None = Field(None, description="files of at least this size, like `10m`; `-10m` is at most")
    contains: Annotated[str, AfterValidator(_compiles)] | None = Field(
        None, description="a regular expression that the beginning of some line of the file matches"
    )
    recurse: bool = Field(default=False, description="look in the folders below too, not through links")
    depth: PositiveInt | None = Field(None, description="how many levels below, with `recurse`; 1 is the folder itself")
    hidden: bool = Field(default=False, description="also names that begin with a dot")

    @model_validator(mode="after")
    def _regular(self) -> Self:
        for pattern in (*self.patterns, *self.excludes) if self.use_regex else ():
            _compiles(".*" if pattern == "*" else pattern)
        return self


@task(
    kind="probe",
    returns={
        "files": "the matches: `path mode size mtime uid gid isreg isdir islnk inode dev nlink` of each",
        "matched": "how many they are",
        "examined": "how many entries were looked at",
        "skipped_paths": "what could not be looked at, and why",
        "msg": "whether all paths could be examined",
    },
)
def find(want: Search, host: Host) -> dict[str, Any]:
    """List the files below folders by name, age, size and content.

    A folder that is not there, or may not be read, is no failure: `skipped_paths` names it.
    """
    skipped: dict[str, str] = {}
    files, examined = [], 0
    for path in want.paths:
        for found in _below(host, path, want, skipped):
            examined += 1
            try:
                if _fits(host, found, want):
                    files.append({"path": str(found.path), **found.stat.under_ansibles_names()})
            except TaskFailed as error:
                skipped[str(found.path)] = error.message
    msg = "Not all paths examined, see skipped_paths" if skipped else "All paths examined"
    return {"files": files, "matched": len(files), "examined": examined, "skipped_paths": skipped, "msg": msg}


def _below(host: Host, path: Path, want: Search, skipped: dict[str, str], level: int = 1) -> Iterator[Found]:
    """Yield what is in a folder, then what is in the folders in it."""
    folder = host.stat(path)
    if folder is None or not folder.is_folder:
        skipped[str(path)] = f"'{path}' is not a directory"
        return
    try:
        entries = host.find(path)
    except TaskFailed as error:
        skipped[str(path)] = error.message
        return
    yield from entries
    if want.recurse and (want.depth is None or level < want.depth):
        for entry in entries:
            if entry.stat.is_folder:
                yield from _below(host, entry.path, want, skipped, level + 1)


def _fits(host: Host, found: Found, want: Search) -> bool:
    name, this = found.path.name, found.stat
    kinds = {"file": this.is_file, "directory": this.is_folder, "link": this.is_link, "any": True}
    if not kinds[want.file_type] or (name.startswith(".") and not want.hidden):
        return False
    if not _named(name, want.patterns, want) or _named(name, want.excludes, want):
        return False
    if want.age is not None and not _beyond(host.now.timestamp() - this.mtime / 1e9, want.age):
        return False
    if want.size is not None and this.is_file and not _beyond(this.size, want.size):
        return False
    return want.contains is None or want.file_type != "file" or _contains(host, found.path, want.contains)


def _named(name: str, patterns: tuple[str, ...], want: Search) -> bool:
    if want.use_regex:
        return any(pattern == "*" or re.match(pattern, name) for pattern in patterns)
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _beyond(value: float, limit: float) -> bool:
    """Say whether a value is at least the limit; at most, where the limit is below zero."""
    return value >= limit if limit >= 0 else value <= -limit


def _contains(host: Host, path: Path, pattern: str) -> bool:
    matches = re.compile(pattern.encode()).match
    with host.open(path) as file:
        for line in file:
            host.check_deadline()
            if matches(line):
                return True
    return False
