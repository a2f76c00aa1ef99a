"""`runbook runs`: the runs that are kept, listed, shown and pruned."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from test_console import DONE, ONE, told
from test_report import STARTED, a_run, result

from runbook import events as ev
from runbook.cli.runs import command
from runbook.errors import RunbookError
from runbook.folder import Recorder
from runbook.playbook.find import shipped_playbooks
from runbook.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "state")


def keep(store, events, run_id):
    run = store.open_run(run_id)
    recorder = Recorder(run)
    for event in [replace(events[0], run_id=run_id), *events[1:]]:
        recorder(event)
    run.close()
    return run_id


def invoke(store, *args):
    return CliRunner().invoke(command, [*args, "--state-dir", str(store.home)])


def test_runs_are_listed_newest_first(store):
    first = keep(store, [*a_run()], "20250301T020000Z-aaaaaa")
    second = keep(store, [ONE, result(1, "ok"), DONE], "20250302T020000Z-bbbbbb")
    lines = invoke(store, "list").stdout.splitlines()
    assert lines[0].split() == ["RUN", "PLAYBOOK", "MODE", "STATUS", "STARTED", "(UTC)", "TOOK", "COUNTS"]
    assert [line.split()[0] for line in lines[1:]] == [second, first]
    assert lines[1].split()[1:] == ["daily.yml", "run", "ok", "2025-03-01", "02:00:00", "9.0s", "ok", "1"]
    assert len(invoke(store, "list", "--last", "1").stdout.splitlines()) == 2
    assert json.loads(invoke(store, "list", "--json").stdout.splitlines()[1])["run_id"] == first


def test_a_shipped_playbook_is_listed_by_the_name_it_is_called_by(store, tmp_path):
    for number, path in enumerate((shipped_playbooks()["daily"], tmp_path / "daily.yml")):
        head = replace(ONE, playbook=str(path))
        keep(store, [head, result(1, "ok"), DONE], f"2025030{number + 1}T020000Z-aaaaaa")
    own, shipped = (line.split()[1] for line in invoke(store, "list").stdout.splitlines()[1:])
    assert (shipped, own) == ("daily.yml", str(tmp_path / "daily.yml"))


def test_a_run_is_shown_as_it_was_told(store):
    events = [event for event in a_run() if not isinstance(event, ev.Rescued)]
    keep(store, events, "20250301T020000Z-aaaaaa")
    path = store.runs / "20250301T020000Z-aaaaaa/report.json"
    live = told(replace(events[0], run_id="20250301T020000Z-aaaaaa"), *events[1:], report=str(path))
    assert invoke(store, "show").stdout == live
    assert invoke(store, "show", "aaaaaa").stdout == live
    assert json.loads(invoke(store, "show", "2025", "--json").stdout) == json.loads(path.read_text())


def test_a_run_at_work_says_so(store):
    run = store.open_run("20250301T020000Z-aaaaaa")
    recorder = Recorder(run)
    recorder(STARTED)
    assert "it is still running" in invoke(store, "show").stdout
    run.close()


def test_a_run_that_crashed_is_told_by_the_next_look(store):
    run = store.open_run("20250301T020000Z-aaaaaa")
    Recorder(run)(STARTED)
    run._lock.release(force=True)  # as the kernel does for a killed process
    shown = invoke(store, "show")
    assert "run 20250301T020000Z-aaaaaa of daily.yml crashed between two steps" in shown.stderr
    assert "\ncrashed\n" in shown.stdout


def test_a_run_that_is_not_there_or_cannot_be_read(store):
    assert isinstance(invoke(store, "show").exception, RunbookError)
    run = store.open_run("20250301T020000Z-aaaaaa")
    run.report.touch()  # a run without a report leaves no folder
    run.close()
    assert "cannot read" in str(invoke(store, "show").exception)
    run.report.write_text('{"schema": "other"}')
    assert "no report of schema" in str(invoke(store, "show").exception)
    assert "20250301T020000Z-aaaaaa" in invoke(store, "list").stdout


def test_runs_are_pruned(store):
    keep(store, [ONE, DONE], "20200301T020000Z-aaaaaa")
    assert invoke(store, "prune").stdout == "1 run removed\n"
    assert invoke(store, "list").stderr.startswith("there are no runs in ")
