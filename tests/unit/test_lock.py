"""Who may run: one at a time, named when busy, freed when killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runbook.errors import Busy, RunbookError
from runbook.lock import acquire, lock_name

ROOT = Path(__file__).parents[2]


def take(state, *names, wait=0.0, run_id="run-1", playbook="daily.yml"):
    return acquire(state, list(names), wait=wait, run_id=run_id, playbook=playbook)


HOLD = """
import subprocess, sys, time
from pathlib import Path
from runbook.lock import acquire
locks = acquire(Path(sys.argv[1]), ["b", "a"], wait=0, run_id="run-9", playbook="maintenance.yml")
print(subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL).pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    process.child = int(process.stdout.readline())
    yield process
    process.kill()
    process.communicate()
    os.kill(process.child, signal.SIGTERM)


def test_a_second_run_is_told_who_holds_the_lock(holder, tmp_path):
    with pytest.raises(Busy, match=f"the lock 'b': pid {holder.pid}, run run-9 of maintenance.yml, since 20") as caught:
        take(tmp_path, "c", "b")
    assert caught.value.exit_code == 75
    assert "--wait" in caught.value.hint
    take(tmp_path, "c").release()


def test_kill_9_frees_the_lock_though_a_child_lives_on(holder, tmp_path):
    holder.kill()
    holder.wait()
    with take(tmp_path, "a", "b", wait=2) as locks:
        assert locks.held


def test_a_run_waits_as_long_as_it_is_told_to(tmp_path):
    first = take(tmp_path, "a")
    started = time.monotonic()
    with pytest.raises(Busy, match=r"after 0\.2 s of waiting"):
        take(tmp_path, "a", wait=0.2)
    assert time.monotonic() - started >= 0.2
    first.release()
    take(tmp_path, "a", wait=5).release()


def test_what_is_left_of_a_killed_holder_is_not_believed(tmp_path):
    first = take(tmp_path, "a")
    (tmp_path / "locks/a.holder").write_text('{"pid": 4194304, "run_id": "x", "playbook": "y", "since": "z"}')
    with pytest.raises(Busy, match="has not said its name yet"):
        take(tmp_path, "a")
    (tmp_path / "locks/a.holder").write_text("[")
    with pytest.raises(Busy, match="has not said its name yet"):
        take(tmp_path, "a")
    first.release()


def test_lock_files_are_private_and_stay_the_same(tmp_path):
    with take(tmp_path, "a", "health"):
        inodes = {path.name: path.stat().st_ino for path in (tmp_path / "locks").glob("*.lock")}
        assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "locks").iterdir()} == {0o600}
        assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == 0o700
    take(tmp_path, "a", "health").release()
    assert {path.name: path.stat().st_ino for path in (tmp_path / "locks").iterdir()} == inodes
    assert set(inodes) == {"a.lock", "health.lock"}


def test_a_name_never_leaves_the_folder_nor_meets_another(tmp_path):
    with take(tmp_path, "../../etc/x", "a b", "a_b", "a.b"):
        assert len(list((tmp_path / "locks").glob("*.lock"))) == 4


def test_an_inventory_has_one_lock_whichever_way_it_is_written(tmp_path, monkeypatch):
    (tmp_path / "prod.yml").touch()
    (tmp_path / "link.yml").symlink_to("prod.yml")
    monkeypatch.chdir(tmp_path)
    names = {lock_name(path) for path in (tmp_path / "prod.yml", tmp_path / "x/../prod.yml", tmp_path / "link.yml")}
    assert len(names) == 1
    assert names.pop().startswith("prod-")
    assert lock_name(tmp_path / "other.yml") != lock_name(tmp_path / "prod.yml")


def test_a_state_folder_that_is_refused_is_told_clearly(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunbookError, match="cannot take the lock") as caught:
        take(tmp_path / "file")
    assert "--state-dir" in caught.value.hint


def test_the_module_is_quick_to_import():
    code = "import runbook.lock, sys; print(not {'pydantic', 'jinja2', 'yaml', 'filelock'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "True\n"
