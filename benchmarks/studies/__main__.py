"""The command `python -m benchmarks.studies`: asks whether the answers are right, and writes what came out."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.studies import peers as others
from benchmarks.studies.burners import burning
from benchmarks.studies.overhead import overhead
from benchmarks.studies.pages import written
from benchmarks.studies.search import study
from benchmarks.studies.verdicts import verdicts
from runbook.measure.machine import fingerprint, moment, noise

STORED = Path(__file__).parents[1] / "results" / "studies.json"
RUNS = {"verdicts": 20, "search": 10, "overhead": 1, "peers": 10, "tuners": 3}
# Beside burners the overhead says nothing: whoever makes a system call is the one who is set aside.
WEATHERS = {"overhead": (0,)}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(tuple(RUNS)))
@click.option("--runs", type=int, help="How often; without it as often as the promise says.")
@click.option(
    "--burners",
    type=int,
    multiple=True,
    help="Processes that spin beside it; 0, and where that asks anything 2, without it.",
)
@click.option("--model", "models", multiple=True, help="Search the options of these models only.")
@click.option("--peers", "python", type=click.Path(path_type=Path, exists=True), help="The Python that has the peers.")
@click.option("--stored", type=click.Path(path_type=Path), default=STORED, help="Where the results are kept.")
def main(
    *,
    names: tuple[str, ...],
    runs: int | None,
    burners: tuple[int, ...],
    models: tuple[str, ...],
    python: Path | None,
    stored: Path,
) -> None:
    """Study how often answers are right, quiet and beside burners; the results of other studies are kept."""
    numbers: dict[str, Any] = json.loads(stored.read_text()) if stored.exists() else {}
    for name in names or [name for name in RUNS if python or name not in {"peers", "tuners"}]:
        for count in burners or WEATHERS.get(name, (0, 2)):
            click.echo(f"{name}, {count} burners, {datetime.now(UTC):%H:%M:%S} ...")
            with tempfile.TemporaryDirectory(prefix="runbook-studies-") as folder, burning(count):
                before = moment()
                found = studied(name, Path(folder), runs or RUNS[name], models, python and python.absolute())
                told = {"found": found, "noise": noise(before, moment(), 0, 0), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
            earlier = numbers.setdefault(name, {}).get(str(count))
            if models and earlier:
                told["found"] = earlier["found"] | found
            numbers[name][str(count)] = told | {"cores": os.cpu_count(), "environment": fingerprint()}
            stored.parent.mkdir(exist_ok=True)
            stored.write_text(json.dumps(numbers, indent=1) + "\n")
    if stored == STORED:
        written(numbers)


def studied(name: str, folder: Path, runs: int, models: tuple[str, ...], python: Path | None) -> Any:
    """Run one study."""
    if name in {"peers", "tuners"} and python is None:
        raise click.UsageError("say where the peers are: --peers /opt/peers/bin/python")
    asked: dict[str, Callable[[], Any]] = {
        "verdicts": lambda: verdicts(folder, runs),
        "search": lambda: study(folder, runs, models),
        "overhead": lambda: overhead(folder),
        "peers": lambda: others.pairs(folder, python, runs, max(1, runs // 2)),  # type: ignore[arg-type]
        "tuners": lambda: others.tuned(others.tuners(folder, python, runs)),  # type: ignore[arg-type]
    }
    return asked[name]()


if __name__ == "__main__":
    main()
