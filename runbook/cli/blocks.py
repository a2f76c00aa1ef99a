"""Marked blocks of Markdown pages, from `<!-- runbook: NAME.yml -->` to `<!-- /runbook -->`, filled from playbooks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from runbook.errors import Invalid, Where
from runbook.suggest import suggest

_OPEN = re.compile(r"\s*<!--\s*runbook:\s*(?P<words>[^>]*?)\s*-->\s*")
_CLOSE = re.compile(r"\s*<!--\s*/runbook\s*-->\s*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")

Fill = Callable[[str, Sequence[str], Where], str]


class Stale(NamedTuple):
    """A block that is not what it would be."""

    where: Where
    playbook: str

    def __str__(self) -> str:
        return f"{self.where.file}:{self.where.line} ({self.playbook})"


class Page(NamedTuple):
    """A page as it would be, and which of its blocks are not."""

    text: str
    blocks: int
    stale: list[Stale]


def filled(file: str, text: str, fill: Fill) -> Page:
    """Fill the blocks of a page; what stands in fenced code is none. `Invalid` names the line of a wrong marker."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.split(end)
    out: list[str] = []
    stale: list[Stale] = []
    number, count, fence = 0, 0, ""
    while number < len(lines):
        line = lines[number]
        number += 1
        out.append(line)
        mark = _FENCE.match(line)
        if mark and (not fence or (mark[1].startswith(fence) and not line.strip().strip(fence[0]))):
            fence = "" if fence else mark[1]
        if fence:
            continue
        where = Where(file, number, 1)
        if _CLOSE.fullmatch(line):
            raise Invalid(
                "this ends a block that does not begin", where=where, hint="write `<!-- runbook: NAME.yml -->`"
            )
        opened = _OPEN.fullmatch(line)
        if opened is None:
            continue
        close = _closing(lines, number, where)
        playbook, *parts = opened["words"].split() or [""]
        body = ["", *fill(playbook, parts, where).rstrip("\n").split("\n"), ""]
        if body != lines[number:close]:
            stale.append(Stale(where, playbook))
        out += [*body, lines[close]]
        number, count = close + 1, count + 1
    return Page(end.join(out), count, stale)


def _closing(lines: Sequence[str], start: int, where: Where) -> int:
    for number in range(start, len(lines)):
        if _CLOSE.fullmatch(lines[number]):
            return number
        if _OPEN.fullmatch(lines[number]):
            break
    raise Invalid(
        "this block does not end", where=where, hint="write `<!-- /runbook -->` on a line of its own below it"
    )


def pages(docs: Path) -> Iterator[Path]:
    """Give every Markdown page below a folder, in order."""
    return (path for path in sorted(docs.rglob("*.md")) if path.is_file())


def replace(path: Path, text: str) -> None:
    """Write a page whole or not at all."""
    spare = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with spare.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
        spare.chmod(path.stat().st_mode & 0o7777)
        spare.replace(path)
    finally:
        spare.unlink(missing_ok=True)


def filler(root: Path) -> Fill:
    """Give what fills blocks with the playbooks of `root/playbooks`, or with the shipped ones."""
    from runbook.cli.procedure import PARTS, markdown
    from runbook.cli.session import task_folders
    from runbook.playbook import load_playbook, shipped_playbooks
    from runbook.registry import Registry

    shipped = shipped_playbooks()

    def fill(name: str, parts: Sequence[str], where: Where) -> str:
        for part in parts:
            if part not in PARTS:
                hint = suggest(part, PARTS) or f"the parts are: {', '.join(PARTS)}"
                raise Invalid(f"a block has no part {part!r}", where=where, hint=hint)
        own = root / "playbooks" / name
        path = own if name and own.is_file() else shipped.get(Path(name).stem)
        if path is None:
            there = sorted({each.name for each in (*(root / "playbooks").glob("*.y*ml"), *shipped.values())})
            hint = suggest(name, there) or f"there are: {', '.join(there)}"
            raise Invalid(f"there is no playbook {name!r}", where=where, hint=hint)
        registry = Registry(task_folders(path))
        return markdown(path.name, load_playbook(path, is_task=registry.is_task), registry, parts or PARTS)

    return fill
