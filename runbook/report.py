"""The record of a run: a fold over its events, and its JSON in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from runbook import events as ev
from runbook.wire import Json, plain, result_from, result_json

SCHEMA = "runbook.report/1"
COUNTED = ("ok", "changed", "failed", "skipped", "unsure", "unreachable", "rescued", "ignored")
Key = tuple[int, str]


class Counts:
    """How many results of each status every host has; an ignored or rescued failure counts as ok, and beside it."""

    def __init__(self, hosts: tuple[str, ...] = ()) -> None:
        self.hosts: dict[str, dict[str, int]] = {host: dict.fromkeys(COUNTED, 0) for host in hosts}
        self._failed: set[Key] = set()

    def add(self, result: ev.Result | Json) -> None:
        entry = result_json(result) if isinstance(result, ev.Result) else result
        counts = self.hosts.setdefault(entry["host"], dict.fromkeys(COUNTED, 0))
        forgiven = "ignored" if entry["ignored"] else "rescued" if entry["rescued"] else None
        if entry["status"] != "failed" or not forgiven:
            counts[entry["status"]] += 1
            if entry["status"] == "failed":
                self._failed.add((entry["index"], entry["host"]))
            return
        counts["ok"] += 1
        counts[forgiven] += 1

    def rescue(self, step: ev.StepId) -> None:
        """Count a failure as made good, once."""
        key = (step.index, step.host)
        if key in self._failed:
            self._failed.discard(key)
            counts = self.hosts[step.host]
            counts["failed"] -= 1
            counts["ok"] += 1
            counts["rescued"] += 1

    def total(self) -> dict[str, int]:
        return {name: sum(counts[name] for counts in self.hosts.values()) for name in COUNTED}


class Report:
    """The whole record of one run, up to the last event it was told of."""

    def __init__(self) -> None:
        self.started: ev.RunStarted | None = None
        self.finished: ev.RunFinished | None = None
        self.steps: list[Json] = []
        self.counts = Counts()
        self._items: dict[Key, list[ev.Result]] = {}
        self._places: dict[str, int] = {}

    def __call__(self, event: ev.Event) -> None:
        self.fold(event)

    def fold(self, event: ev.Event) -> None:
        """Take the next event."""
        match event:
            case ev.RunStarted():
                self.started, self.counts = event, Counts(event.hosts)
            case ev.PlayStarted(_, hosts):
                self._places = {host: place for place, host in enumerate(hosts)}
            case ev.ItemFinished(result):
                self._items.setdefault((result.step.index, result.step.host), []).append(result)
            case ev.StepFinished(result):
                items = self._items.pop((result.step.index, result.step.host), None)
                if items is not None and result.items is None:
                    result = replace(result, items=items, entry=None)
                self.add(result_json(result))
                self._settle_in()
            case ev.Rescued(step):
                self._rescue(step)
            case ev.RunFinished():
                self.finished = event

    def add(self, entry: Json) -> None:
        """Take a finished step as the JSON of its result."""
        self.steps.append(entry)
        self.counts.add(entry)

    def _settle_in(self) -> None:
        """Put the newest entry where it belongs: the hosts of a step stand in the play's order, whoever was first."""
        steps, places = self.steps, self._places
        entry = steps[-1]
        at, index, place = len(steps) - 1, entry["index"], places.get(entry["host"], 0)
        while at and steps[at - 1]["index"] == index and places.get(steps[at - 1]["host"], 0) > place:
            at -= 1
        if at < len(steps) - 1:
            steps.insert(at, steps.pop())

    def _rescue(self, step: ev.StepId) -> None:
        for entry in reversed(self.steps):
            if (entry["index"], entry["host"]) == (step.index, step.host) and entry["status"] == "failed":
                entry["rescued"] = True
                break
        self.counts.rescue(step)

    def to_json(self) -> Json:
        """Give the report as `report_schema.json` describes it; the entries of `steps` are shared, not copied."""
        if self.started is None:
            raise ValueError("a report begins with RunStarted")
        head, end = self.started, self.finished
        return {
            "schema": SCHEMA,
            **{name: getattr(head, name) for name in ("run_id", "playbook", "playbook_sha256", "mode")},
            "status": end.status if end else "running",
            "exit_code": end.exit_code if end else None,
            "started_at": head.started_at,
            "finished_at": end.finished_at if end else None,
            "duration_s": round(end.duration_s, 6) if end else None,
            "runbook_version": head.runbook_version,
            "machine": {name: str(plain(head.machine.get(name, ""))) for name in ("name", "os", "python", "user")},
            "inputs": plain(head.inputs),
            "summary": self.counts.total(),
            "hosts": {host: dict(counts) for host, counts in self.counts.hosts.items()},
            "steps": self.steps,
        }

    @classmethod
    def from_json(cls, record: Json) -> Report:
        """Give back the report that `to_json` wrote; ValueError where the schema is another."""
        if record.get("schema") != SCHEMA:
            raise ValueError(f"this is no report of schema {SCHEMA}: {record.get('schema')!r}")
        report = cls()
        for event in _bounds(record):
            report.fold(event)
        for entry in record["steps"]:
            report.add(entry)
        return report

    def events(self) -> Iterator[ev.Event]:
        """Tell the run again, as far as the record keeps it: what a console needs to show it once more."""
        if self.started:
            yield self.started
        play = None
        for entry in self.steps:
            result = result_from(entry)
            if result.step.play != play:
                play = result.step.play
                yield ev.PlayStarted(play, tuple(dict.fromkeys(e["host"] for e in self.steps if e["play"] == play)))
            yield ev.StepStarted(result.step, result.started_at)
            yield ev.StepFinished(result)
        if self.finished:
            yield self.finished


def _bounds(record: Json) -> Iterator[ev.Event]:
    names = ("run_id", "playbook", "playbook_sha256", "mode", "started_at", "runbook_version", "machine", "inputs")
    steps = max((entry["index"] for entry in record["steps"]), default=0)
    yield ev.RunStarted(**{name: record[name] for name in names}, hosts=tuple(record["hosts"]), steps=steps)
    if record["status"] != "running":
        yield ev.RunFinished(
            record["status"], cast("int", record["exit_code"]), record["finished_at"] or "", record["duration_s"] or 0.0
        )
