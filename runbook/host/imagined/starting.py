"""Whether a command could be started on an overlay: its folder, its program, the right to execute it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from runbook.changes import RunCommand
from runbook.errors import TaskFailed
from runbook.host.imagined.doubts import Doubts
from runbook.host.imagined.index import Node, Tree
from runbook.host.imagined.permits import may
from runbook.host.processes.process import named, no_folder, unstartable
from runbook.units import revealed


def predict_start(tree: Tree, doubts: Doubts, command: RunCommand, *, cwd: Path, env: Mapping[str, str]) -> None:
    """Raise what starting the command would raise; once anything may have been changed, nothing can be told."""
    if doubts.latest() is not None:
        return
    if not command.argv or not (command.shell or command.argv[0]):
        raise TaskFailed("there is no command to run; write a program and its arguments")
    name = named(command.argv, shell=command.shell)
    folder = cwd / command.cwd if command.cwd else cwd
    program = (command.executable or "/bin/sh") if command.shell else command.argv[0]
    path = str(revealed(command.env.get("PATH", env.get("PATH", os.defpath))))
    places = list(_places(program, folder, path))
    if any(doubts.of_path(place) for place in (folder, *places)):
        return
    here = _node(tree, folder)
    if here is None or not here.stat.is_folder:
        raise no_folder(name, folder)
    number = errno.ENOENT
    for place in places:
        node = _node(tree, place)
        if node is not None and node.stat.is_file and _executable(node):
            return
        if node is not None:
            number = errno.EACCES
    raise unstartable(name, program, number)


def _places(program: str, folder: Path, path: str) -> Iterator[Path]:
    if "/" in program:
        yield folder / program
        return
    for entry in path.split(os.pathsep):
        yield folder / entry / program


def _node(tree: Tree, path: Path) -> Node | None:
    try:
        return tree.walk(path, follow=True).node
    except (OSError, ValueError):
        return None


def _executable(node: Node) -> bool:
    """Say whether it may be executed; root needs one of the three bits, as the system has it."""
    return node.stat.mode & 0o111 != 0 and may(node.stat, 1)
