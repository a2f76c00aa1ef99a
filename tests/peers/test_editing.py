"""The tasks that edit text files do to random files what ansible-core's modules do to them, byte for byte."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.peers.doing import do
from tests.peers.peer import WHOLE, Modules, modules, needs_ansible

COUNT = int(os.environ.get("PEERS_EDITS") or (500 if WHOLE else 40))
AGAIN = "would be changed again by every further run"
WORDS = ("a", "b", "a=1", "b=2", "# c", "", "  d", "a b", "é", "x.y")
PATTERNS = ("a", "^a", "b$", "^#", "=", "(a)=(.)", "zz", "^$", r"\d", "d", "^a=", "(?m)^b")
ENDS = ("\n", "\n", "\n", "\r\n", "")


def text(random: random.Random) -> str:
    end = random.choice(("\n", "\n", "\r\n"))
    lines = [random.choice(WORDS) for _ in range(random.randint(0, 6))]
    return end.join(lines) + random.choice((end, end, "")) if lines else ""


def lineinfile(random: random.Random) -> dict[str, Any]:
    args: dict[str, Any] = {}
    if random.random() < 0.2:
        args["state"] = "absent"
    if random.random() < 0.9 or not args:
        args["line"] = random.choice((*WORDS, r"\1-\2", "new", r"a=\2"))
    kind = random.random()
    if kind < 0.5:
        args["regexp"] = random.choice(PATTERNS)
    elif kind < 0.6:
        args["search_string"] = random.choice(("a", "=", "zz"))
    if random.random() < 0.5:
        args[random.choice(("insertafter", "insertbefore"))] = random.choice((*PATTERNS, "BOF", "EOF"))
    for flag in ("backrefs", "firstmatch"):
        if random.random() < 0.25:
            args[flag] = True
    return args


def blockinfile(random: random.Random) -> dict[str, Any]:
    args: dict[str, Any] = {"block": random.choice(("", "x", "x\ny\n", "x\r\ny", "\n", "é"))}
    if random.random() < 0.2:
        args["state"] = "absent"
    if random.random() < 0.3:
        args["marker"] = random.choice(("<!-- {mark} -->", "{mark}", "# same"))
    if random.random() < 0.2:
        args["marker_begin"], args["marker_end"] = "b", "e"
    if random.random() < 0.6:
        args[random.choice(("insertafter", "insertbefore"))] = random.choice((*PATTERNS, "BOF", "EOF"))
    for flag in ("append_newline", "prepend_newline"):
        if random.random() < 0.3:
            args[flag] = True
    return args


def replace(random: random.Random) -> dict[str, Any]:
    args: dict[str, Any] = {"regexp": random.choice((*PATTERNS, r"(\w)=", "a+", "(?s)a.*b"))}
    if random.random() < 0.8:
        args["replace"] = random.choice(("", "x", r"\1!", r"<\g<0>>", "q\n", r"\9"))
    for side in ("after", "before"):
        if random.random() < 0.3:
            args[side] = random.choice(("a", "b", "=", "zz", "#"))
    if random.random() < 0.1:
        args["encoding"] = random.choice(("latin-1", "ascii", "utf-16"))
    return args


MAKERS = {"lineinfile": lineinfile, "blockinfile": blockinfile, "replace": replace}


@needs_ansible
@pytest.mark.parametrize("task", MAKERS)
def test_random_edits(task: str, tmp_path: Path) -> None:
    differences = []
    with modules() as peer:
        for seed in range(COUNT):
            chosen = random.Random(f"{task} {seed}")
            before, args = text(chosen), MAKERS[task](chosen)
            if task == "blockinfile" and chosen.random() < 0.5:  # a second time, with another block or place
                before = _edited(peer, task, tmp_path, before, MAKERS[task](chosen))
            difference = _compared(peer, task, tmp_path / str(seed), before, args)
            if difference:
                differences.append(f"{seed}: {args} on {before!r}: {difference}")
    assert not differences, "\n".join([f"{len(differences)} of {COUNT}", *differences[:25]])


def _edited(peer: Modules, task: str, folder: Path, before: str, args: dict[str, Any]) -> str:
    path = folder / "first"
    path.write_bytes(before.encode())
    peer.run(task, path=str(path), **args)
    return path.read_bytes().decode()


def _compared(peer: Modules, task: str, folder: Path, before: str, args: dict[str, Any]) -> str | None:
    folder.mkdir()
    theirs, ours = folder / "theirs", folder / "ours"
    for path in (theirs, ours):
        path.write_bytes(before.encode())
    told = peer.run(task, path=str(theirs), **args)
    said = do(task, path=str(ours), **args)
    if AGAIN in said["msg"]:
        again = peer.run(task, path=str(theirs), **args)
        return None if again["changed"] else "not the same when asked again here, and there it is"
    known = DEPARTURES.get(task, lambda *_: False)(before, args, said)
    if known:
        return None
    mine = (said["changed"], said["failed"], ours.read_bytes(), None if said["failed"] else said["msg"])
    other = (told["changed"], told["failed"], theirs.read_bytes(), None if told["failed"] else told["msg"])
    return None if mine == other else f"\n  here  {mine} {said['msg']}\n  there {other} {told['msg']}"


def _one_line_too_many(before: str, args: dict[str, Any], said: dict[str, Any]) -> bool:
    """A line that is added after a last one without a newline is put behind it there, on the same line."""
    return said["msg"] == "line added" and "insertafter" in args and before[-1:] not in ("", "\n", "\r")


def _same_markers(before: str, args: dict[str, Any], said: dict[str, Any]) -> bool:
    """Markers that are equal are refused here."""
    return "both markers would be the same" in said["msg"]


DEPARTURES: dict[str, Any] = {"blockinfile": _same_markers, "lineinfile": _one_line_too_many}
