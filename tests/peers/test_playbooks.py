"""Playbooks that say every keyword and call every core task do the same with both, to the values that they register."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import covered
from tests.peers.comparing import differences, ours, theirs
from tests.peers.peer import HERE, WHOLE, Plays, needs_ansible, plays
from tests.peers.web import serving
from tests.runs import scenario

PLAYBOOKS = sorted(path.name for path in (HERE / "playbooks").iterdir())
COMPARED = [
    *(HERE / "playbooks" / name for name in PLAYBOOKS),
    *(scenario.HERE / n for n in scenario.scenarios() if any(run.get("peer") for run in scenario.runs_of(n))),
]


@pytest.fixture(scope="module")
def peer() -> Iterator[Plays]:
    with plays() as running:
        yield running


@needs_ansible
@pytest.mark.parametrize("name", PLAYBOOKS if WHOLE else ["keywords"])
def test_the_same_is_done_and_registered(
    name: str, peer: Plays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [shutil.copytree(HERE / "playbooks" / name, tmp_path / side / name) for side in ("ours", "theirs")]
    with serving() as (url, _):
        given = [
            _given(folder, url) if name == "web" else _root(folder) if name == "files" else [] for folder in folders
        ]
        monkeypatch.chdir(folders[0])
        done = scenario.run(given[0], tmp_path / "state")
        there = peer.run(folders[1], *given[1])
    assert there.results, there.printed
    said = "\n".join(differences(ours(done.report, folders[0]), theirs(there.results, folders[1])))
    assert not said, said
    assert (there.exit == 0) == (done.exit == 0)


def _root(folder: Path) -> list[str]:
    return ["-e", f"root={folder}/work"]


def _given(folder: Path, url: str) -> list[str]:
    return ["-e", f"url={url}", "-e", f"port={url.rpartition(':')[2]}", "-e", f"root={folder}"]


def test_every_keyword_is_compared_wherever_it_may_stand() -> None:
    found = {each for folder in COMPARED for each in covered.keywords(folder)}
    assert covered.EXPECTED - found == set()


def test_every_core_task_is_compared() -> None:
    found = {each for folder in COMPARED for each in covered.tasks(folder)}
    assert set(covered.WHERE) - found == set()
