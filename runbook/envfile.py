"""Reading a `.env` file: a regular file of ours that no one else may read, of lines `NAME=value`."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from runbook.errors import Invalid, Where

# The names whose values are kept secret.
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|DSN|AUTH", re.IGNORECASE)


class Entry(NamedTuple):
    """One line of a `.env` file; `secret` goes by the name."""

    name: str
    value: str
    where: Where
    secret: bool


def refuse_open_file(file: Path, name: str) -> None:
    """Raise Invalid for an env file that is missing, no regular file, somebody else's, or open to others."""
    try:
        status = file.lstat()
    except OSError as error:
        raise Invalid(f"the env file {name}: {(error.strerror or str(error)).lower()}") from error
    if not stat.S_ISREG(status.st_mode):
        raise Invalid(f"the env file {name} must be a regular file, no link")
    if os.name == "nt":
        return
    if status.st_uid != os.geteuid():
        raise Invalid(f"the env file {name} belongs to another user", hint=f"chown it to uid {os.geteuid()}")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise Invalid(f"the env file {name} is open to others ({mode:04o})", hint=f"chmod 600 {name}")


def read_env(file: Path, name: str) -> Iterator[Entry]:
    """Give what a `.env` file sets, line by line; Invalid says what is wrong with it and never shows a line of it."""
    refuse_open_file(file, name)
    from dotenv.parser import parse_stream

    try:
        with file.open(encoding="utf-8") as stream:
            lines = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"the env file {name} cannot be read: {error}") from error
    for line in lines:
        text = line.original.string
        blank = text[: len(text) - len(text.lstrip())].count("\n")  # the parser counts from the last line on
        where = Where(str(file), line.original.line + blank, 1)
        named = line.key is None or (line.value is not None and line.key.isidentifier())
        if line.error or not named:  # it is not shown: it may well be a secret
            hint = "write `NAME=value`"
            raise Invalid("this line of the env file is not understood", where=where, hint=hint, excerpt="")
        if line.key is None or line.value is None:
            continue
        secret = SECRET_NAME.search(line.key) is not None
        if secret and any(char in line.value for char in "\r\n"):
            message = f"the secret {line.key!r} spans lines in the env file"
            raise Invalid(message, where=where, hint="write it on one", excerpt="")
        yield Entry(line.key, line.value, where, secret)
