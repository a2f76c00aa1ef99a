"""Every scenario, through the public command: its exit code, its summary and its trace are as they were written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.runs import scenario

CASES = [(name, at) for name in scenario.scenarios() for at in range(len(scenario.runs_of(name)))]


@pytest.mark.parametrize(("name", "at"), CASES, ids=[f"{name}-{at}" for name, at in CASES])
def test_run(name: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = scenario.runs_of(name)
    monkeypatch.chdir(scenario.copied(name, tmp_path))
    done = scenario.run(list(runs[at].get("args", [])), tmp_path / "state")
    if os.environ.get("UPDATE_RUNS"):
        peer = {"peer": True} if runs[at].get("peer") else {}
        kept = {"args": runs[at].get("args", []), **peer}
        runs[at] = {**kept, "exit": done.exit, "summary": done.summary, "trace": done.trace}
        (scenario.HERE / name / "expect.yaml").write_text(scenario.written(runs))
        return
    assert done.trace == runs[at]["trace"]
    assert (done.exit, done.summary) == (runs[at]["exit"], runs[at]["summary"])
