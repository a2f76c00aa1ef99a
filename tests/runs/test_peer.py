"""The scenarios marked `peer` do in ansible-core what they do here: `PEERS=its/bin pytest tests/runs/test_peer.py`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runs import scenario

PEERS = os.environ.get("PEERS")
CASES = [(n, at) for n in scenario.scenarios() for at, run in enumerate(scenario.runs_of(n)) if run.get("peer")]


@pytest.mark.skipif(PEERS is None, reason="PEERS does not name the bin folder of ansible-core")
@pytest.mark.parametrize(("name", "at"), CASES, ids=[f"{name}-{at}" for name, at in CASES])
def test_as_ansible_core(name: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = list(scenario.runs_of(name)[at].get("args", []))
    monkeypatch.chdir(scenario.copied(name, tmp_path / "ours"))
    ours = scenario.run(words, tmp_path / "state")
    code, theirs = ansible(scenario.copied(name, tmp_path / "theirs"), words)
    mine = [line for step in ours.report["steps"] for line in told(step)]
    assert sorted(mine) == sorted(theirs)  # where several hosts take a step, either may be first
    assert (code == 0) == (ours.exit == 0)


def told(step: dict[str, Any]) -> Iterator[str]:
    """Give what a step says that ran; a step in a looped include has the item in its name here, not there."""
    name = re.sub(r" \(.*\)$", "", step["name"])
    single = step.get("items") is None
    for result in [step] if single else step["items"]:
        if result["status"] != "skipped":
            said = f" | {result['data']['msg']}" if step["task"] == "debug" else ""
            yield f"{step['host']} | {name} | {result['status']}{' ignored' * (single and step['ignored'])}{said}"


def ansible(folder: Path, words: list[str]) -> tuple[int, list[str]]:
    """Give the exit code of ansible-playbook, and what it said."""
    peers, trace = Path(str(PEERS)), folder.parent / "trace"
    inventory = ["-i", "inventory.yml"] if (folder / "inventory.yml").exists() else ["-i", "localhost,", "-c", "local"]
    python = ["-e", f"ansible_python_interpreter={peers / 'python'}"]
    env = {
        **os.environ,
        "TRACE_FILE": str(trace),
        "ANSIBLE_CALLBACK_PLUGINS": str(scenario.HERE),
        "ANSIBLE_STDOUT_CALLBACK": "peer_trace",
        "ANSIBLE_HOME": str(folder.parent / "home"),
        "PATH": f"{peers}{os.pathsep}{os.environ['PATH']}",
    }
    argv = ["ansible-playbook", *inventory, *python, *words, "playbook.yml"]
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
    lines = trace.read_text().splitlines() if trace.exists() else []
    assert lines, done.stdout + done.stderr
    return done.returncode, [json.loads(line) for line in lines]
