"""The store of runs: whole at every instant, found again after a crash, listed and pruned."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_report import FINISHED, STARTED, result

from runbook.errors import RunbookError
from runbook.folder import read_report
from runbook.host.files.spares import temporary
from runbook.report import Report
from runbook.store import Store, state_dir

ROOT = Path(__file__).parents[2]
NOW = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "state")


def record(run_id="20250301T020000Z-abc123", playbook="daily.yml", status="ok"):
    report = Report()
    for event in (
        replace(STARTED, run_id=run_id, playbook=playbook),
        result(1, "ok"),
        replace(FINISHED, status=status),
    ):
        report.fold(event)
    return report.to_json()


def keep(store, started, playbook="daily.yml", status="ok"):
    run_id = store.new_id(started)
    run = store.open_run(run_id)
    run.write_report(record(run_id, playbook, status))
    run.close()
    return run_id


def test_the_folder_for_state(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNBOOK_HOME", str(tmp_path / "home"))
    assert state_dir() == tmp_path / "home"
    assert state_dir(tmp_path / "option") == tmp_path / "option"
    monkeypatch.delenv("RUNBOOK_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_dir() == tmp_path / "xdg/runbook"


def test_ids_sort_by_start_and_differ():
    ids = [Store.new_id(NOW + timedelta(seconds=s)) for s in range(3)]
    assert ids == sorted(ids)
    assert ids[0].startswith("20250601T000000Z-")
    assert Store.new_id(NOW) != Store.new_id(NOW)


def test_a_run_is_private_and_its_folder_says_that_it_is_alive(store):
    run = store.open_run(store.new_id())
    run.write_report(record())
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in (store.home, store.runs, run.path)] == [0o700] * 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in run.path.iterdir()} == {0o600}
    assert store.crashed_runs() == []
    run.close()
    assert [path.name for path in run.path.iterdir()] == ["report.json"]
    assert store.crashed_runs() == []


def test_a_state_folder_that_cannot_be_made_is_told_clearly(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunbookError, match="cannot write") as caught:
        Store(tmp_path / "file" / "state").open_run("20250301T020000Z-abc123")
    assert "--state-dir" in caught.value.hint


KILLED = """
import os, sys, time
from pathlib import Path
from runbook import events as ev
from runbook.errors import Where
from runbook.folder import Recorder
from runbook.journal import Journal
from runbook.store import Store

home, run_id, target = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
folder = Store(home).open_run(run_id)
journal, recorder = Journal(folder.journal), Recorder(folder)
step = ev.StepId(4, "upkeep", "compress logs", "logs.archive", "localhost", Where("maintenance.yml", 9, 5))
changes = [{"kind": "compress", "target": target, "detail": f"into {target}.gz", "diff": None}]
machine = {"name": "a", "os": "b", "python": "c", "user": "d"}
for event in (
    ev.RunStarted(run_id, "maintenance.yml", "0" * 64, "run", "2025-03-01T02:00:00Z", "0", machine, {}, ("localhost",), 4),
    ev.StepStarted(step, "2025-03-01T02:00:00Z"),
    ev.Planned(step, changes),
):
    journal(event); recorder(event)
import subprocess
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_run_killed_by_sigkill_is_found_once_and_its_leftovers_are_cleared(store, tmp_path):
    run_id, log = store.new_id(), tmp_path / "a.log"
    log.write_text("line\n")
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store.home), run_id, str(log)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    child = int(killed.stdout.readline())
    assert store.crashed_runs() == []
    assert store.recover(run_id) is None
    left = temporary(f"{log}.gz", run_id)
    left.write_text("half")
    killed.kill()
    killed.communicate()
    try:
        assert store.crashed_runs() == [run_id]  # though a child of it still lives
        told = store.recover(run_id)
    finally:
        os.kill(child, signal.SIGTERM)
    assert told == (
        f"run {run_id} of maintenance.yml crashed at step 4 'compress logs'; "
        f"what was done: {store.runs / run_id / 'report.json'}"
    )
    report = read_report(store.runs / run_id / "report.json")
    assert report["status"] == "crashed"
    assert report["steps"][0]["changes"][0]["applied"] is None
    assert not left.exists()
    assert log.exists()
    assert store.crashed_runs() == []
    assert store.recover(run_id) is None


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", '{"status": "running"}', '{"schema": "runbook.report/9", "status": "running"}']
)
def test_a_broken_folder_is_told_once_and_raises_nothing(store, broken):
    run_id = store.new_id()
    (store.runs / run_id).mkdir(parents=True)
    (store.runs / run_id / "alive").touch()
    (store.runs / run_id / "report.json").write_text(broken)
    assert store.crashed_runs() == [run_id]
    assert "could not be finished" in store.recover(run_id)
    assert store.crashed_runs() == []
    assert store.history()[0].head["status"] in {"unreadable", "running"}


def test_a_folder_that_a_start_has_just_made_is_left_to_it(store):
    run_id = store.new_id()
    (store.runs / run_id).mkdir(parents=True)
    (store.runs / run_id / "alive").touch()
    assert store.recover(run_id) is None
    assert (store.runs / run_id / "alive").exists()
    os.utime(store.runs / run_id, (0, 0))
    assert store.recover(run_id) is None
    assert not (store.runs / run_id).exists()


def test_a_run_that_ended_and_was_killed_before_it_said_so_did_not_crash(store):
    run_id = keep(store, NOW)
    (store.runs / run_id / "alive").touch()
    assert store.recover(run_id) is None
    assert not (store.runs / run_id / "alive").exists()


def test_a_folder_that_came_to_nothing_is_cleared_away_after_a_while(store):
    folder = store.runs / store.new_id()
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").touch()  # as a power failure leaves it
    assert store.crashed_runs() == []
    assert folder.exists(), "a start may have made it just now"
    os.utime(folder, (0, 0))
    assert store.crashed_runs() == []
    assert not folder.exists()


def test_a_last_report_that_could_not_be_written_is_made_good_by_the_next_start(store, monkeypatch):
    run = store.open_run(store.new_id())
    run.write_report(record(run.run_id, status="running"))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(RunbookError, match="No space left"):
            run.write_report(record(run.run_id))
    run.close()
    assert store.crashed_runs() == [run.run_id], "it stays alive, so that the next start looks at it"
    run = store.open_run(store.new_id())
    run.write_report(record(run.run_id))
    run.close()
    assert not (run.path / "alive").exists()


def test_a_thousand_runs_are_looked_through_in_no_time(store):
    for number in range(1000):
        (store.runs / f"20250301T020000Z-{number:06}").mkdir(parents=True)
    started = time.process_time()
    assert store.crashed_runs() == []
    assert time.process_time() - started < 0.5


def test_history_is_newest_first_and_runs_are_found_by_either_end(store):
    ids = [keep(store, NOW + timedelta(days=day)) for day in range(3)]
    (store.runs / "notes").mkdir()
    assert [run.run_id for run in store.history()] == ids[::-1]
    assert store.find().run_id == store.find("last").run_id == ids[-1]
    assert store.find("20250602").run_id == store.find(ids[1][-6:]).run_id == ids[1]
    with pytest.raises(RunbookError, match="3 runs have an id like '202506'"):
        store.find("202506")
    with pytest.raises(RunbookError, match="no run has an id"):
        store.find("1999")


def test_an_empty_store_has_nothing_to_find(store):
    assert store.history() == []
    with pytest.raises(RunbookError, match="there are no runs in"):
        store.find()


def test_old_runs_go_and_failed_ones_last(store):
    old = NOW - timedelta(days=100)
    gone, failed = keep(store, old), keep(store, old, status="failed")
    ancient = keep(store, NOW - timedelta(days=400), status="failed")
    recent = keep(store, NOW - timedelta(days=1))
    assert store.prune(now=NOW) == [ancient, gone]
    assert {run.run_id for run in store.history()} == {failed, recent}


def test_of_too_many_runs_of_a_playbook_the_oldest_good_ones_go_first(store):
    days = [NOW - timedelta(days=day) for day in range(5)]
    ids = [keep(store, day, status="failed" if number == 4 else "ok") for number, day in enumerate(days)]
    other = keep(store, days[4], playbook="other.yml")
    assert store.prune(keep_runs=2, now=NOW) == sorted(ids[1:4])
    assert {run.run_id for run in store.history()} == {ids[0], ids[4], other}
    assert store.prune(keep_runs=0, now=NOW) == sorted([ids[0], ids[4], other])


def test_a_live_run_is_never_pruned(store):
    run = store.open_run(store.new_id(NOW - timedelta(days=999)))
    run.write_report(record())
    assert store.prune(now=NOW) == []
    run.close()
    assert store.prune(now=NOW) == [run.run_id]


def test_tidying_prunes_once_a_day(store):
    keep(store, datetime.now(UTC) - timedelta(days=99))
    store.tidy()
    assert store.history() == []
    keep(store, datetime.now(UTC) - timedelta(days=99))
    store.tidy()
    assert len(store.history()) == 1
    Store(Path("/proc/none")).tidy()
