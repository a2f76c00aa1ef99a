"""Playbook files to playbooks: plays, and the playbooks that they import."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runbook.errors import Invalid, Problems, Where
from runbook.playbook.inputs import parse_inputs
from runbook.playbook.kinds import is_template
from runbook.playbook.model import Item, Play, Playbook, Written
from runbook.playbook.steps import Reader
from runbook.source import Document, KeyPath, read_document
from runbook.suggest import suggest

IsTask = Callable[[str], bool]
Notes = list[tuple[Where, str]]


def load_playbook(path: Path, *, is_task: IsTask, label: str | None = None) -> Playbook:
    """Read a playbook and all that it imports. Raises Problems with everything that is wrong in their structure."""
    document = read_document(path, label=label)
    loading = _Loading(is_task)
    plays = loading.plays(document, path, (path.resolve(),))
    if loading.problems:
        raise Problems(loading.problems)
    return Playbook(document, plays, loading.notes)


def parse_steps(
    document: Document,
    value: Any,
    path: KeyPath,
    *,
    is_task: IsTask,
    problems: list[Invalid],
    notes: Notes | None = None,
) -> list[Item]:
    """Read the list of steps at a path of a document; what is wrong is added to the problems."""
    return Reader(document, is_task, problems, [] if notes is None else notes).items(value, path)


def load_steps_file(
    path: Path, *, is_task: IsTask, label: str | None = None, notes: Notes | None = None
) -> tuple[Document, list[Item]]:
    """Read a file of steps, as an include names it. Raises Problems with everything that is wrong in it."""
    document = read_document(path, label=label)
    problems: list[Invalid] = []
    items = parse_steps(document, document.value, (), is_task=is_task, problems=problems, notes=notes)
    if problems:
        raise Problems(problems)
    return document, items


class _Loading:
    """The reading of one playbook and its imports."""

    def __init__(self, is_task: IsTask) -> None:
        self.problems: list[Invalid] = []
        self.notes: Notes = []
        self._is_task = is_task

    def plays(self, document: Document, path: Path, chain: tuple[Path, ...]) -> list[Play]:
        """Read a document's plays; `chain` holds the resolved files that lead to it, itself last."""
        reader = Reader(document, self._is_task, self.problems, self.notes)
        if not isinstance(document.value, list) or not document.value:
            hint = "write `- hosts: localhost` and below it `steps:`"
            reader.problem("a playbook is a list of plays", (), hint=hint)
            return []
        found: list[Play] = []
        for index, raw in enumerate(document.value):
            if not isinstance(raw, dict):
                reader.problem("a play is a mapping", (index,), hint="write `- hosts: localhost` and below it `steps:`")
            elif "import_playbook" in raw:
                found += self._imported(reader, raw, (index,), path, chain)
            else:
                found.append(_play(reader, raw, (index,)))
        return found

    def _imported(
        self, reader: Reader, raw: dict[str, Any], at: KeyPath, path: Path, chain: tuple[Path, ...]
    ) -> list[Play]:
        above = Written(document=reader.document, path=at)
        reader.fill(above, raw, "import_playbook", but=("import_playbook",))
        name, here = raw["import_playbook"], (*at, "import_playbook")
        if not isinstance(name, str) or not name.strip() or is_template(name):
            reader.problem("'import_playbook' takes a literal path", here, hint="write `import_playbook: other.yml`")
            return []
        target = path.parent / name
        if not target.is_file():
            reader.problem(f"there is no playbook '{target}'", here, hint=_neighbour(target))
            return []
        resolved = target.resolve()
        if resolved in chain:
            names = " → ".join(each.name for each in (*chain[chain.index(resolved) :], resolved))
            reader.problem(f"a playbook imports itself: {names}", here, hint="remove one of these imports")
            return []
        label = os.path.normpath(os.path.join(os.path.dirname(reader.document.file), name))
        try:
            document = read_document(target, label=label)
        except Problems as error:
            self.problems += error.problems
            return []
        except Invalid as error:
            self.problems.append(error)
            return []
        return [_below(play, above) for play in self.plays(document, target, (*chain, resolved))]


def _neighbour(target: Path) -> str:
    names = [entry.name for entry in target.parent.iterdir()] if target.parent.is_dir() else []
    return suggest(target.name, names) or "the path is relative to the playbook that imports"


def _below(play: Play, above: Written) -> Play:
    """Give a play what its import says: the import's variables win, its conditions come first."""
    play.vars = play.vars | above.vars
    play.when = above.when + play.when
    play.tags = above.tags + play.tags
    play.imports.insert(0, above)
    return play


def _play(reader: Reader, raw: dict[str, Any], path: KeyPath) -> Play:
    play = Play(document=reader.document, path=path)
    reader.fill(play, raw, "play")
    if "hosts" not in raw:
        reader.problem("this play has no hosts", path, hint="write `hosts: all`, a group, or `hosts: localhost`")
    if "inputs" in raw:
        play.inputs = parse_inputs(reader.document, raw["inputs"], (*path, "inputs"), problems=reader.problems)
    if "tasks" in raw and "steps" in raw:
        reader.problem("'tasks' is another word for 'steps'", (*path, "tasks"), key=True, hint="keep one of the two")
    sections = [name for name in ("pre_tasks", "steps", "tasks", "post_tasks") if name in raw]
    if not sections:
        reader.problem("this play has no steps", path, hint="write `steps:` and a list of steps")
    for section in sections:
        play.steps += reader.items(raw[section], (*path, section))
    if "handlers" in raw:
        play.handlers = reader.items(raw["handlers"], (*path, "handlers"), on="handler")
    return play
