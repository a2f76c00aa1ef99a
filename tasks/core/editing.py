"""What the tasks that edit a text file have in common: the file, and what is written of it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, Field

from runbook.changes import Change, Chmod, Write
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.modes import MODE, Permissions, mode_bits
from runbook.host.plans import folders
from runbook.task import Params
from runbook.units import Secret

from .lacking import FILES

RETURNS = {"msg": "what was done, in words", "backup_file": "where the former content is, if `backup` kept it"}
VALIDATE = "a command that must end well before the file is put in its place, which `%s` stands for; not run in a check"
LARGEST = 64 * 2**20


def _validator(command: str) -> str:
    if "%s" not in command:
        raise ValueError("the command does not name the file; write `%s` where it goes: `nginx -t -c %s`")
    try:
        shlex.split(command)
    except ValueError as error:  # No closing quotation, No escaped character
        raise ValueError(f"{error} in {command!r}") from error
    return command


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


Validator = Annotated[str, AfterValidator(_validator)]
Pattern = Annotated[str, AfterValidator(_regular)]


class Edit(Params):
    """Which file, and how it is kept."""

    lacks = FILES
    path: Path = Field(
        validation_alias=AliasChoices("path", "dest", "destfile", "name"),
        description="the file; through a link, what it leads to",
    )
    mode: Permissions | None = Field(None, description=MODE)
    backup: bool = Field(default=False, description="keep the former content beside it, under a name with the time")
    validate_: Validator | None = Field(None, alias="validate", description=VALIDATE)


def raw(text: str | Secret) -> bytes:
    """Give a text's bytes; those that were no UTF-8 come out as they went in."""
    return (text.reveal() if isinstance(text, Secret) else text).encode("utf-8", "surrogateescape")


def edited(
    want: Edit, host: Host, edit: Callable[[bytes | None], tuple[bytes | None, str]], *, create: bool, secret: bool
) -> Generator[Change, None, dict[str, Any]]:
    """Bring a file to what `edit` makes of its content (None: there is none), and give what is registered of it.

    `edit` says in a few words what it did, nothing if nothing. What it makes of its own result must be the same.
    """
    found = host.stat(want.path)
    if found is not None and found.is_folder:
        raise TaskFailed(f"{want.path} is a folder", hint="write the name of a file in it", data={"rc": 256})
    before = host.read(want.path, limit=LARGEST) if found is not None else None
    after, msg = edit(before)
    if before is None and after is None:
        return {"msg": msg}
    if before is None and not create:
        hint = "`create: true` makes one; or `copy` in a step before"
        raise TaskFailed(f"there is no file {want.path}", hint=hint, data={"rc": 257})
    if after is not None and edit(after)[0] != after:
        raise TaskFailed(
            f"{want.path} would be changed again by every further run", hint="make the pattern match its result as well"
        )
    mode = mode_bits(want.mode, found.mode if found else None, umask=host.umask)
    if after == before:
        if found is not None and mode is not None and found.mode != mode:
            yield Chmod(want.path, mode, was=found)
            msg = "ownership, perms or SE linux context changed"
        return {"msg": msg}
    kept = None
    if found is None:
        yield from folders(host, host.resolve(want.path).parent)
    elif want.backup and before is not None:
        kept = Path(f"{want.path}.{host.now:%Y-%m-%d@%H:%M:%S}~")
        yield Write(kept, before, mode=found.mode, was=host.stat(kept, follow=False))
    assert after is not None
    content = Secret(after.decode("utf-8", "surrogateescape")) if secret else after
    yield Write(want.path, content, mode=mode, was=found, before=before, validate=want.validate_)
    if mode is not None and mode != (found.mode if found else 0o666 & ~host.umask):
        msg += " and ownership, perms or SE linux context changed"
    return {"msg": msg} | ({"backup_file": str(kept)} if kept else {})


def encoded(value: Any) -> bytes | Secret:
    """Give what is written for a value: a text as it is, a list or mapping as JSON; a secret in it makes it one."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, list | tuple | dict):
        return str(value).encode("utf-8", "surrogateescape")
    secret = False

    def reveal(item: Any) -> str:
        nonlocal secret
        if not isinstance(item, Secret):
            raise TaskFailed(f"{type(item).__name__} cannot be written as JSON")
        secret = True
        return item.reveal()

    text = json.dumps(value, default=reveal)
    return Secret(text) if secret else text.encode()
