"""The store of runs: whole at every instant, found again after a crash, listed and pruned."""

from __future__ import annotations

import json
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

from runbook import events as ev
from runbook import folder as folder_module
from runbook.errors import RunbookError
from runbook.folder import Recorder, encode, read_head, read_report
from runbook.host.durable import temporary
from runbook.report import Report
from runbook.store import Store, state_dir
from test_report import FINISHED, STARTED, a_run, result

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


def test_a_report_is_one_head_line_and_a_line_a_step(tmp_path):
    report = Report()
    for event in a_run():
        report.fold(event)
    path = tmp_path / "report.json"
    path.write_bytes(encode(report.to_json()))
    assert read_report(path) == json.loads(json.dumps(report.to_json()))
    assert read_head(path) == {name: value for name, value in read_report(path).items() if name != "steps"}
    assert len(path.read_bytes().splitlines()) == len(report.steps) + 2
    path.write_text(json.dumps(report.to_json(), indent=2))
    assert read_head(path)["run_id"] == STARTED.run_id


def test_the_report_is_written_at_the_start_every_two_seconds_and_at_the_end(store, tmp_path, monkeypatch):
    now, writes = [100.0], []
    run = store.open_run(store.new_id())
    monkeypatch.setattr(type(run), "write_report", lambda self, record: writes.append((now[0], len(record["steps"]))))
    recorder = Recorder(run, clock=lambda: now[0])
    recorder(STARTED)
    for index in range(1, 51):
        now[0] += 0.125
        recorder(result(index, "ok"))
    recorder(FINISHED)
    run.close()
    assert [round(at, 1) for at, _ in writes] == [100.0, 102.0, 104.0, 106.0, 106.2]
    assert writes[-1][1] == 50


def test_a_long_report_is_written_more_rarely(store, monkeypatch):
    now, writes = [0.0], []

    def slowly(self, record):
        writes.append(now[0])
        now[0] += 1.0

    run = store.open_run(store.new_id())
    monkeypatch.setattr(type(run), "write_report", slowly)
    recorder = Recorder(run, clock=lambda: now[0])
    recorder(STARTED)
    for _ in range(100):
        now[0] += 0.5
        recorder(ev.Note("x"))
    run.close()
    assert len(writes) == 3


def test_a_disk_that_is_full_for_a_while_does_not_end_the_run_but_at_its_end_it_does(store, monkeypatch):
    run = store.open_run(store.new_id())
    now = [0.0]
    recorder = Recorder(run, clock=lambda: now[0])
    recorder(STARTED)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module, "replace_file", full)
    now[0] = 10
    recorder(result(1, "ok"))
    with pytest.raises(RunbookError, match=r"report\.json: No space left on device"):
        recorder(FINISHED)
    run.close()
    assert read_report(run.report)["status"] == "running"


def test_a_copy_goes_where_the_user_wants_it(store, tmp_path):
    copy = tmp_path / "out.json"
    copy.write_text("old")
    copy.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(copy)
    run = store.open_run(store.new_id())
    recorder = Recorder(run, also=link)
    recorder(STARTED)
    assert read_report(copy)["status"] == "running"
    recorder(FINISHED)
    run.close()
    assert read_report(copy) == read_report(run.report)
    assert link.is_symlink()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "out.json", "state"]


def test_a_copy_to_a_pipe_is_written_once_at_the_end(store, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE)
    run = store.open_run(store.new_id())
    recorder = Recorder(run, also=tmp_path / "pipe")
    recorder(STARTED)
    recorder(FINISHED)
    run.close()
    assert json.loads(reader.communicate(timeout=10)[0])["status"] == "failed"


def test_a_copy_that_is_refused_is_told_before_anything_is_done(store, tmp_path):
    run = store.open_run(store.new_id())
    with pytest.raises(RunbookError, match=r"cannot write the report to .*none/out\.json"):
        Recorder(run, also=tmp_path / "none/out.json")(STARTED)
    run.close()


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
child = subprocess.Popen(["sleep", "60"])
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
    assert "cannot be read" in store.recover(run_id)
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
