"""A case: what a plugin is told, what is there before, what it should want, and what is there afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from runbook.changes import Completed, Response, Usage
from runbook.errors import Invalid, Where
from runbook.units import Age, Mode, Size


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Strict):
    """A file by `content` or `gzip` (the text that is compressed), a `link`, a `hard` link, a `folder`, or a `fifo`.

    `age` counts back from the case's now. In `after` only what is written is compared.
    """

    content: str | None = None
    gzip: str | None = None
    link: str | None = None
    hard: str | None = None
    folder: bool = False
    fifo: bool = False
    mode: Mode | None = None
    age: Age | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        said = [self.content, self.gzip, self.link, self.hard, self.folder or None, self.fifo or None]
        if sum(value is not None for value in said) > 1:
            raise ValueError("an entry is one of content, gzip, link, hard, folder, fifo")
        return self


class Wanted(_Strict):
    """A change that is expected; only what is written is compared."""

    kind: str
    target: str
    detail: str | None = None
    diff: str | None = None


class Answer(_Strict):
    """What a process (`run`) or a server (`url`) says, in a case that is played in memory.

    The url `process://PID` stands for whether that process is alive: status 0 says that it is not. A parcel is handed
    over to its address by the method `deliver`.
    """

    run: str | None = None
    rc: int = 0
    stdout: str = ""
    stderr: str = ""
    url: str | None = None
    method: str = "GET"
    status: int = 200
    headers: dict[str, str] = Field(default_factory=dict)
    body: str = ""

    def question(self) -> str:
        return self.run if self.run is not None else f"{self.method} {self.url}"

    def told(self) -> Completed | Response:
        if self.run is not None:
            return Completed((self.run,), self.rc, self.stdout, self.stderr)
        return Response(self.status, self.headers, self.body.encode(), 0.01, self.url or "")


class Space(_Strict):
    """The space of a file system."""

    total: Size
    used: Size
    free: Size

    def usage(self) -> Usage:
        return Usage(self.total, self.used, self.free)


class Case(_Strict):
    """One case; `file` and `number` say where it was read.

    Absolute paths whose first folder is one of those in `before`, `after` or `roots` are moved under the temporary
    folder when the case is played on real files. `after` is the whole tree: what is not listed must not be there, but
    the folders above what is. `after` may say `same` of a path: as it was, with mode and time; without `after` all is.
    """

    task: str
    name: str = ""
    now: datetime = datetime(2026, 3, 10, 2, tzinfo=UTC)
    params: dict[str, Any] = Field(default_factory=dict)
    before: dict[str, Entry] = Field(default_factory=dict)
    changes: tuple[Wanted, ...] = ()
    after: dict[str, Entry | Literal["same"]] | None = None
    returns: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
    roots: tuple[str, ...] = ()
    played: Literal["both", "memory", "files"] = "both"
    env: dict[str, str] = Field(default_factory=dict)
    file_systems: dict[Path, Space] = Field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    file: str = ""
    number: int = 0

    @field_validator("now")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        return value if value.tzinfo else value.replace(tzinfo=UTC)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.changes and self.after is None:
            raise ValueError("a case with changes says in `after` what is there afterwards")
        return self

    def plays_on(self, *, real: bool) -> bool:
        """Say whether it is for real files; answers and file systems are there in memory only."""
        if real:
            return self.played != "memory" and not self.file_systems and not self.answers
        return self.played != "files"

    def __str__(self) -> str:
        """Give its name: the task, and the file or the name given."""
        return f"{self.task}/{self.name}"


def cases(folder: Path | str) -> list[Case]:
    """Read every case below a folder: `<task>/<case>.yaml`, with one or more documents in each.

    Raises `Invalid` with the place of what is wrong.
    """
    return [case for path in sorted(Path(folder).rglob("*.yaml")) for case in read_cases(path)]


def plays(folder: Path | str) -> list[tuple[Case, bool]]:
    """Give every case below a folder with each kind of machine it is for: False in memory, True on real files."""
    return [(case, real) for case in cases(folder) for real in (False, True) if case.plays_on(real=real)]


def read_cases(path: Path) -> Iterator[Case]:
    """Read the cases of a file; the task is named by its folder unless `task` does."""
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise Invalid(f"no YAML: {error}", where=Where(str(path))) from error
    for number, document in enumerate(documents, 1):
        name = path.stem if len(documents) == 1 else f"{path.stem}-{number}"
        try:
            if not isinstance(document, dict):
                raise Invalid("a case is a mapping", where=Where(str(path)))
            yield Case.model_validate({"task": path.parent.name, "name": name, **document, "file": str(path)})
        except ValidationError as error:
            raise Invalid(f"case {number}: {error}", where=Where(str(path))) from error
