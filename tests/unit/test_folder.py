"""The folder of a run: reports whole at every instant, where they are wanted and not too often."""

from __future__ import annotations

import json
import os
import stat
import subprocess

import pytest
from test_report import FINISHED, STARTED, a_run, result

from runbook import events as ev
from runbook import folder as folder_module
from runbook.errors import RunbookError
from runbook.folder import Recorder, encode, read_head, read_report
from runbook.report import Report
from runbook.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "state")


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
    monkeypatch.setattr(type(run), "write_report", lambda _, record: writes.append((now[0], len(record["steps"]))))
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
