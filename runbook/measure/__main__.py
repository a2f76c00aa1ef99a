"""The process that measures: one job as JSON on stdin, its result in a file or on stdout, as a refusal is."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runbook.console import say
from runbook.measure.refusals import Refused, of_machine
from runbook.measure.telling import bench_tables


class Unwritten(Refused):
    """What was made cannot be kept; `table` is what can be told of it."""

    def __init__(self, text: str, hint: str | None, table: str | None) -> None:
        super().__init__(text, hint)
        self.table = table


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
        told = _done(asked)
    except Refused as refused:
        told = {"refused": refused.text, "hint": refused.hint, "table": getattr(refused, "table", None)}
    except (OSError, MemoryError) as error:
        traceback.print_exc()
        found = of_machine(error)
        told = {"refused": found.text, "hint": found.hint}
    say(json.dumps(told), sys.stdout)


def _done(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Do the job, and give what is to be said of it."""
    made = JOBS[asked["job"]](asked)
    if not asked["out"]:
        return {"made": rounded(made)}
    table = _table(asked["job"], made)
    text = made if isinstance(made, str | bytes) else json.dumps(rounded(made), indent=2) + "\n"
    out = Path(asked["out"])
    try:
        out.write_bytes(text.encode() if isinstance(text, str) else text)
    except OSError as error:
        from runbook.host.refusals import refusal

        failed = refusal("write what was made to the folder", out.parent, error)
        raise Unwritten(failed.message, failed.hint, table) from error
    return {"table": table}


def _table(job: str, made: Any) -> str | None:
    if job == "optimize":
        from runbook.measure.optimising import tables

        return tables(made)
    return bench_tables(made) if job == "bench" else None


if __name__ == "__main__":
    main()
