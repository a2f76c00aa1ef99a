"""Two runs at once: one runs, the other says who is in its way; what only looks takes no lock."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from playing import Folder
from test_signals import begun, until


@pytest.fixture
def busy(tmp_path):
    """A folder in which a run is at work until `go` is there."""
    folder = Folder(tmp_path)
    folder.book([{"name": "it", "shell": "while test ! -e go; do sleep 0.05; done", "changed_when": False}])
    folder.book([{"debug": {"msg": "free"}}], name="none.yml", lock="none")
    folder.book([{"debug": {"msg": "health"}}], name="other.yml", lock="health")
    run = folder.start()
    until(lambda: begun(folder))
    yield folder, run
    (tmp_path / "go").touch()
    assert folder.ended(run).code == 0


def test_the_second_run_names_the_first(busy):
    folder, run = busy
    (first,) = folder.runs()
    report = folder.path / "report.json"
    report.write_text("mine")
    ended = folder.play("--report", str(report))
    assert (ended.code, ended.out) == (75, "")
    assert f"pid {run.pid}, run {first.name} of book.yml" in ended.err
    assert "hint: let it end, wait for it with --wait" in ended.err
    assert "Traceback" not in ended.err
    assert folder.runs() == [first], "a run that did not start has no record"
    assert report.read_text() == "mine"


def test_it_waits_as_long_as_it_is_told(busy):
    folder, _ = busy
    began = time.monotonic()
    ended = folder.play("--wait", "1s")
    assert (ended.code, time.monotonic() - began >= 1) == (75, True)
    assert "after 1 s of waiting" in ended.err


def test_it_waits_until_it_is_free(busy):
    folder, _ = busy
    second = folder.start("--wait", "30s")
    time.sleep(0.5)
    assert second.poll() is None
    (folder.path / "go").touch()
    assert folder.ended(second).code == 0


@pytest.mark.parametrize("options", [["--check"], ["--dry-run"]])
def test_what_only_looks_takes_no_lock(busy, options):
    folder, _ = busy
    assert folder.play(*options).code == 0


@pytest.mark.parametrize("book", ["none.yml", "other.yml"])
def test_a_play_may_name_its_own_lock_or_none(busy, book):
    folder, _ = busy
    assert folder.play(book=book).code == 0


def test_the_lock_is_asked_for_before_anything_is_compiled(busy):
    folder, _ = busy
    folder.book([{"no.such.task": {}}], name="wrong.yml")
    assert folder.play(book="wrong.yml").code == 75
    (folder.path / "torn.yml").write_text("- hosts: [")
    assert folder.play(book="torn.yml").code == 4


def test_a_run_that_was_killed_holds_nothing(busy):
    folder, run = busy
    run.kill()
    run.wait()
    (folder.path / "go").touch()
    assert folder.play().code == 0
    # what the fixture waits for at the end
    run.returncode = 0


def test_of_a_crowd_one_runs_at_a_time(tmp_path):
    folder = Folder(tmp_path)
    folder.book([{"shell": "test ! -e busy && touch busy && sleep 0.05 && echo x >> ran && rm busy"}])
    with ThreadPoolExecutor(6) as pool:
        codes = [ended.code for ended in pool.map(lambda _: folder.play("--wait", "60s"), range(6))]
    assert codes == [0] * 6
    assert (tmp_path / "ran").read_text() == "x\n" * 6
    assert len(folder.runs()) == 6
    for path in folder.runs():
        assert json.loads((path / "report.json").read_text())["status"] == "ok"
    assert [name for name in os.listdir(folder.state / "locks") if not name.endswith(".lock")] == []
