"""A service's settings in its `.env`: one name set or removed, every other line kept to the byte."""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from runbook.changes import Change, Chmod, Stat, Write
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown
from runbook.task import Params, task
from runbook.units import Secret

if TYPE_CHECKING:
    from dotenv.parser import Binding

MODE = 0o600
_BARE = re.compile(r"[A-Za-z0-9_./:@%+=,-]*")
_PLAIN = re.compile(r"[^'\"\\$`]*")  # the same in either kind of quotation marks
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
# The parts of a line that the parser has found to be an assignment; a comment after a bare value needs a space.
_ASSIGNMENT = re.compile(
    r"""(?P<blank>\s*)(?P<head>(?:export[^\S\r\n]+)?)(?P<key>'[^']+'|[^=#\s]+)"""
    r"""(?P<equals>[^\S\r\n]*(?:=(?:[^\S\r\n]+(?=[^\s#]))?)?)"""
    r"""(?P<value>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\r\n]*?)"""
    r"""(?P<comment>(?:[^\S\r\n]+\#[^\r\n]*)?)[^\S\r\n]*(?P<end>\r\n|\n|\r|)""",
    re.DOTALL,
)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class Set(Params):
    """Which name of which file, and its value."""

    path: Path = Field(description="the file, as `/srv/api/.env`; made if it is missing, in a folder that is there")
    name: str = Field(description="the variable's name", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    value: Annotated[str | Secret | None, BeforeValidator(_text)] = Field(
        None, description="its value: a text or number, or a secret, which is masked wherever it would show"
    )
    state: Literal["present", "absent"] = Field("present", description="`absent` removes the name")

    @model_validator(mode="after")
    def _value_or_absent(self) -> Self:
        if self.state == "present" and self.value is None:
            raise ValueError('`value` is missing; an empty one is written `value: ""`, and `state: absent` removes it')
        if self.state == "absent" and self.value is not None:
            raise ValueError("`state: absent` takes no `value`")
        return self


@task(name="set", returns={"path": "the file", "name": "the variable"})
def set_(want: Set, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Set a variable in a `.env`, or remove it; the file is replaced whole, and only its owner may read it.

    Every other line stays as it is, to the byte. A line that sets the variable keeps its place, its `export` and its
    comment; of several the last counts, and the others go. The value is written so that python-dotenv and a POSIX
    shell's `. FILE` read the same; one for which there is no such way is refused, and so is one with a line break or
    another control character. Lines that end in CRLF stay so, and no shell reads those right. A symbolic link is never
    written through. The step has to be followed by whatever makes the service read the file.
    """
    found = host.stat(want.path, follow=False)
    _require_own_file(want.path, found)
    before = b"" if found is None else host.read(want.path)
    text = _decoded(want.path, before)
    new = _changed(_bindings(want.path, text), want)
    if new != text:
        # The other lines hold secrets too: nothing of the file is to show in a difference.
        yield Write(want.path, Secret(new), mode=MODE, was=found)
    elif found is not None and found.mode != MODE:
        yield Chmod(want.path, MODE, found)
    return {"path": str(want.path), "name": want.name}


def _require_own_file(path: Path, found: Stat | None) -> None:
    if found is None:
        return
    if found.is_link:
        raise TaskFailed(
            f"{shown(path)} is a symbolic link, and secrets are not written through one",
            hint="write the path of the file itself",
        )
    if not found.is_file:
        raise TaskFailed(f"{shown(path)} is there, and is no regular file", hint="write the path of a `.env`")
    if found.links > 1:
        raise TaskFailed(
            f"{shown(path)} has {found.links} names (hard links), and the others would keep the old content",
            hint="remove the other names, or make them copies",
        )


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TaskFailed(f"{shown(path)}, line {line}: not UTF-8, so no reader agrees on what it says") from None


def _bindings(path: Path, text: str) -> list[Binding]:
    """Give the file's assignments, comments and blank lines in order: their texts together are the file."""
    from dotenv.parser import parse_stream

    mark = "\ufeff" if text.startswith("\ufeff") else ""  # the parser drops it
    found = list(parse_stream(io.StringIO(text.removeprefix(mark), newline="")))
    broken = next((each for each in found if each.error and re.search("['\"]", each.original.string)), None)
    if broken is not None:
        blank = re.match(r"\s*", broken.original.string)
        line = broken.original.line + (blank[0].count("\n") if blank else 0)
        raise TaskFailed(
            f"{shown(path)}, line {line}: no NAME=value; a quotation that is not closed would swallow what follows",
            hint="mend the line, or make it a comment",
        )
    if mark:
        found[:1] = [
            each._replace(original=each.original._replace(string=mark + each.original.string)) for each in found[:1]
        ]
    return found


def _changed(bindings: Sequence[Binding], want: Set) -> str:
    """Give the file's text with the variable as it is wanted."""
    ours = [number for number, each in enumerate(bindings) if each.key == want.name]
    last = ours[-1] if ours and want.value is not None else None
    parts = []
    for number, each in enumerate(bindings):
        text = each.original.string
        if number == last:
            parts.append(_rewritten(text, want.value or ""))
        elif number in ours:
            parts.append(_blank(text))
        else:
            parts.append(text)
    whole = "".join(parts)
    if want.value is None or ours:
        return whole
    end = "\r\n" if "\r\n" in whole else "\n"
    joint = "" if not whole or whole.endswith(("\n", "\r")) else end
    return f"{whole}{joint}{want.name}={_written(want.value)}{end}"


def _rewritten(text: str, value: str | Secret) -> str:
    """Give a line with this value, the line itself where it says so already; blank lines before it belong to it."""
    line = _ASSIGNMENT.fullmatch(text)
    assert line is not None
    plain = value.reveal() if isinstance(value, Secret) else value
    same = {_written(value), *([f"'{plain}'", f'"{plain}"'] if _PLAIN.fullmatch(plain) else [])}
    if line["equals"] == "=" and line["value"] in same and line["key"][0] != "'":
        return text
    parts = line["blank"], line["head"], line["key"].strip("'"), "=", _written(value), line["comment"], line["end"]
    return "".join(parts)


def _blank(text: str) -> str:
    """Give what stays of a line that goes: the blank lines before it, less its own indentation."""
    blank = text[: len(text) - len(text.lstrip())]
    return blank[: max(blank.rfind("\n"), blank.rfind("\r")) + 1]


def _written(value: str | Secret) -> str:
    """Write a value so that python-dotenv and a POSIX shell read the same; the error never shows it."""
    text = value.reveal() if isinstance(value, Secret) else value
    if (control := _CONTROL.search(text)) is not None:
        raise _unwritable(f"it holds the control character U+{ord(control[0]):04X}")
    if not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text):
        raise _unwritable("it is no UTF-8")
    if _BARE.fullmatch(text):
        return text
    if "${" in text:
        raise _unwritable("python-dotenv puts a variable in the place of ${...}, a shell in single quotes does not")
    if text.endswith("\\"):
        raise _unwritable("it ends in a backslash, which hides the quotation mark after it from python-dotenv")
    if "'" not in text and "\\\\" not in text:
        return f"'{text}'"
    if "$" in text or "`" in text:
        raise _unwritable("it holds $ or ` beside ' or \\\\, and only a shell knows how to quote them together")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _unwritable(why: str) -> TaskFailed:
    return TaskFailed(
        f"the value cannot be written so that python-dotenv and a shell read the same: {why}",
        hint="choose another (secret.generate makes one of 0-9 and a-f), or keep it in a file and write its path",
    )
