"""The process that measures: one job as JSON on stdin, its result in a file, a refusal as JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runbook.console import say
from runbook.measure.refusals import Refused
from runbook.measure.telling import bench_tables, tell


def _bench(asked: Mapping[str, Any]) -> dict[str, Any]:
    from runbook.measure.bench import bench

    report = bench(asked)
    tell(bench_tables(report))
    return report


def _plot(asked: Mapping[str, Any]) -> str:
    from runbook.measure.plot import bench_svg

    return bench_svg(json.loads(Path(asked["report"]).read_text("utf-8")))


JOBS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {"bench": _bench, "plot": _plot}


def rounded(value: Any) -> Any:
    """Keep six digits of each number: no measurement has more."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value


def main() -> None:
    """Do the job, and say nothing on stdout unless it is refused."""
    asked = json.load(sys.stdin)
    try:
        made = JOBS[asked["job"]](asked)
    except Refused as refused:
        say(json.dumps({"refused": refused.text, "hint": refused.hint}), sys.stdout)
        return
    text = made if isinstance(made, str) else json.dumps(rounded(made), indent=2) + "\n"
    Path(asked["out"]).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
