"""The process that measures: one job as JSON on stdin, its result in a file or on stdout, as a refusal is."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runbook.console import say
from runbook.measure.refusals import Refused
from runbook.measure.telling import bench_tables


def _bench(asked: Mapping[str, Any]) -> dict[str, Any]:
    from runbook.measure.bench import bench

    return bench(asked)


def _plot(asked: Mapping[str, Any]) -> str | bytes:
    from runbook.measure.plot import bench_drawing

    drawing = bench_drawing(json.loads(Path(asked["report"]).read_text("utf-8")))
    return drawing.png() if asked["png"] else drawing.svg()


def _check(asked: Mapping[str, Any]) -> dict[str, Any]:
    from runbook.measure.graphs import check

    return check(asked)


def _compare(asked: Mapping[str, Any]) -> dict[str, Any]:
    from runbook.measure.judging import compare

    return compare(asked)


def _export(asked: Mapping[str, Any]) -> dict[str, Any]:
    from runbook.measure.exporting import export

    return export(asked)


def _optimise(asked: Mapping[str, Any]) -> dict[str, Any]:
    from runbook.measure.optimising import optimise

    return optimise(asked)


def _quantise(asked: Mapping[str, Any]) -> dict[str, Any]:
    from runbook.measure.quantising import quantise

    return quantise(asked)


JOBS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "bench": _bench,
    "check": _check,
    "compare": _compare,
    "export": _export,
    "optimize": _optimise,
    "plot": _plot,
    "quantize": _quantise,
}


def rounded(value: Any) -> Any:
    """Keep six digits of each number: no measurement has more."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value


def main() -> None:
    """Do the job: what it makes goes to the file `out`, or on stdout without one; refusals and tables go there too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that temporary folders are cleared away
    asked = json.load(sys.stdin)
    try:
        made = JOBS[asked["job"]](asked)
    except Refused as refused:
        say(json.dumps({"refused": refused.text, "hint": refused.hint}), sys.stdout)
        return
    if asked["out"]:
        table = bench_tables(made) if asked["job"] == "bench" else None
        say(json.dumps({"table": table}), sys.stdout)
        text = made if isinstance(made, str | bytes) else json.dumps(rounded(made), indent=2) + "\n"
        Path(asked["out"]).write_bytes(text.encode() if isinstance(text, str) else text)
    else:
        say(json.dumps({"made": rounded(made)}), sys.stdout)


if __name__ == "__main__":
    main()
