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


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(head)
    yield f"| {' | '.join(head)} |"
    yield f"| --- |{' ---: |' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _seconds(numbers: dict[str, float]) -> str:
    return f"{numbers['seconds']:.3f} ({numbers['fastest']:.3f} to {numbers['slowest']:.3f})"


def _budgets(numbers: dict[str, Any]) -> Iterator[str]:
    rows = (
        (
            verdict["promise"],
            verdict["limit"],
            f"{verdict['value']:.1f} {verdict['unit']}",
            "met" if verdict["met"] else "**not met**",
        )
        for verdict in verdicts(numbers)
    )
    yield from _rows(("promise", "limit", "measured", ""), rows)


def _files(found: dict[str, Any]) -> Iterator[str]:
    rows = []
    for steps, by_name in found.items():
        own = by_name["runbook"]["seconds"]
        for name, one in by_name.items():
            ratio = "" if name == "runbook" else f"{one['seconds'] / own:.2f}"
            memory = f"{one['memory'] / 1e6:.0f} MB"
            rows.append((f"{steps}: {name}", _seconds(one), ratio, f"{one['cpu']:.3f}", memory, str(one["rounds"])))
    yield from _rows(("steps", "seconds", "ratio", "CPU s", "peak memory", "rounds"), rows)


def _scale(found: dict[str, Any]) -> Iterator[str]:
    rows = [
        (
            f"{steps}: {shape}",
            _seconds(one),
            f"{one['seconds'] / int(steps.split()[0]) * 1000:.2f}",
            f"{one['memory'] / 1e6:.0f} MB",
        )
        for steps, by_shape in found.items()
        for shape, one in by_shape.items()
    ]
    yield from _rows(("steps", "seconds", "ms a step", "peak memory"), rows)


def _archive(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['files']} files, {found['bytes'] / 1e6:.0f} MB.\n"
    rows = [
        (
            name,
            _seconds(one),
            f"{one['megabytes_per_second']:.0f}",
            f"{one['ratio']:.3f}",
            f"{one['cpu']:.2f}" if one["cpu"] else "",
        )
        for name, one in found["times"].items()
    ]
    yield from _rows(("", "seconds", "MB/s", "size left", "CPU s"), rows)


def _release(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['bytes'] / 1e6:.0f} MB: weights of a model, and logs.\n"
    rows = [
        (
            name,
            _seconds(one),
            f"{found['bytes'] / 1e6 / one['seconds']:.0f}",
            f"{one['cpu']:.2f}",
            f"{one['memory'] / 1e6:.0f} MB",
        )
        for name, one in found["times"].items()
    ]
    yield from _rows(("", "seconds", "MB/s", "CPU s", "peak memory"), rows)


def _instances(found: dict[str, Any]) -> Iterator[str]:
    rows = []
    for what, by_name in found.items():
        own = by_name["runbook"]["seconds"]
        for name, one in by_name.items():
            ratio = "" if name == "runbook" else f"{one['seconds'] / own:.2f}"
            each = f"{one['seconds'] / int(what.split()[0]) * 1000:.1f}"
            memory = f"{one['memory'] / 1e6:.0f} MB"
            rows.append(
                (f"{what}: {name}", _seconds(one), ratio, each, f"{one['cpu']:.2f}", memory, str(one["rounds"]))
            )
    yield from _rows(("instances", "seconds", "ratio", "ms each", "CPU s", "peak memory", "rounds"), rows)


def _start_up(found: dict[str, Any]) -> Iterator[str]:
    bare = found["bare Python"]["seconds"]
    rows = [
        (name, f"{one['seconds'] * 1000:.0f}", f"{one['seconds'] / bare:.1f}", f"{one['memory'] / 1e6:.0f} MB")
        for name, one in found.items()
    ]
    yield from _rows(("", "ms", "times bare Python", "peak memory"), rows)


def write_between(page: Path, text: str) -> None:
    """Put the text between the markers of a page, which must have both, and leave the rest alone."""
    whole = page.read_text()
    if whole.count(BEGIN) != 1 or whole.count(END) != 1:
        raise SystemExit(f"{page} must hold {BEGIN} and {END}, once each")
    before, after = whole.split(BEGIN)[0], whole.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{text}{END}{after}")
