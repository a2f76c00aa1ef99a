"""The params of the core tasks are those of ansible-core's, with its defaults, but for what docs/language.md says."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from runbook.registry import Registry
from runbook.tasks.core import WHERE
from tests.peers.peer import BIN, needs_ansible
from tests.peers.tables import PARAMS

# Written otherwise in Ansible's own pages: a text that is free, and what any name may stand for.
FREE = {"free_form", "free-form", "key_value"}
# Defaults that Ansible's pages leave to its code, or that are the program's name.
OTHERWISE = {
    ("assert", "fail_msg"): "Assertion failed",
    ("assert", "success_msg"): "All assertions passed",
    ("file", "access_time"): "preserve",
    ("file", "modification_time"): "preserve",
    ("find", "patterns"): ("*",),
    ("tempfile", "prefix"): "runbook.",
}


@pytest.mark.parametrize("task", WHERE)
def test_the_page_names_what_a_task_lacks(task: str) -> None:
    assert PARAMS[task] == set(Registry().spec(task).params.lacks)


@pytest.fixture(scope="module")
def pages() -> dict[str, Any]:
    argv = [str(BIN / "ansible-doc"), "-t", "module", "--json", *WHERE]
    found = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return {name.removeprefix("ansible.builtin."): page["doc"]["options"] for name, page in found.items()}


@needs_ansible
@pytest.mark.parametrize("task", WHERE)
def test_every_param_of_ansibles_is_here_or_told_to_be_lacking(task: str, pages: dict[str, Any]) -> None:
    spec = Registry().spec(task)
    options = pages[task]
    theirs = {name for option in options for name in (option, *options[option].get("aliases", []))} - FREE
    assert theirs - set(spec.names()) == PARAMS[task]
    for name, option in options.items():
        field = spec.field(name)
        if field is None or field.is_required() or option.get("required"):
            continue
        ours, there = field.get_default(call_default_factory=True), option.get("default")
        if ours != OTHERWISE.get((task, name), object()):
            assert _plain(ours) == _plain(there), name


def _plain(value: Any) -> Any:
    """Give a default as it would be written: none at all for what is empty."""
    if isinstance(value, list | tuple):
        return [str(each) for each in value] or None
    return None if value in (None, "", {}) else str(value).removesuffix(".0")
