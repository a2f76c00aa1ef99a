"""The scenarios of tests/runs that are marked `peer` do in ansible-core what they do here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.comparing import differences, ours, theirs, without_skipped
from tests.peers.peer import Plays, needs_ansible, plays, sliced
from tests.runs import scenario

CASES = [(n, at) for n in scenario.scenarios() for at, run in enumerate(scenario.runs_of(n)) if run.get("peer")]


@pytest.fixture(scope="module")
def peer() -> Iterator[Plays]:
    with plays() as running:
        yield running


@needs_ansible
@pytest.mark.parametrize(("name", "at"), sliced(CASES, 6), ids=str)
def test_as_ansible_core(name: str, at: int, peer: Plays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = list(scenario.runs_of(name)[at].get("args", []))
    monkeypatch.chdir(scenario.copied(name, tmp_path / "ours"))
    done = scenario.run(words, tmp_path / "state")
    there = peer.run(scenario.copied(name, tmp_path / "theirs"), *words)
    assert there.results, there.printed
    here, other = ours(done.report), theirs(there.results)
    if (
        "include" in Path("playbook.yml").read_text()
    ):  # of one that is not entered each step is told here, the include there
        here, other = without_skipped(here), without_skipped(other)
    said = "\n".join(differences(here, other))
    assert not said, said
    assert (there.exit == 0) == (done.exit == 0)
