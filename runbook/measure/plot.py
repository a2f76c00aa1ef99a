"""Draws a bench report: latency and throughput against the batch size, a line a candidate, intervals as bars."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from runbook.measure.drawing import INK, Dot, Drawing, Line, Words
from runbook.measure.telling import inputs_of

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # told apart by all eyes
WIDTH, HEIGHT, LEFT, TOP, GAP, ROW = 400, 280, 70, 96, 80, 20
MOST_NAMED = 3  # models in the title

Shape = Line | Dot | Words


class Point(NamedTuple):
    """A batch size with a value and its interval."""

    batch: int
    value: float
    low: float
    high: float


class Panel(NamedTuple):
    """What one half of the picture shows; `log` says that equal steps are equal factors."""

    x: float
    title: str
    lines: Sequence[Sequence[Point]]
    dashed: Sequence[Sequence[Point]]
    log: bool
    limit: float | None = None


def bench_drawing(report: Mapping[str, Any]) -> Drawing:
    """Draw both halves with one legend."""
    names = [one["name"] for one in report["candidates"]]

    def each(value: Callable[[Any], Any]) -> list[list[Point]]:
        return [_points(report, name, value) for name in names]

    target = next((one["target_ms"] for one in report["at_target"]), None)
    median, late = each(lambda one: one["latency_ms"]["p50"]), each(lambda one: one["latency_ms"]["p95"])
    rate = each(lambda one: one["throughput"])
    below = TOP + HEIGHT + 62
    about = report["environment"]
    shapes: list[Shape] = [
        Words((LEFT, 26), _title(report), size=16, bold=True),
        Words((LEFT, 48), f"{about['cpu']}, {about['cpus']} cores, {report['created']}{_busy(report)}"),
        *_panel(Panel(LEFT, "Latency, ms, logarithmic (p50; dashed: p95)", median, late, True, target)),
        *_panel(Panel(LEFT + WIDTH + GAP, "Throughput, samples/s", rate, (), False)),
    ]
    for number, words in enumerate(_legend(report)):
        y = below + ROW * number
        shapes += [Line(((LEFT, y - 4), (LEFT + 18, y - 4)), _colour(number), 3), Words((LEFT + 26, y), words)]
    end = below + ROW * len(names)
    shapes.append(
        Words((LEFT, end), "bars: 95 % intervals" + (f"; dotted: the target, {target:g} ms" if target else ""))
    )
    return Drawing(LEFT + 2 * WIDTH + GAP + 30, end + 16, shapes)


def _title(report: Mapping[str, Any]) -> str:
    """Name the models by their files, and what they were given."""
    files = list(dict.fromkeys(PurePath(one["model"]).name for one in report["candidates"]))
    shown = ", ".join(files[:MOST_NAMED]) + (f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else "")
    return f"{shown}; inputs: {inputs_of(report)}"


def _legend(report: Mapping[str, Any]) -> list[str]:
    """Give each candidate's words: its name, and its file where that is not in it."""
    both = [(one["name"], PurePath(one["model"]).name) for one in report["candidates"]]
    return [name if file in name else f"{name}: {file}" for name, file in both]


def _busy(report: Mapping[str, Any]) -> str:
    return "; the machine was busy" if report["noise"]["noisy"] else ""


def _points(report: Mapping[str, Any], name: str, value: Callable[[Any], Any]) -> list[Point]:
    chosen = sorted((one for one in report["results"] if one["candidate"] == name), key=lambda one: int(one["batch"]))
    return [Point(one["batch"], value(one)["value"], *value(one)["interval"]) for one in chosen]


def _panel(panel: Panel) -> Iterator[Shape]:
    """Draw axes, grid and lines; the batch sizes are spread evenly."""
    points = [point for line in (*panel.lines, *panel.dashed) for point in line]
    batches = sorted({point.batch for point in points})
    values = [value for point in points for value in (point.value, point.low, point.high)]
    marks = (log_ticks if panel.log else ticks)(min(values), max(values))
    x, bottom = panel.x, TOP + HEIGHT

    def up(value: float) -> float:
        if panel.log:
            part = math.log(max(value, marks[0]) / marks[0]) / math.log(marks[-1] / marks[0])
        else:
            part = value / marks[-1]
        return round(bottom - HEIGHT * part, 1)

    def along(batch: int) -> float:
        return round(x + WIDTH * (batches.index(batch) + 0.5) / len(batches), 1)

    yield Words((x, TOP - 18), panel.title, size=14, bold=True)
    for mark in marks:
        yield Line(((x, up(mark)), (x + WIDTH, up(mark))))
        yield Words((x - 8, up(mark) + 4), f"{mark:,.10g}", "end")
    yield Line(((x, TOP), (x, bottom), (x + WIDTH, bottom)), INK)
    for batch in batches:
        yield Line(((along(batch), bottom), (along(batch), bottom + 4)), INK)
        yield Words((along(batch), bottom + 18), f"{batch}", "middle")
    yield Words((x + WIDTH / 2, bottom + 36), "batch size (samples at once)", "middle")
    if panel.limit is not None and marks[0] <= panel.limit <= marks[-1]:
        yield Line(((x, up(panel.limit)), (x + WIDTH, up(panel.limit))), INK, 1, 2)
    for number, line in enumerate(panel.dashed):
        yield Line([(along(point.batch), up(point.value)) for point in line], _colour(number), 1, 5)
    for number, line in enumerate(panel.lines):
        yield from _line([((along(p.batch), up(p.value)), up(p.low), up(p.high)) for p in line], _colour(number))


def _line(points: Sequence[tuple[tuple[float, float], float, float]], colour: str) -> Iterator[Shape]:
    yield Line([at for at, _, _ in points], colour, 2)
    for (x, y), low, high in points:
        yield Line(((x, low), (x, high)), colour, 1.5)
        yield from (Line(((x - 4, end), (x + 4, end)), colour, 1.5) for end in (low, high))
        yield Dot((x, y), colour)


def ticks(low: float, top: float) -> list[float]:  # noqa: ARG001 - it begins at zero, whatever is the least
    """Give round marks from zero to just above a value."""
    rough = (top or 1) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [step * number for number in range(math.ceil((top or 1) / step - 1e-9) + 1)]


def log_ticks(low: float, top: float) -> list[float]:
    """Give marks of 1, 2, 5, 10 … from just below the least value to just above the greatest; both above zero."""
    first = math.floor(math.log10(low))
    marks = (10.0**power * factor for power in itertools.count(first) for factor in (1, 2, 5))
    found: list[float] = []
    for mark in marks:
        found = [*found, mark] if mark > low else [mark]
        if mark >= top and len(found) > 1:
            return found
    return found


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
