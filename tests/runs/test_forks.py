"""How many hosts are at a step at once shows in no report: but for its times, one of 8 is one of 1."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.runs import scenario

TIMES = {"started_at", "finished_at", "duration_s", "run_id", "elapsed", "delta", "start", "end", "pid"}
CASES = [
    (name, at)
    for name in scenario.scenarios()
    if (scenario.HERE / name / "inventory.yml").exists()
    for at in range(len(scenario.runs_of(name)))
]


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [timeless(item) for item in value]
    return re.sub(r"\d\d:\d\d:\d\d\S*|\(\d+\.\d+ s\)", "", value) if isinstance(value, str) else value


@pytest.mark.parametrize(("name", "at"), CASES, ids=[f"{name}-{at}" for name, at in CASES])
def test_the_same_report(name: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for forks in ("1", "8"):
        monkeypatch.chdir(scenario.copied(name, tmp_path / forks))
        words = [*scenario.runs_of(name)[at].get("args", []), "--forks", forks]
        found.append(scenario.run(words, tmp_path / f"state{forks}"))
    one, eight = found
    assert one.exit == eight.exit
    assert timeless(one.report) == timeless(eight.report)
