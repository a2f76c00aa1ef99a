"""What the measuring itself costs: its blocks beside a bare loop around `session.run`, in paired rounds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.studies.models import chain
from runbook.measure import feeds, ortengine, worker
from runbook.measure.statistics import paired_ratio

PAIRS, CALLS = 1000, 50


def overhead(folder: Path, pairs: int = PAIRS) -> dict[str, Any]:
    """Give how much longer a call takes in a block than in a bare loop, as a share, with its interval."""
    model = ortengine.load({"model": str(chain(folder / "chain.onnx")), "options": {"threads": 1}})
    feed = feeds.synthetic(model.inputs, 1)
    call, run = model.call(feed), model.session.run
    names = [one.name for one in model.session.get_outputs()]

    def bare() -> float:
        began = time.perf_counter_ns()
        for _ in range(CALLS):
            run(names, feed)
        return (time.perf_counter_ns() - began) / CALLS

    def block() -> float:
        began = time.perf_counter_ns()
        worker.block(call, CALLS)
        return (time.perf_counter_ns() - began) / CALLS

    for _ in range(500):
        call()
    both = [(bare(), block()) if number % 2 else (block(), bare())[::-1] for number in range(pairs)]
    found = paired_ratio([one for _, one in both], [one for one, _ in both])
    typical = sorted(one for one, _ in both)[pairs // 2]
    return {
        "pairs": pairs,
        "calls": CALLS,
        "microseconds": typical / 1e3,
        "share": found.ratio - 1,
        "interval": [found.low - 1, found.high - 1],
    }
