"""Permission bits as tasks take them: in octal digits, or as changes to those that are there."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import BeforeValidator

from runbook.units import Mode, Written

MODE = 'the permission bits, as `"0644"`, or changes to them, as `u=rw,go=r`'


class ModeChange(Written):
    """Permission bits as changes to those that are there, written as for chmod: `u=rw,g+r,o-rwx`."""

    example = "u=rw,go=r"
    _form = re.compile(r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+(?:,[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+)*")
    _part = re.compile(r"([-+=])([rwxXstugo]*)")

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def parse(cls, text: str) -> Self:
        if not cls._form.fullmatch(text):
            raise ValueError(f"{text!r} is no mode; write octal digits in quotes, {Mode.example}, or {cls.example}")
        return cls(text)

    def of(self, mode: int, *, folder: bool, umask: int) -> int:
        """Give the mode that it makes of another; where nobody is named the umask holds, as with chmod."""
        for clause in self.text.split(","):
            who = re.match("[ugoa]*", clause)[0]  # type: ignore[index] # it matches the empty text
            users = "ugo" if not who or "a" in who else who
            for operator, letters in self._part.findall(clause[len(who) :]):
                for user in users:
                    mode = _altered(mode, user, operator, letters, folder=folder, but=0 if who else umask)
        return mode

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


SHIFT = {"u": 6, "g": 3, "o": 0}
SPECIAL = {"u": 0o4000, "g": 0o2000, "o": 0o1000}


def _altered(mode: int, user: str, operator: str, letters: str, *, folder: bool, but: int) -> int:
    """Do one operation of a ModeChange for one of user, group and others."""
    shift, bits = SHIFT[user], 0
    for letter in letters:
        if letter in SHIFT:
            bits |= (mode >> SHIFT[letter] & 7) << shift
        elif letter in "rwx" or (letter == "X" and (folder or mode & 0o111)):
            bits |= {"r": 4, "w": 2}.get(letter, 1) << shift & ~but
        elif (letter == "s" and user != "o") or (letter == "t" and user == "o"):
            bits |= SPECIAL[user]
    if operator == "-":
        return mode & ~bits
    return (mode & ~(7 << shift | SPECIAL[user]) if operator == "=" else mode) | bits


def read_mode(value: Any) -> Any:
    """Read a mode in octal digits or as changes; anything else is left for others to refuse."""
    if not isinstance(value, str):
        return value
    return Mode.parse(value) if value[:1].isdigit() else ModeChange.parse(value)


def mode_bits(mode: Mode | ModeChange | int | None, was: int | None, *, umask: int, folder: bool = False) -> int | None:
    """Give the bits that a mode means for what has the mode `was`, or for something new; None changes none."""
    if not isinstance(mode, ModeChange):
        return mode
    return mode.of((0o777 if folder else 0o666) & ~umask if was is None else was, folder=folder, umask=umask)


Permissions = Annotated[Mode | ModeChange, BeforeValidator(read_mode)]
