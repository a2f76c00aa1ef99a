"""What is told while a measurement goes on, and its results as tables for people."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from runbook.console import say


def tell(text: str) -> None:
    """Say how far it is, on stderr: the run shows and records it as the step's output."""
    say(text, sys.stderr)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Draw a table in plain characters, as wide as it needs to be."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=200, markup=False, highlight=False, emoji=False, color_system=None).print(drawn)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def bench_tables(report: Mapping[str, Any]) -> str:
    """Draw a bench report: results, what is within the target, candidates and inputs, comparisons, notes."""
    columns = ("candidate", "batch", "mean ms", "p50", "p90", "p95", "p99", "samples/s", "CPU time/sample")
    rows = [
        [
            one["candidate"],
            str(one["batch"]),
            *(f"{one['latency_ms'][name]['value']:.3f}" for name in ("mean", "p50", "p90", "p95", "p99")),
            f"{one['throughput']['value']:.1f}",
            short_time(one["cpu_seconds_per_sample"]),
        ]
        for one in report["results"]
    ]
    parts = [table("Latency and throughput", columns, rows)]
    if report["at_target"]:
        parts.append(_target_table(report["at_target"]))
    parts += [_candidate_table(report["candidates"]), *_files(report), f"inputs: {inputs_of(report)}"]
    if report["comparisons"]:
        parts.append(compared_table(report["comparisons"], report["settings"]["margin"]))
    return "\n".join([*parts, *(f"note: {note}" for note in report["notes"])])


def short_time(seconds: float) -> str:
    """Write a time in the unit that makes it short: `5.2 µs`, `13 ms`."""
    factor, unit = next((pair for pair in ((1, "s"), (1e3, "ms")) if seconds * pair[0] >= 1), (1e6, "µs"))
    return f"{seconds * factor:.3g} {unit}"


def inputs_of(report: Mapping[str, Any]) -> str:
    """Say what the models of a bench report were given."""
    count = report["settings"]["images"]
    return f"{count} image{'s' * (count != 1)}" if count else "synthetic"


def _files(report: Mapping[str, Any]) -> list[str]:
    return [f"{one['name']}: {one['model']}" for one in report["candidates"]]


def option_words(options: Mapping[str, Any]) -> str:
    """Say session options in a few words; what is as usual is left out, but not the level."""
    words = [f"{name} {value}" for name, value in options.items() if name in {"level", "threads"} and value]
    words += [name for name in ("spinning", "parallel", "cuda_graph") if options.get(name)]
    words += ["no arena"] if options.get("arena") is False else []
    words += [f"{options['inter_threads']} inter threads"] if options.get("inter_threads") else []
    words += [] if options.get("workspace") is None else [f"workspace {options['workspace']:d}"]
    words += [f"{key} {value}" for key, value in (options.get("config") or {}).items()]
    return ", ".join(words)


def _ran_on(providers: Mapping[str, Sequence[str]]) -> str:
    given = ",".join(name.removesuffix("ExecutionProvider") for name in providers["given"])
    return f"{given}, not {','.join(providers['lacking'])}" if providers["lacking"] else given


def _target_table(found: Sequence[Mapping[str, Any]]) -> str:
    columns = ("candidate", "batch", "samples/s", "p95 ms", "95 % interval")
    rows = [
        [one["candidate"], str(one["batch"]), f"{one['throughput']:.1f}", *_estimate(one["p95_ms"])]
        if one["batch"]
        else [one["candidate"], "none", "", "", ""]
        for one in found
    ]
    return table(f"The most within {found[0]['target_ms']:g} ms", columns, rows)


def _estimate(found: Mapping[str, Any]) -> list[str]:
    low, high = found["interval"]
    return [f"{found['value']:.3f}", f"{low:.3f} to {high:.3f}"]


def _candidate_table(candidates: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            one["name"],
            one["engine"],
            _ran_on(one["providers"]),
            option_words(one["options"]),
            f"{one['load_seconds'] * 1e3:.0f}",
            f"{one['peak_bytes'] / 1e6:.0f}",
        ]
        for one in candidates
    ]
    return table("Candidates", ("candidate", "engine", "ran on", "options", "load ms", "peak MB"), rows)


def compared_table(comparisons: Sequence[Mapping[str, Any]], margin: float) -> str:
    """Draw ratios and verdicts; a difference of less than the margin, a share, is none."""
    columns = ("b against a", "batch", "b is so many times as fast", "95 % interval", "verdict")
    rows = [
        [
            f"{one['b']} / {one['a']}",
            str(one["batch"]),
            f"{one['ratio']:.3f}",
            f"{one['interval'][0]:.3f} to {one['interval'][1]:.3f}",
            one["verdict"] + (" (noisy)" if one["noisy"] else ""),
        ]
        for one in comparisons
    ]
    return table(f"Compared in paired rounds; less than {100 * margin:g} % is no difference", columns, rows)
