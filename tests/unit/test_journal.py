"""The journal: durable where it must be, readable when torn, and what a crash leaves of it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import jsonschema
import pytest
from test_report import FINISHED, SCHEMA, STARTED, WRITE, a_run, result, step

from runbook import events as ev
from runbook import journal as module
from runbook.errors import RunbookError
from runbook.journal import AtWork, Journal, crashed, read
from runbook.report import Report

LIST = [{**WRITE, "target": f"/{name}"} for name in "abc"]
BEGUN = [STARTED, ev.StepStarted(step(1), "2025-03-01T02:00:01Z")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def written(path, events):
    journal = Journal(path)
    for event in events:
        journal(event)
    journal.close()
    return read(path)


def crash(events, record=None, *, certain=True):
    report, at_work = crashed(record, events, ended_at="2025-03-01T02:00:05Z", certain=certain)
    jsonschema.validate(json.loads(json.dumps(report)), SCHEMA, cls=jsonschema.Draft202012Validator)
    return report, at_work


def test_events_are_kept_as_they_were_but_for_progress_and_output(path):
    told = [ev.Progress(step(1), "copying", 1.0), ev.Output(step(1), "stdout", "x")]
    events = [*BEGUN, *told, ev.Planned(step(1), LIST), ev.Note("careful")]
    kept = written(path, events)
    assert [type(event) for event in kept] == [ev.RunStarted, ev.StepStarted, ev.Planned, ev.Note]
    assert kept[2] == events[4]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_list_of_changes_is_durable_before_the_first_and_how_it_ended_with_the_next_list_or_the_end(
    path, monkeypatch
):
    synced = []
    monkeypatch.setattr(os, "fdatasync", lambda _: synced.append(read(path)[-1]))
    settled = [ev.Applied(step(1), 0), ev.Settled(step(1), ok=True)]
    idle = [ev.Planned(step(2), []), ev.Settled(step(2), ok=True)]
    lists = [ev.Planned(step(n), LIST) for n in (1, 3)]
    end = ev.RunFinished("ok", 0, "2025-03-01T02:00:01Z", 1.0)
    written(path, [*BEGUN, *idle, lists[0], *settled, *idle, lists[1], *settled, end])
    assert synced == [*lists, end]


def test_the_journal_of_a_run_that_changed_nothing_costs_no_sync(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    written(path, [*BEGUN, ev.Planned(step(1), []), ev.RunFinished("ok", 0, "2025-03-01T02:00:01Z", 1.0)])
    assert synced == []


def test_a_torn_last_line_is_left_out(path):
    written(path, BEGUN)
    whole = path.read_bytes()
    for size in range(1, len(whole)):
        path.write_bytes(whole[:size])
        assert len(read(path)) == sum(size >= end for end in (whole.index(b"\n"), len(whole) - 1))
    assert read(path.with_name("none")) == []


def test_a_full_disk_is_told_as_one():
    journal = Journal(Path("/dev/full"))
    with pytest.raises(RunbookError, match="cannot write /dev/full: No space left on device") as caught:
        journal(STARTED)
    journal.close()
    assert "--state-dir" in caught.value.hint


def test_a_refused_folder_is_told_as_one(tmp_path):
    with pytest.raises(RunbookError, match="no run goes without its record"):
        Journal(tmp_path / "none" / "journal.jsonl")


def test_a_killed_run_says_which_of_its_changes_were_made():
    report, at_work = crash([*BEGUN, ev.Planned(step(1), LIST), ev.Applied(step(1), 0)])
    entry = report["steps"][0]
    assert [change["applied"] for change in entry["changes"]] == [True, None, False]
    assert entry["error"]["type"] == "Crashed"
    assert entry["error"]["message"].endswith("1 of 3 changes made, 1 may have been")
    assert (report["status"], report["exit_code"], report["finished_at"]) == ("crashed", None, "2025-03-01T02:00:05Z")
    assert report["summary"]["failed"] == 1
    assert [change["target"] for change in at_work.targets()] == ["/a", "/b", "/c"]


def test_after_a_power_cut_nothing_that_is_not_on_record_is_claimed():
    report, _ = crash([*BEGUN, ev.Planned(step(1), LIST), ev.Applied(step(1), 0)], certain=False)
    assert [change["applied"] for change in report["steps"][0]["changes"]] == [True, None, None]


def test_a_settled_list_is_certain_and_a_second_round_counts_on():
    first = [ev.Planned(step(1), LIST), ev.Applied(step(1), 0), ev.Settled(step(1), ok=False)]
    second = [ev.Planned(step(1), LIST[1:], round=2), ev.Applied(step(1), 0)]
    report, at_work = crash([*BEGUN, *first, *second])
    assert [change["applied"] for change in report["steps"][0]["changes"]] == [True, False, False, True, None]
    assert len(at_work.targets()) == 2


def test_a_step_without_changes_and_a_run_between_steps():
    assert "it had begun no change" in crash(BEGUN)[0]["steps"][0]["error"]["message"]
    report, at_work = crash([*BEGUN, result(1, "ok")])
    assert [entry["status"] for entry in report["steps"]] == ["ok"]
    assert not at_work.steps


def test_what_knows_more_finished_steps_is_believed():
    events = a_run()[:-1]
    old, whole = Report(), Report()
    for count, event in enumerate(events):
        whole.fold(event)
        if count < 4:
            old.fold(event)
    steps = whole.to_json()["steps"]
    assert crash(events, old.to_json())[0]["steps"] == steps
    assert crash(events[:4], whole.to_json())[0]["steps"] == steps
    assert crash([], whole.to_json())[0]["steps"] == steps
    assert crash(events)[0]["steps"] == steps


def test_what_was_at_work_is_named_with_its_hosts_if_there_are_several():
    at_work = AtWork()
    assert at_work.named(hosts=True) == "between two steps"
    for number, host in ((4, "web2"), (4, "web1"), (4, "web3"), (5, "web1")):
        at_work(ev.StepStarted(step(number, host), ""))
    assert at_work.named(hosts=True) == "at step 4 'step 4' on web2, web1 and web3 and step 5 'step 5' on web1"
    assert at_work.named(hosts=False) == "at step 4 'step 4' and step 5 'step 5'"


def test_a_report_that_knows_more_of_several_hosts_is_believed():
    started = [STARTED, ev.PlayStarted("upkeep", ("web1", "web2"))]
    begun = [ev.StepStarted(step(1, host), "") for host in ("web1", "web2")]
    known = Report()
    for event in [*started, *begun, result(1, "ok", "web2"), result(1, "ok", "web1")]:
        known(event)
    record, _ = crashed(known.to_json(), [*started, *begun, result(1, "ok", "web2")], ended_at="", certain=True)
    assert [(entry["host"], entry["status"]) for entry in record["steps"]] == [("web1", "ok"), ("web2", "ok")]


def test_a_journal_that_tells_the_end_makes_a_run_that_ended():
    assert crash([*BEGUN, result(1, "failed"), FINISHED])[0]["status"] == "failed"


def test_neither_report_nor_start_is_no_run():
    with pytest.raises(ValueError, match="begins with RunStarted"):
        crash([ev.Applied(step(1), 0)])


def test_nothing_is_lost_when_the_system_writes_in_pieces(path, monkeypatch):
    real = os.write
    monkeypatch.setattr(module.os, "write", lambda fd, data: real(fd, data[:7]))
    assert [type(event) for event in written(path, BEGUN)] == [ev.RunStarted, ev.StepStarted]
