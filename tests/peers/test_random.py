"""Playbooks at random do the same with both: what ran on which host, in which order, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from tests.peers.comparing import differences, ours, theirs, without_skipped
from tests.peers.peer import WHOLE, Plays, needs_ansible, plays
from tests.peers.random_plays import Maker
from tests.runs import scenario

COUNT = int(os.environ.get("PEERS_PLAYS") or (300 if WHOLE else 8))
FIRST = int(os.environ.get("PEERS_FIRST") or 0)


@pytest.fixture(scope="module")
def peer() -> Iterator[Plays]:
    with plays() as running:
        yield running


@needs_ansible
@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_a_random_playbook(seed: int, peer: Plays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = Maker(seed).write(tmp_path / "ours/play")
    Maker(seed).write(tmp_path / "theirs/play")
    monkeypatch.chdir(tmp_path / "ours/play")
    there = peer.run(tmp_path / "theirs/play", *words)
    try:
        done = scenario.run(words, tmp_path / "state")
    except RunbookError as error:
        pytest.fail(f"{error}\n{Path('playbook.yml').read_text()}")
    said = "\n".join(differences(without_skipped(ours(done.report)), without_skipped(theirs(there.results))))
    shown = "\n".join(f"--- {path.name} {words}\n{path.read_text()}" for path in Path().glob("*.yml"))
    assert not said, f"{said}\n{shown}\n{there.printed[-2000:]}"
    assert (there.exit == 0) == (done.exit == 0), shown
