"""Writes the numbers as Markdown, between two markers of a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.budgets import verdicts

BEGIN, END = "<!-- results: written by `make bench` -->", "<!-- end of results -->"


def render(numbers: dict[str, Any]) -> str:
    """Give everything that was measured as Markdown."""
    machine, parts = numbers["machine"], []
    parts.append(
        f"Measured on {numbers['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['system']}, {machine['file_system']}, "
        f"Python {machine['python']}; load {' '.join(map(str, machine['load']))} before and "
        f"{' '.join(map(str, numbers['load_after']))} after. {', '.join(machine['versions'])}.\n"
    )
    parts += ["## Budgets\n", *_budgets(numbers)]
    parts += [
        "\n## File steps\n",
        "Seconds, median (fastest to slowest); the ratio is to runbook.\n",
        *_files(numbers["files"]),
    ]
    parts += ["\n## Many steps, runbook alone\n", *_scale(numbers["scale"])]
    parts += ["\n## Old logs, archived\n", *_archive(numbers["archive"])]
    parts += ["\n## A release\n", *_release(numbers["release"])]
    parts += ["\n## Many instances, simulated\n", *_instances(numbers["instances"])]
    parts += ["\n## Start-up\n", *_start_up(numbers["start-up"])]
    return "\n".join(parts) + "\n"


def rows(head: Iterable[str], lines: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(head)
    yield f"| {' | '.join(head)} |"
    yield f"| --- |{' ---: |' * (len(head) - 1)}"
    for line in lines:
        yield f"| {' | '.join(line)} |"


def _seconds(numbers: dict[str, float]) -> str:
    return f"{numbers['seconds']:.3f} ({numbers['fastest']:.3f} to {numbers['slowest']:.3f})"


def _budgets(numbers: dict[str, Any]) -> Iterator[str]:
    lines = (
        (
            verdict["promise"],
            verdict["limit"],
            f"{verdict['value']:.1f} {verdict['unit']}",
            "met" if verdict["met"] else "**not met**",
        )
        for verdict in verdicts(numbers)
    )
    yield from rows(("promise", "limit", "measured", ""), lines)


def _files(found: dict[str, Any]) -> Iterator[str]:
    lines = []
    for steps, by_name in found.items():
        own = by_name["runbook"]["seconds"]
        for name, one in by_name.items():
            ratio = "" if name == "runbook" else f"{one['seconds'] / own:.2f}"
            memory = f"{one['memory'] / 1e6:.0f} MB"
            lines.append((f"{steps}: {name}", _seconds(one), ratio, f"{one['cpu']:.3f}", memory, str(one["rounds"])))
    yield from rows(("steps", "seconds", "ratio", "CPU s", "peak memory", "rounds"), lines)


def _scale(found: dict[str, Any]) -> Iterator[str]:
    lines = [
        (
            f"{steps}: {shape}",
            _seconds(one),
            f"{one['seconds'] / int(steps.split()[0]) * 1000:.2f}",
            f"{one['memory'] / 1e6:.0f} MB",
        )
        for steps, by_shape in found.items()
        for shape, one in by_shape.items()
    ]
    yield from rows(("steps", "seconds", "ms a step", "peak memory"), lines)


def _archive(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['files']} files, {found['bytes'] / 1e6:.0f} MB.\n"
    lines = [
        (
            name,
            _seconds(one),
            f"{one['megabytes_per_second']:.0f}",
            f"{one['ratio']:.3f}",
            f"{one['cpu']:.2f}" if one["cpu"] else "",
        )
        for name, one in found["times"].items()
    ]
    yield from rows(("", "seconds", "MB/s", "size left", "CPU s"), lines)


def _release(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['bytes'] / 1e6:.0f} MB: weights of a model, and logs.\n"
    lines = [
        (
            name,
            _seconds(one),
            f"{found['bytes'] / 1e6 / one['seconds']:.0f}",
            f"{one['cpu']:.2f}",
            f"{one['memory'] / 1e6:.0f} MB",
        )
        for name, one in found["times"].items()
    ]
    yield from rows(("", "seconds", "MB/s", "CPU s", "peak memory"), lines)


def _instances(found: dict[str, Any]) -> Iterator[str]:
    lines = []
    for what, by_name in found.items():
        own = by_name["runbook"]["seconds"]
        for name, one in by_name.items():
            ratio = "" if name == "runbook" else f"{one['seconds'] / own:.2f}"
            each = f"{one['seconds'] / int(what.split()[0]) * 1000:.1f}"
            memory = f"{one['memory'] / 1e6:.0f} MB"
            lines.append(
                (f"{what}: {name}", _seconds(one), ratio, each, f"{one['cpu']:.2f}", memory, str(one["rounds"]))
            )
    yield from rows(("instances", "seconds", "ratio", "ms each", "CPU s", "peak memory", "rounds"), lines)


def _start_up(found: dict[str, Any]) -> Iterator[str]:
    bare = found["bare Python"]["seconds"]
    lines = [
        (name, f"{one['seconds'] * 1000:.0f}", f"{one['seconds'] / bare:.1f}", f"{one['memory'] / 1e6:.0f} MB")
        for name, one in found.items()
    ]
    yield from rows(("", "ms", "times bare Python", "peak memory"), lines)


def write_between(page: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Put the text between the markers of a page, which must have both, and leave the rest alone."""
    whole = page.read_text()
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise SystemExit(f"{page} must hold {begin} and {end}, once each")
    before, after = whole.split(begin)[0], whole.split(end)[1]
    page.write_text(f"{before}{begin}\n{text}{end}{after}")
