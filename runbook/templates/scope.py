"""What templates read their variables from, and the places in files that their errors name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, Literal, Protocol

from runbook.errors import TaskFailed, Where


class _Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> Literal[False]:
        return False


MISSING: Final = _Missing.MISSING
"""What a scope gives for a name that is not defined."""

KeyPath = tuple[str | int, ...]
# Called as `where(path)`, and as `where(path, offset=n)` for a character within a text, if it takes that.
Locate = Callable[..., Where]


class Scope(Protocol):
    """The variables of a host as templates see them, with the two outside things that a lookup may read."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment, for `lookup('env')`."""
        ...

    def get(self, name: str) -> Any:
        """Give a variable's value, rendered, or MISSING."""
        ...

    def names(self) -> Iterable[str]:
        """Give every name that is defined, for "did you mean"."""
        ...

    def read_file(self, path: str) -> str:
        """Read a file of the controller, for `lookup('file')`; raises TaskFailed."""
        ...


class Spot:
    """Where a text stands; the place of a character in it is worked out only when it is asked for."""

    __slots__ = ("_path", "_where")

    def __init__(self, where: Where | Locate | None, path: KeyPath = ()) -> None:
        self._where = where
        self._path = path

    def at(self, text: str, offset: int = 0) -> Where | None:
        """Give the place of the character at the offset in the text that stands here."""
        if self._where is None:
            return None
        if isinstance(self._where, Where):
            return shifted(self._where, text, offset)
        if not offset:
            return self._where(self._path)
        try:
            return self._where(self._path, offset=offset)
        except TypeError:  # it knows the places of whole values only
            return shifted(self._where(self._path), text, offset)


def shifted(where: Where, text: str, offset: int) -> Where:
    """Give the place of a character of a text that begins at `where` and runs on over the lines below."""
    if not where.line:
        return where
    start = text.rfind("\n", 0, offset) + 1
    if not start:
        return Where(where.file, where.line, where.column + offset)
    return Where(where.file, where.line + text.count("\n", 0, offset), offset - start + 1)


def failure(message: str, *, where: Where | None, hint: str | None = None) -> TaskFailed:
    """Build the error of a template that cannot be rendered."""
    error = TaskFailed(message, hint=hint)
    error.where = where
    return error
