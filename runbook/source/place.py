"""Where in a file a value stands, a character in it, and how that looks with a caret."""

from __future__ import annotations

import re
from unicodedata import east_asian_width

import yaml

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|(?:\r\n|.))", re.DOTALL)
_WIDEST = 160


def lines_of(text: str) -> list[str]:
    """Split as YAML counts lines, which is not as `str.splitlines` does."""
    return _BREAK.split(text)


def excerpt(lines: list[str], line: int, column: int) -> str:
    """Show a line (counted from 1) with a caret below the column (from 1); a very long line is cut around it."""
    if not 1 <= line <= len(lines):
        return ""
    shown, at = lines[line - 1], max(column - 1, 0)
    if len(shown) > _WIDEST:
        start = max(0, at - _WIDEST // 2)
        shown, at = shown[start : start + _WIDEST], at - start
    gutter = f"{line:>5} | "
    pad = "".join("\t" if c == "\t" else "  " if east_asian_width(c) in "WF" else " " for c in shown[:at])
    return f"{gutter}{shown}\n{' ' * (len(gutter) - 2)}| {pad}^"


def inside(lines: list[str], node: yaml.ScalarNode, offset: int) -> tuple[int, int]:
    """Give line and column, from 0, of a character of a scalar's value.

    Folding, indentation and line ends change white space only, so the n-th visible character of the value is the
    n-th visible one of the source, once quotes and escapes are stepped over.
    """
    start = node.start_mark
    line, column = start.line, start.column
    if node.style in ("|", ">"):
        line, column = line + 1, 0
    elif node.style in ("'", '"'):
        column += 1
    wanted = node.value[:offset]
    visible = sum(not c.isspace() for c in wanted)
    exact = offset < len(node.value) and not node.value[offset].isspace()
    last = (line, column)
    for at in range(line, len(lines)):
        while column < len(lines[at]) and (visible or exact):
            width, counts = _unit(lines[at], column, node.style)
            if counts and not visible:
                return at, column
            column, visible = column + width, visible - counts
            if counts:
                last = (at, column)
        column = 0
        if not visible and not exact:
            break
    return last[0], last[1] + len(wanted) - len(wanted.rstrip(" "))


def _unit(text: str, column: int, style: str | None) -> tuple[int, int]:
    """Give how many characters of the source write the next one of the value, and whether that is a visible one."""
    if style == "'" and text.startswith("''", column):
        return 2, 1
    if style == '"' and text[column] == "\\":
        match = _ESCAPE.match(text, column)
        if match is None:  # an escaped line end: it joins two lines
            return 1, 0
        code = match[0][2:]
        space = chr(int(code, 16)).isspace() if code else match[0][1] in "nrtvfNLP_ "
        return len(match[0]), int(not space)
    return 1, int(not text[column].isspace())
