"""What a run did, in a form that is the same here and there: per host, each step with its status and its register."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.peers.tables import EVERYWHERE, VALUES

Told = dict[str, list[tuple[Any, ...]]]


def ours(report: dict[str, Any], folder: Path | str = "/nowhere") -> Told:
    """Give what the report says, by host; what it says of the folder is left out of texts."""
    report = json.loads(json.dumps(report).replace("$HERE", "").replace(str(folder), ""))
    found: Told = defaultdict(list)
    for step in report["steps"]:
        if step["task"] not in SILENT:
            found[step["host"]].append(_line(step["name"], step["task"], step))
    return found


def theirs(results: list[dict[str, Any]], folder: Path | str = "/nowhere") -> Told:
    """Give what the callback wrote, by host."""
    results = json.loads(json.dumps(results).replace(str(folder), ""))
    found: Told = defaultdict(list)
    for result in results:
        if result["task"] not in SILENT:
            items = result["data"].get("results") if result["looped"] else None
            step = {**result, "items": None if items is None else [_item(item) for item in items]}
            found[result["host"]].append(_line(result["name"], result["task"], step))
    return found


# Of these nothing is reported here, or nothing there.
SILENT = {"meta", "include_tasks", "import_tasks", "include_steps", "import_steps"}
SKIPPED = {"skipped": True}


def _item(data: dict[str, Any]) -> dict[str, Any]:
    """Give an item's result, without the item itself, which is not among what the task has returned."""
    named = {str(data.get(key)) for key in ("ansible_loop_var", "ansible_index_var")}
    kept = {name: value for name, value in data.items() if name not in named and not name.startswith("ansible_loop")}
    kept.pop("ansible_index_var", None)
    words = ("failed", "skipped", "changed")
    said = data if "failed_when_result" not in data else data | {"failed": data["failed_when_result"]}
    return {"status": next((word for word in words if said.get(word)), "ok"), "ignored": False, "data": kept}


def _line(name: str, task: str, step: dict[str, Any]) -> tuple[Any, ...]:
    items = step.get("items")
    name = re.sub(r" \(.*\)$", "", name)  # a step in a looped include has the item behind its name, here only
    status = step["status"] + (" ignored" if step["ignored"] and step["status"] == "failed" else "")
    if items is not None:
        return (name, task, status, [(item["status"], _data(task, item)) for item in items])
    return (name, task, status, _data(task, step))


# Times, and what is told of a step by other means.
MOVING = {
    "start",
    "end",
    "delta",
    "elapsed",
    "date",
    "atime",
    "ctime",
    "mtime",
    "inode",
    "changed",
    "failed",
    "skipped",
}
# Of a failure the words are the program's own, but for these tasks, whose words are the user's.
WORDS = {"fail", "assert", "debug"}
OF_A_FAILURE = {"rc", "status", "stdout", "stdout_lines"}


def _data(task: str, step: dict[str, Any]) -> dict[str, Any]:
    """Give what is compared of a register."""
    data = step["data"] or {}
    if step["status"] == "skipped" or not isinstance(data, dict):
        return {}
    if step["status"] == "failed" and task not in WORDS:
        data = {name: data[name] for name in OF_A_FAILURE & data.keys()} if "rc" in data or "status" in data else {}
    if "attempts" in data and (step["status"] == "failed" or "failed_when_result" in data):  # `until` was never true
        own = {"attempts"} if task in WORDS else {"attempts", "msg"}  # counted otherwise there; and words of its own
        data = {name: value for name, value in data.items() if name not in own}
    kept: dict[str, Any] = _still(data, MOVING | EVERYWHERE | VALUES.get(task, set()))
    return kept


def _still(value: Any, but: set[str]) -> Any:
    """Give a value without what moves; of names that are made up, what is the same."""
    if isinstance(value, dict):
        return {name: _still(inner, but) for name, inner in value.items() if name not in but and name[:5] != "_ansi"}
    if isinstance(value, list):
        items = [_still(inner, but) for inner in value]
        return sorted(items, key=_plain) if items and all(isinstance(each, dict) for each in items) else items
    return re.sub(r"/(ansible|runbook)\.\w+", "/OWN", value) if isinstance(value, str) else value


def _covers(mine: Any, other: Any) -> bool:
    """Say whether a value has all that the other has: a mapping may hold more."""
    if isinstance(mine, dict) and isinstance(other, dict):
        return all(name in mine and _covers(mine[name], value) for name, value in other.items())
    if isinstance(mine, list | tuple) and isinstance(other, list | tuple):
        return len(mine) == len(other) and all(map(_covers, mine, other))
    return bool(mine == other and type(mine) is type(other))


def differences(here: Told, there: Told) -> Iterator[str]:
    """Say where they differ."""
    for host in sorted(here.keys() | there.keys()):
        mine, other = here.get(host, []), there.get(host, [])
        for number in range(max(len(mine), len(other))):
            one = mine[number] if number < len(mine) else None
            two = other[number] if number < len(other) else None
            if not _covers(one, two):
                yield f"{host}, step {number + 1}:\n  here  {one}\n  there {two}"
                if one is None or two is None or one[:3] != two[:3]:
                    break  # what follows is out of step


def without_skipped(told: Told) -> Told:
    return {host: [line for line in lines if line[2] != "skipped"] for host, lines in told.items()}


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
