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


def _instances(what: str) -> Callable[[Numbers], float]:
    return lambda numbers: float(numbers["instances"][what]["runbook"]["seconds"])


def _per_instance(measure: str) -> Callable[[Numbers], float]:
    """Give what a thousand take, by what a hundred do, in the worse of the two cases."""

    def grown(numbers: Numbers) -> float:
        found = numbers["instances"]
        return max(
            float(found[f"1000 {what}"]["runbook"][measure] / found[f"100 {what}"]["runbook"][measure])
            for what in ("checked", "reloaded")
        )

    return grown


def _beside_uri(numbers: Numbers) -> float:
    found = numbers["instances"]["100 checked"]
    return float(found["ansible-core"]["seconds"] / found["runbook"]["seconds"])


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


def _than_tar(numbers: Numbers) -> float:
    times = numbers["release"]["times"]
    return float(times["tar and sha256sum"]["seconds"] / times["runbook"]["seconds"])


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
    Budget("a release of 1 GB built: faster than tar czf and sha256sum", 8, _than_tar, floor=True),
    Budget("1,000 simulated instances checked", 10, _instances("1000 checked"), unit="s"),
    Budget("1,000 simulated instances reloaded, a tenth at a time", 60, _instances("1000 reloaded"), unit="s"),
    Budget("1,000 simulated instances: longer than 100", 12, _per_instance("seconds")),
    Budget("1,000 simulated instances: more memory than 100", 10, _per_instance("memory")),
    Budget("100 simulated instances checked: faster than ansible-core", 20, _beside_uri, floor=True),
    Budget("--version: longer than bare Python", 5, _start("runbook --version", "bare Python")),
    Budget("--help: longer than bare Python", 5, _start("runbook --help", "bare Python")),
    Budget("tasks: longer than bare Python", 5, _start("runbook tasks", "bare Python")),
    Budget("a play of one step, beyond the libraries", 50, _beyond_libraries, unit="ms"),
)


def verdicts(numbers: Numbers) -> Iterator[dict[str, Any]]:
    """Judge every budget that the numbers are about."""
    yield from filter(None, (budget.judge(numbers) for budget in BUDGETS))
