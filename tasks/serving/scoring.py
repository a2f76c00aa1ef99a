"""Whether a service's answer is right: to one sample, and to many whose labels are known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from runbook.changes import Response
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown
from runbook.units import Duration

from . import answers
from .adapters import Adapter
from .samples import body_of


class Wanted(Protocol):
    """What is wanted of an answer: the params of `model.predict`."""

    @property
    def adapter(self) -> str: ...
    @property
    def json_(self) -> dict[str, Any] | None: ...
    @property
    def max_latency(self) -> Duration | None: ...


def wrong(want: Wanted, response: Response, told: Any) -> str | None:
    """Say how an answer differs from what is wanted of it."""
    if response.status != HTTPStatus.OK:
        return answers.unwanted(response, [200])
    if want.adapter == "simple" and (not isinstance(told, dict) or told.get("label") is None):
        return f"no `label` in the answer: {answers.excerpt(response)}"
    if want.json_ is not None and (lack := answers.lacking(want.json_, told)):
        return f"the answer is not as wanted: {lack}"
    return answers.late(response, want.max_latency)


def labelled(host: Host, folder: Path, pattern: str, limit: int) -> list[tuple[Path, str]]:
    """Give the samples below a folder with their labels, `limit` of them at most, spread evenly over all."""
    if (stat := host.stat(folder)) is None or not stat.is_folder:
        raise TaskFailed(f"there is no folder {shown(folder)}", hint="give the folder of the labelled samples")
    found = list(_labelled(host, folder, re.compile(pattern)))
    if not found:
        hint = "by default the label is the name of a sample's folder; `label` is a regular expression that finds it"
        raise TaskFailed(f"no sample in {shown(folder)} has a label", hint=hint)
    step = max(1.0, len(found) / limit)
    return [found[int(n * step)] for n in range(min(limit, len(found)))]


def _labelled(host: Host, folder: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Path, str]]:
    for each in host.find(folder, recursive=True):
        match = pattern.search(str(each.path.relative_to(folder)))
        if match and each.stat.is_file:
            yield each.path, match[1]


def scored(host: Host, adapter: Adapter, samples: list[tuple[Path, str]]) -> dict[str, Any]:
    """Ask the service for each sample; raises TaskFailed where it does not answer one."""
    missed: list[str] = []
    times: list[float] = []
    for path, label in samples:
        response = host.ask(adapter.question(*body_of(host, path)))
        told = answers.content(response)
        said = told.get("label") if isinstance(told, dict) else None
        if response.status != 200 or said is None:
            text = answers.unwanted(response, [200]) if response.status != 200 else "no `label` in the answer"
            raise TaskFailed(f"{shown(path)}: {text}", hint="are the samples such as this model takes?")
        times.append(response.elapsed_s)
        if str(said) != label:
            missed.append(f"{shown(path)}: {said}")
    right = len(samples) - len(missed)
    return {
        "accuracy": round(right / len(samples), 4),
        "right": right,
        "samples": len(samples),
        "wrong": missed[:20],
        "median_ms": answers.milliseconds(sorted(times)[len(times) // 2]),
    }
