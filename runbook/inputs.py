"""What a play asks of its caller: typed, documented values, read from the command line before anything runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runbook.errors import Invalid, Problems, Where
from runbook.source import parse_document, parse_scalar
from runbook.suggest import suggest
from runbook.units import Age, Duration, Secret, Size
from runbook.value import frozen

# Words of expressions are no names: nothing could ever read a variable that bears one.
NAME = re.compile(r"(?!(?:[Tt]rue|[Ff]alse|[Nn]one|and|or|not|in|is|if|else)\Z)[A-Za-z_][A-Za-z0-9_]*")
NAME_HINT = "a name holds letters, digits and _, starts with no digit, and is no word such as none, true or in"


@frozen
class Input:
    """One input of a play; `default` is as written, so it may be a template, and None where there is none.

    One that is `required_unless` others are given may be left out where one of those is not; it `excludes` those that
    must not be given beside it.
    """

    name: str
    type: str = "str"
    required: bool = False
    default: Any = None
    help: str = ""
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    required_unless: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    where: Where | None = None

    def read(self, value: Any, *, cwd: Path) -> Any:
        """Turn the text of `-e name=value`, or a value out of YAML, into what the type says.

        Paths come out absolute, as text. Raises ValueError with what to write instead.
        """
        if value is None:
            if self.required:
                raise ValueError(f"{self.name} is required and was given nothing")
            return None
        read = TYPES[self.type](self, value, cwd)
        for each in read if isinstance(read, list) else [read]:
            text = each.reveal() if isinstance(each, Secret) else str(each)
            if self.pattern is not None and not re.fullmatch(self.pattern, text):
                example = "" if self.default is None else f"; write it as in {self.default}"
                raise ValueError(f"{str(each)!r} does not match the pattern {self.pattern}{example}")
            if self.choices and text not in self.choices:
                near = suggest(text, self.choices) or f"write one of: {', '.join(self.choices)}"
                raise ValueError(f"{str(each)!r} is no choice; {near}")
        return read


def _wrong(value: Any, what: str, write: str) -> ValueError:
    return ValueError(f"{value!r} is no {what}; write {write}")


def _str(_asked: Input, value: Any, _cwd: Path) -> str:
    if isinstance(value, bool | list | dict):
        raise _wrong(value, "text", "it in quotes")
    return str(value)


def _int(_asked: Input, value: Any, _cwd: Path) -> int:
    if type(value) is int:  # a boolean is none
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9]{1,40}\s*", value):
        return int(value)
    raise _wrong(value, "whole number", "for example 5")


def _float(_asked: Input, value: Any, _cwd: Path) -> float:
    try:
        return float("" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        raise _wrong(value, "number", "for example 0.5") from None


def _bool(_asked: Input, value: Any, _cwd: Path) -> bool:
    word = str(value).strip().lower()
    if word not in ("true", "false"):
        raise _wrong(value, "boolean", "true or false")
    return word == "true"


def _path(_asked: Input, value: Any, cwd: Path) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise _wrong(value, "path", "a text such as export/model.onnx")
    return os.path.normpath(cwd / Path(value).expanduser())


def _file(asked: Input, value: Any, cwd: Path) -> str:
    path = Path(_path(asked, value, cwd))
    if not path.is_file():
        raise ValueError(_absent(path, "file"))
    return str(path)


def _dir(asked: Input, value: Any, cwd: Path) -> str:
    path = Path(_path(asked, value, cwd))
    if not path.is_dir():
        raise ValueError(_absent(path, "folder"))
    return str(path)


def _absent(path: Path, what: str) -> str:
    if path.exists():
        return f"{path} is no {what}"
    try:
        near = suggest(path.name, (entry.name for entry in path.parent.iterdir()))
    except OSError:
        near = None
    return f"there is no {what} {path}" + (f"; {near}" if near else "")


def _url(_asked: Input, value: Any, _cwd: Path) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value if isinstance(value, str) and not re.search(r"\s", value) else "")
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        valid = False
    if not valid:
        raise _wrong(value, "URL", "for example http://localhost:8000")
    return str(value)


def _secret(asked: Input, value: Any, _cwd: Path) -> Secret:
    if isinstance(value, bool | list | dict):  # not `_wrong`, which would show it
        raise ValueError(f"{asked.name} takes a text")  # noqa: TRY004 # the caller turns it into a problem
    return value if isinstance(value, Secret) else Secret(str(value))


def _list(_asked: Input, value: Any, _cwd: Path) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    text = value.strip() if isinstance(value, str) else "{}"
    if not text.startswith(("[", "{")):
        return [parse_scalar(part.strip()) for part in text.split(",")] if text else []
    try:
        read = parse_document(text, "the list").value
    except Invalid as error:
        told = error.problems[0] if isinstance(error, Problems) else error
        raise ValueError(f"{value!r} is no list: {told.message}; {told.hint}") from error
    if not isinstance(read, list):
        raise _wrong(value, "list", "[a, b] or a,b")
    return read


TYPES: dict[str, Callable[[Input, Any, Path], Any]] = {
    "str": _str,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "path": _path,
    "file": _file,
    "dir": _dir,
    "url": _url,
    "secret": _secret,
    "age": lambda _asked, value, _cwd: Age.accept(value),
    "size": lambda _asked, value, _cwd: Size.accept(value),
    "duration": lambda _asked, value, _cwd: Duration.accept(value),
    "list": _list,
    "choice": _str,
}


def show_inputs(inputs: Mapping[str, Input]) -> list[tuple[str, str, str, str]]:
    """Give rows of name, type, default (or whether it must be given) and help, for `--help`."""
    rows = []
    for each in inputs.values():
        kind = "|".join(each.choices) if each.choices else each.type
        secret = each.type == "secret" and each.default is not None and "{{" not in str(each.default)
        default = "" if each.default is None else "***" if secret else _written(each.default)
        beside = [name for name in each.excludes if name not in each.required_unless]
        told = [
            default,
            "required" if each.required else "",
            f"required unless {' or '.join(each.required_unless)}" if each.required_unless else "",
            f"not with {' or '.join(beside)}" if beside else "",
        ]
        rows.append((each.name, kind, ", ".join(filter(None, told)), each.help))
    return rows


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
