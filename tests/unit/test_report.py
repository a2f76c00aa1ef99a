"""The report: a fold over events, its JSON in both directions, and its schema."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import jsonschema
import pytest

from runbook import events as ev
from runbook.errors import Where
from runbook.report import COUNTED, Counts, Report
from runbook.units import Duration, Mode, Secret, Size
from runbook.unknown import Unknown
from runbook.wire import EVENTS, event_from, event_json, plain

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "runbook/report_schema.json").read_text())
WRITE = {"kind": "write", "target": "/a", "detail": "created, 2B", "diff": "+a\n"}
STARTED = ev.RunStarted(
    "20250301T020000Z-abc123",
    "daily.yml",
    "0" * 64,
    "run",
    "2025-03-01T02:00:00Z",
    "0.1.0",
    {"name": "gpu-1", "os": "Linux", "python": "3.11.7", "user": "ops"},
    {"keep": 3, "where": Path("/srv")},
    ("web1", "web2"),
    7,
)
FINISHED = ev.RunFinished("failed", 1, "2025-03-01T02:00:09Z", 9.0)


def step(index: int, host: str = "web1") -> ev.StepId:
    return ev.StepId(index, "upkeep", f"step {index}", "files.present", host, Where("daily.yml", index, 5))


def result(index: int, status: ev.Status, host: str = "web1", **more) -> ev.StepFinished:
    return ev.StepFinished(ev.Result(step(index, host), status, "2025-03-01T02:00:01Z", 0.25, **more))


def a_run() -> list[ev.Event]:
    failure = ev.Failure("TaskFailed", "no space", "free some")
    return [
        STARTED,
        ev.PlayStarted("upkeep", ("web1", "web2")),
        ev.StepStarted(step(1), "2025-03-01T02:00:01Z"),
        result(1, "ok", data={"path": Path("/a"), "rc": 0}),
        result(2, "changed", changes=[{**WRITE, "applied": True}], notified=("restart",)),
        result(3, "skipped", "web2", reason="when: x"),
        ev.ItemFinished(ev.Result(step(4), "ok", item="a")),
        ev.ItemFinished(ev.Result(step(4), "failed", item="b", error=failure)),
        result(4, "failed", error=failure),
        result(5, "failed", error=failure, ignored=True),
        result(6, "failed", error=failure),
        ev.Rescued(step(6)),
        result(7, "unsure", "web2", reason="depends on step 4 'x'"),
        FINISHED,
    ]


def folded(events: list[ev.Event]) -> Report:
    report = Report()
    for event in events:
        report(event)
    return report


def test_the_hosts_of_a_step_stand_in_the_order_of_the_play_whoever_was_first():
    hosts = ("a", "b", "c", "d")
    events = [STARTED, ev.PlayStarted("upkeep", hosts)]
    batches = [(1, "bac"), (2, "cb"), (2, "ba"), (1, "d"), (2, "d"), (3, "dcba")]
    events += [result(index, "ok", host) for index, order in batches for host in order]
    told = [(entry["index"], entry["host"]) for entry in folded(events).steps]
    assert told == [
        *((1, host) for host in "abc"),
        *((2, host) for host in "abbc"),  # an include in a loop comes twice, and what was first stays first
        *((1, "d"), (2, "d")),  # the next batch begins again
        *((3, host) for host in "abcd"),
    ]


def test_a_report_follows_its_schema_at_every_instant():
    events = a_run()
    for count in range(1, len(events) + 1):
        record = json.loads(json.dumps(folded(events[:count]).to_json()))
        jsonschema.validate(record, SCHEMA, cls=jsonschema.Draft202012Validator)
        assert record["status"] == ("failed" if count == len(events) else "running")


def test_counts_add_up_and_forgiven_failures_stand_beside():
    record = folded(a_run()).to_json()
    expected = dict.fromkeys(COUNTED, 0) | {"ok": 3, "changed": 1, "failed": 1, "rescued": 1, "ignored": 1}
    assert record["hosts"]["web1"] == expected
    assert record["summary"] == expected | {"skipped": 1, "unsure": 1}
    assert sum(record["summary"][name] for name in COUNTED[:6]) == len(record["steps"])


def test_a_rescue_is_counted_once_and_only_for_a_failure():
    counts = Counts(("web1",))
    counts.add(result(1, "failed").result)
    counts.add(result(2, "failed", rescued=True).result)
    for index in (1, 1, 2, 3):
        counts.rescue(step(index))
    assert counts.hosts["web1"] == dict.fromkeys(COUNTED, 0) | {"ok": 2, "rescued": 2}


def test_items_told_one_by_one_become_the_items_of_the_step():
    entry = folded(a_run()).to_json()["steps"][3]
    assert [(item["item"], item["status"]) for item in entry["items"]] == [("a", "ok"), ("b", "failed")]
    assert entry["items"][1]["error"] == {"type": "TaskFailed", "message": "no space", "hint": "free some"}


def test_the_json_leads_back_to_the_same_report():
    record = json.loads(json.dumps(folded(a_run()).to_json()))
    again = Report.from_json(record)
    assert again.to_json() == record
    assert folded(list(again.events())).to_json() == record
    with pytest.raises(ValueError, match="no report of schema"):
        Report.from_json({"schema": "runbook.report/2"})


def test_every_event_goes_through_json_and_back():
    change = {**WRITE, "applied": True}
    other = [
        ev.Planned(step(1), [WRITE], "a", 2),
        ev.Applied(step(1), 0),
        ev.Settled(step(1), ok=False),
        ev.Progress(step(1), "copying", 1.0, 2.0),
        ev.Output(step(1), "stderr", "x"),
        ev.Notified("web1", ("restart",)),
        ev.Note("careful", Where("C:/a.yml", 3, 1)),
        ev.StepFinished(replace(result(1, "ok").result, items=[ev.Result(step(1), "changed", changes=[change])])),
    ]
    events = [replace(STARTED, inputs={"a": [1]}, tags=("nightly",)), *a_run()[1:3], *a_run()[4:], *other]
    assert {type(event) for event in events} == set(EVENTS.values())
    for event in events:
        line = json.loads(json.dumps(event_json(event)))
        assert event_from(line) == event
        assert re.fullmatch("[a-z_]+", line["event"])


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


class Array:
    def tolist(self):
        return [1.5, float("inf")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Unknown("known after the run"), "known after the run"),
        (Path("/a"), "/a"),
        (Secret("tiny"), "***"),
        (b"a\xff", "a\\xff"),
        (datetime(2025, 3, 1, 2, tzinfo=UTC), "2025-03-01T02:00:00.000Z"),
        (date(2025, 3, 1), "2025-03-01"),
        (Mode(0o644), "0644"),
        (Size(5), "5B"),
        (Duration(1.5), "1s500ms"),
        (float("nan"), "nan"),
        ({1: {"a", "b"}, Path("p"): (None, True)}, {"1": ["a", "b"], "p": [None, True]}),
        (Where("a.yml", 1, 2), "a.yml:1:2"),
        (ev.Failure("A", "b"), {"type": "A", "message": "b", "hint": None}),
        (Odd(), "<odd>"),
        (Array(), [1.5, "inf"]),
        ("a\udcff", "a\udcff"),
    ],
)
def test_anything_becomes_json(value, expected):
    assert plain(value) == expected
    assert json.loads(json.dumps(plain(value))) == expected


def test_a_value_that_holds_itself_comes_to_an_end():
    value: list = []
    value.append(value)
    assert "too deep" in json.dumps(plain(value))


def properties(schema: dict) -> set[str]:
    here = set(schema.get("properties", ()))
    inside = [value for value in schema.values() if isinstance(value, dict)]
    return here.union(*(properties(value) for value in inside)) if inside else here


def test_every_field_of_the_schema_is_in_the_documentation():
    text = (ROOT / "docs/report.md").read_text()
    assert not {name for name in properties(SCHEMA) if f"`{name}`" not in text}
    assert "`runbook.report/1`" in text
