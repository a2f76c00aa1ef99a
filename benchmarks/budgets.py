"""What runbook promises of its speed and size, each judged by the numbers of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.contestants import SHAPES

Numbers = dict[str, Any]


@dataclass(frozen=True)
class Budget:
    """A promise: the measured value must be at least (`floor`) or at most (not `floor`) the limit."""

    promise: str
    limit: float
    measure: Callable[[Numbers], float]
    floor: bool = False
    unit: str = "times"

    def judge(self, numbers: Numbers) -> dict[str, Any] | None:
        """Give the verdict, or None where what it is about was not measured."""
        try:
            value = self.measure(numbers)
        except KeyError:
            return None
        met = value >= self.limit if self.floor else value <= self.limit
        limit = f"{'≥' if self.floor else '≤'} {self.limit:g} {self.unit}"
        return {"promise": self.promise, "limit": limit, "value": value, "unit": self.unit, "met": met}


def _faster(steps: str, peer: str) -> Callable[[Numbers], float]:
    return lambda numbers: numbers["files"][steps][peer]["seconds"] / numbers["files"][steps]["runbook"]["seconds"]


def _growth(shape: str) -> Callable[[Numbers], float]:
    def measure(numbers: Numbers) -> float:
        many, few = numbers["scale"]["10000 unchanged"], numbers["scale"]["1000 unchanged"]
        return float(many[shape]["seconds"] / few[shape]["seconds"])

    return measure


def _start(name: str, than: str) -> Callable[[Numbers], float]:
    return lambda numbers: numbers["start-up"][name]["seconds"] / numbers["start-up"][than]["seconds"]


def _beyond_libraries(numbers: Numbers) -> float:
    start = numbers["start-up"]
    return float(start["a file step, unchanged"]["seconds"] - start["the libraries alone"]["seconds"]) * 1000


def _peak(numbers: Numbers) -> float:
    return float(max(numbers["files"][f"100 {state}"]["runbook"]["memory"] for state in ("changed", "unchanged"))) / 1e6


def _than_gzip(numbers: Numbers) -> float:
    return float(
        numbers["archive"]["times"]["gzip"]["seconds"] / numbers["archive"]["times"]["runbook, the step"]["seconds"]
    )


BUDGETS = (
    Budget(
        "100 file steps, changed: faster than ansible-core", 120, _faster("100 changed", "ansible-core"), floor=True
    ),
    Budget("100 file steps, changed: faster than pyinfra", 8, _faster("100 changed", "pyinfra"), floor=True),
    Budget("1 file step, changed: faster than ansible-core", 6, _faster("1 changed", "ansible-core"), floor=True),
    Budget("1 file step, changed: faster than pyinfra", 2, _faster("1 changed", "pyinfra"), floor=True),
    *(Budget(f"10,000 unchanged steps, {shape}: longer than 1,000", 12, _growth(shape)) for shape in SHAPES),
    Budget("peak memory of 100 file steps", 80, _peak, unit="MB"),
    Budget("logs compressed, by the step: faster than gzip", 8, _than_gzip, floor=True),
    Budget("--version: longer than bare Python", 5, _start("runbook --version", "bare Python")),
    Budget("--help: longer than bare Python", 5, _start("runbook --help", "bare Python")),
    Budget("tasks: longer than bare Python", 5, _start("runbook tasks", "bare Python")),
    Budget("a play of one step, beyond the libraries", 50, _beyond_libraries, unit="ms"),
)


def verdicts(numbers: Numbers) -> Iterator[dict[str, Any]]:
    """Judge every budget that the numbers are about."""
    yield from filter(None, (budget.judge(numbers) for budget in BUDGETS))
