"""Draws a bench report as SVG: latency and throughput against the batch size, a line a candidate, intervals as bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # told apart by all eyes
WIDTH, HEIGHT, LEFT, TOP, GAP = 380, 260, 80, 50, 110
INK, FAINT = "#333333", "#dddddd"


class Point(NamedTuple):
    """A batch size with a value and its interval."""

    batch: int
    value: float
    low: float
    high: float


Lines = Mapping[str, Sequence[Point]]


def bench_svg(report: Mapping[str, Any]) -> str:
    """Draw both panels with one legend."""
    names = [one["name"] for one in report["candidates"]]
    latency = {name: _points(report, name, lambda one: one["latency_ms"]["p50"]) for name in names}
    rate = {name: _points(report, name, lambda one: one["throughput"]) for name in names}
    legend = TOP + HEIGHT + 60
    width, height = LEFT + 2 * WIDTH + GAP + 30, legend + 20 * len(names) + 10
    sizes = f'width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {sizes} font-family="sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_panel(LEFT, "Latency (p50), ms", latency),
        *_panel(LEFT + WIDTH + GAP, "Throughput, samples/s", rate),
    ]
    for number, name in enumerate(names):
        y = legend + 20 * number
        parts.append(f'<rect x="{LEFT}" y="{y - 9}" width="18" height="4" fill="{_colour(number)}"/>')
        parts.append(f'<text x="{LEFT + 26}" y="{y - 2}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _points(report: Mapping[str, Any], name: str, value: Any) -> list[Point]:
    chosen = sorted((one for one in report["results"] if one["candidate"] == name), key=lambda one: int(one["batch"]))
    return [Point(one["batch"], value(one)["value"], *value(one)["interval"]) for one in chosen]


def _panel(x: int, title: str, lines: Lines) -> list[str]:
    """Draw axes, grid and lines; the batch sizes are spread evenly, values start at zero."""
    batches = sorted({point.batch for points in lines.values() for point in points})
    top = max((max(point.high, point.value) for points in lines.values() for point in points), default=1) or 1
    marks = ticks(top)

    def at(batch: int, value: float) -> tuple[float, float]:
        across = (batches.index(batch) + 0.5) / len(batches)
        return round(x + WIDTH * across, 1), round(TOP + HEIGHT * (1 - value / marks[-1]), 1)

    parts = [f'<text x="{x}" y="{TOP - 18}" font-size="14" font-weight="bold">{title}</text>']
    for mark in marks:
        y = at(batches[0], mark)[1]
        parts.append(f'<line x1="{x}" y1="{y}" x2="{x + WIDTH}" y2="{y}" stroke="{FAINT}"/>')
        parts.append(f'<text x="{x - 8}" y="{y + 4}" text-anchor="end">{mark:g}</text>')
    for batch in batches:
        across = at(batch, 0)[0]
        parts.append(f'<text x="{across}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{batch}</text>')
    parts.append(f'<text x="{x + WIDTH / 2}" y="{TOP + HEIGHT + 36}" text-anchor="middle">batch size</text>')
    for number, points in enumerate(lines.values()):
        parts += _line([(at(p.batch, p.value), at(p.batch, p.low), at(p.batch, p.high)) for p in points], number)
    return parts


def _line(points: Sequence[tuple[tuple[float, float], ...]], number: int) -> list[str]:
    colour = _colour(number)
    path = " ".join(f"{x},{y}" for (x, y), _, _ in points)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for (x, y), (_, low), (_, high) in points:
        parts.append(f'<line x1="{x}" y1="{low}" x2="{x}" y2="{high}" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>')
    return parts


def ticks(top: float) -> list[float]:
    """Give round marks from zero to just above a value."""
    rough = top / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
