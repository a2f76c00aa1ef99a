"""Reading: a file or a text becomes a Document, or every reason why it cannot."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from runbook.errors import Invalid, Problems, Where
from runbook.source.compose import Fault, SyntaxProblem, compose, uncollected
from runbook.source.document import Document
from runbook.source.place import excerpt, lines_of
from runbook.source.plain import TYPES, advice, kind_of, value_of
from runbook.source.strict import Builder

LARGEST = 16 * 2**20


def read_document(path: Path, *, label: str | None = None, allow_empty: bool = False) -> Document:
    """Read a YAML file; `label` is how errors name it. Raises Invalid, or Problems for several at once."""
    file = label or str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise _unreadable(file, path, error) from error
    if len(data) > LARGEST:
        raise Invalid(f"the file is larger than {LARGEST >> 20} MiB", where=Where(file), hint="split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        hint = f"save it as UTF-8 (byte 0x{data[error.start]:02x} on this line is none)"
        raise Invalid("the file is not UTF-8", where=Where(file, line, 1), hint=hint) from error
    return _parse(text, file, path=path, sha256=hashlib.sha256(data).hexdigest(), allow_empty=allow_empty)


def parse_document(text: str, file: str, *, allow_empty: bool = False) -> Document:
    """Read YAML out of a text that errors name `file`. Raises Invalid, or Problems for several at once."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return _parse(text, file, path=None, sha256=digest, allow_empty=allow_empty)


def parse_scalar(text: str) -> Any:
    """Read the value of `-e name=value` as a strict YAML scalar: `false` is False, `5` is 5, otherwise text.

    Raises ValueError with what to write for text that YAML reads in two ways.
    """
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        try:
            node = compose(text)
        except SyntaxProblem:
            return text
        return node.value if node is not None and node.tag == "str" else text
    if not text:
        return ""  # `-e name=` is an empty text to every shell user, and `null` can be written
    kind = kind_of(text)
    if kind in TYPES:
        return value_of(kind, text)
    if kind in ("str", "merge"):
        return text
    message, hint = advice(kind, text)
    raise ValueError(f"{message}; {hint} (within '...' in a shell)")


def _unreadable(file: str, path: Path, error: OSError) -> Invalid:
    if isinstance(error, FileNotFoundError):
        from runbook.suggest import suggest

        folder = path.parent
        names = os.listdir(folder) if folder.is_dir() else []
        hint = suggest(path.name, names) if names else f"there is no folder '{folder}'" if not folder.is_dir() else None
        return Invalid("there is no such file", where=Where(file), hint=hint)
    reason = (error.strerror or str(error)).lower()
    return Invalid(f"the file cannot be read: {reason}", where=Where(file), hint="name a file that you may read")


def _parse(text: str, file: str, *, path: Path | None, sha256: str, allow_empty: bool) -> Document:
    with uncollected():
        try:
            root = compose(text)
        except SyntaxProblem as problem:
            raise _invalid(lines_of(text), file, problem.fault) from None
        builder = Builder(text)
        value = builder.build(root) if root is not None else None
    if builder.faults:
        lines = lines_of(text)
        found = [_invalid(lines, file, fault) for fault in builder.faults]
        raise Problems(found)
    if value is None and not allow_empty:
        raise Invalid("the file is empty", where=Where(file), hint="write something, or name another file")
    return Document(file, text, value, root=root, path=path, sha256=sha256)


def _invalid(lines: list[str], file: str, fault: Fault) -> Invalid:
    where = Where(file, fault.line + 1, fault.column + 1)
    shown = excerpt(lines, where.line, where.column) or None
    return Invalid(fault.message, where=where, hint=fault.hint, excerpt=shown)
