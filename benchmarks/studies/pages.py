"""Writes what the studies found as Markdown, between two markers of two pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.studies.search import near
from benchmarks.table import rows, write_between

BEGIN, END = "<!-- studies: written by `make studies` -->", "<!-- end of studies -->"
DOCS = Path(__file__).parents[2] / "docs"
WEATHER = {"0": "no burners", "2": "two burners"}

Numbers = Mapping[str, Any]


def written(numbers: Numbers) -> None:
    """Write the pages."""
    write_between(DOCS / "PERFORMANCE.md", "\n".join(trusted(numbers)) + "\n", BEGIN, END)
    write_between(DOCS / "benchmarks.md", "\n".join(beside(numbers)) + "\n", BEGIN, END)


def trusted(numbers: Numbers) -> Iterator[str]:
    """Give how often the answers were right, and what the measuring costs."""
    if told := next(iter(numbers.get("verdicts", {}).values()), None):
        machine = told["environment"]
        yield f"{machine['cpu']}, {told['cores']} cores, ONNX Runtime {machine['packages']['onnxruntime']}, {told['date']}.\n"
        head = ("pair", "weather", "right", "ratios", "the interval alone held 1")
        yield from rows(head, _verdicts(numbers["verdicts"]))
    if "search" in numbers:
        yield ""
        head = ("model", "weather", "within 3 %, for a third of the calls", "same winner", "slowest", "calls")
        yield from rows(head, _searches(numbers["search"]))
    if "overhead" in numbers:
        yield ""
        yield from rows(("a call of", "weather", "longer in a block", "95 % interval"), _overhead(numbers["overhead"]))


def _weather(by_burners: Numbers) -> Iterator[tuple[str, Numbers]]:
    for burners, told in sorted(by_burners.items()):
        yield WEATHER.get(burners, f"{burners} burners"), told["found"]


def _verdicts(by_burners: Numbers) -> Iterator[tuple[str, ...]]:
    for weather, found in _weather(by_burners):
        for pair, one in found.items():
            held = f"{one['holds_one']} of {one['runs']}" if pair == "the same twice" else ""
            ratios = f"{one['lowest']:.3f} to {one['highest']:.3f}"
            yield pair, weather, f"{one['right']} of {one['runs']}", ratios, held


def _searches(by_burners: Numbers) -> Iterator[tuple[str, ...]]:
    for weather, found in _weather(by_burners):
        for model, one in found.items():
            count, (low, high) = len(one["runs"]), one["shares"]
            good = sum(near(run) for run in one["runs"])
            calls = f"{low:.0%} to {high:.0%}"
            yield model, weather, f"{good} of {count}", f"{one['same']} of {count}", f"{one['slowest']:.3f}", calls


def _overhead(by_burners: Numbers) -> Iterator[tuple[str, ...]]:
    for weather, one in _weather(by_burners):
        low, high = one["interval"]
        yield f"{one['microseconds']:.0f} µs", weather, f"{one['share']:+.2%}", f"{low:+.2%} to {high:+.2%}"


def beside(numbers: Numbers) -> Iterator[str]:
    """Give what the peers said to the same questions."""
    if "peers" in numbers:
        head = ("tool", "weather", "the same twice: ratios", "told apart", "1.3 times the work: ratios", "not found")
        yield from rows(head, _peers(numbers["peers"]))
    if "tuners" in numbers:
        yield ""
        yield from rows(("model", "weather", "ort.optimize", "Olive", "ratio", "interval"), _tuners(numbers["tuners"]))


def _peers(by_burners: Numbers) -> Iterator[tuple[str, ...]]:
    for weather, found in _weather(by_burners):
        for tool, one in found.items():
            same, more = (f"{low:.2f} to {high:.2f}" for low, high in (one["same"], one["more"]))
            count = one["runs"]
            yield (
                tool,
                weather,
                same,
                f"{one['same_told_apart']} of {count}",
                more,
                f"{one['more_not_found']} of {count}",
            )


def _tuners(by_burners: Numbers) -> Iterator[tuple[str, ...]]:
    for weather, found in _weather(by_burners):
        for one in found["runs"]:
            low, high = one["interval"]
            ratio = f"{one['ratio']:.2f}"
            yield one["model"], weather, one["runbook"], one["olive"], ratio, f"{low:.2f} to {high:.2f}"
