"""Which keywords, and which core tasks, occur in a playbook and the files of steps beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from runbook.playbook.keywords import INCLUDES, KEYWORDS, bare
from runbook.registry import plain
from runbook.tasks.core import WHERE

OURS = {"inputs", "env_files", "lock", "steps"}  # Ansible has no such keyword
ELSEWHERE = {("when", "play")}  # it has, and not there
EXPECTED = {(word.name, place) for word in KEYWORDS for place in word.on if word.name not in OURS} - ELSEWHERE
# Of these a `false` says nothing that would not be so without it.
SAYING_TRUE = {"any_errors_fatal", "check_mode", "force_handlers", "ignore_errors", "no_log", "run_once"}
_LISTS = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always")


def keywords(folder: Path) -> set[tuple[str, str]]:
    """Give each keyword with what it stands on, in all files of a folder."""
    return {found for path in folder.rglob("*.yml") for found in _in_file(path)} & EXPECTED


def tasks(folder: Path) -> set[str]:
    """Give the core tasks that files of a folder use."""
    return {plain(key) for path in folder.rglob("*.yml") for step in _mappings(_read(path)) for key in step} & set(
        WHERE
    )


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _mappings(inner)


def _in_file(path: Path) -> Iterator[tuple[str, str]]:
    for item in content if isinstance(content := _read(path), list) else []:
        if isinstance(item, dict):
            yield from _of(
                item, "play" if "hosts" in item else "import_playbook" if "import_playbook" in item else "step"
            )


def _of(item: dict[str, Any], place: str) -> Iterator[tuple[str, str]]:
    if place in ("step", "handler"):
        kinds = {INCLUDES[bare(key)] for key in item if bare(key) in INCLUDES}
        place = kinds.pop() if kinds else "block" if "block" in item else place
    for key, value in item.items():
        if key not in SAYING_TRUE or value is not False:
            yield key, place
            if place == "handler":
                yield key, "step"
        if key in _LISTS and isinstance(value, list):
            for inner in value:
                if isinstance(inner, dict):
                    yield from _of(inner, "handler" if key == "handlers" else "step")
