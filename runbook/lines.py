"""What an operator reads, as lines: of a step, its changes, its failure, and of the run as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from runbook import events as ev
from runbook.report import COUNTED, Counts
from runbook.units import Duration
from runbook.unknown import Unknown

Line = tuple[str, str]
DEEP, DEEPER = " " * 6, " " * 8
TAIL = 20
MANY = 20  # hosts of a run that are told one by one
MOST = 50  # changes of a step that are shown without -v
DATA = 2000
CONTROL = [*range(9), *range(10, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
VISIBLE = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in CONTROL} | {10: "\\n", 13: "\\r"}
MODES = {"check": "check: nothing is written", "dry-run": "dry run: nothing is run"}


def clean(text: str) -> str:
    """Show control characters instead of sending them: a file's name may hold a newline, an output an escape."""
    return text.translate(VISIBLE)


def run_line(event: ev.RunStarted) -> Line:
    return f"{event.playbook}: run {event.run_id}" + (f" ({MODES[event.mode]})" if event.mode in MODES else ""), "head"


def play_lines(event: ev.PlayStarted) -> Iterator[Line]:
    yield "", ""
    yield f"play {event.name!r} on {listed(event.hosts, 5) or 'no host'}", "head"


def listed(names: Sequence[str], most: int) -> str:
    """Name so many at most: `a, b and 3 more`."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def step_lines(result: ev.Result, *, mode: ev.Mode, verbosity: int, diff: bool, host: bool) -> Iterator[Line]:
    """Tell of a finished step: one line, and under it what changed, what failed and why."""
    step = result.step
    where = f" on {step.host}" if host else ""
    name = f"{step.index:>3} {word_of(result, mode):<12} {step.name}{where}"
    yield f"{name}{_aside(result)}", _style(result)
    items = result.items or []
    for item in items:
        if item.status != "ok" or verbosity > 0 or said_of(item):
            yield f"{DEEP}{word_of(item, mode):<12} {item.item}{_aside(item)}", _style(item)
            yield from _below(item, verbosity=verbosity, diff=diff)
    if not items or _unlike(result, items):
        yield from _below(result, verbosity=verbosity, diff=diff, changes=not items)
    if result.status in {"failed", "unreachable"}:
        yield f"{DEEP}at: {step.where}", "failed"


def _unlike(result: ev.Result, items: list[ev.Result]) -> bool:
    """Say whether the step's own failure is news after those of its items."""
    return result.status == "failed" and not any(item.status == "failed" for item in items)


def word_of(result: ev.Result, mode: ev.Mode) -> str:
    """Give the word for what became of a step; a failure that counts is in capitals."""
    if result.status == "failed":
        return "FAILED" if not (result.ignored or result.rescued) else "failed"
    if result.status == "changed" and mode == "check" and not result.forced:
        return "would change"
    return "UNREACHABLE" if result.status == "unreachable" else result.status


def _style(result: ev.Result) -> str:
    return "forgiven" if result.ignored or result.rescued else result.status


def _aside(result: ev.Result) -> str:
    """Give what stands behind a step's name."""
    count = len(result.changes) or sum(len(item.changes) for item in result.items or [])
    told = [
        duration(result.duration_s),
        f"{count} change{'s' * (count != 1)}" if count else "",
        f"{result.attempts} attempts" if result.attempts > 1 else "",
        "ignored" if result.ignored else "rescued" if result.rescued else "",
        "ran for real" if result.forced else "",
        result.reason or "" if result.status == "skipped" else "",
    ]
    text = ", ".join(part for part in told if part)
    return f"  ({text})" if text else ""


def _below(result: ev.Result, *, verbosity: int, diff: bool, changes: bool = True) -> Iterator[Line]:
    bad = result.status in {"failed", "unreachable"}
    if result.error:
        yield from _labelled("error", result.error.message, "failed")
        yield from _labelled("hint", result.error.hint or "", "hint")
    if result.status == "unsure":
        yield from _labelled("because", result.reason or "", "unsure")
        yield from _labelled("as things are", str((result.data or {}).get("as_things_are", "")), "dim")
    if bad:
        yield from _tail(result.data or {})
    shown = result.changes if changes else []
    most = len(shown) if verbosity > 0 or len(shown) <= MOST + 1 else MOST
    for change in shown[:most]:
        yield from _change(change, told=bad, diff=diff)
    if most < len(shown):
        yield f"{DEEP}... and {len(shown) - most:,} more changes; the report has them all, and -v shows them", "dim"
    if not bad and (said := said_of(result)):
        yield from _labelled("", said, "")
    if verbosity > 0 and result.data:
        told = {name: value for name, value in result.data.items() if not _shown(name, value, bad=bad)}
        yield from _labelled("raised", str(told.pop("exception", "")), "dim")
        yield from _labelled("data", json.dumps(_plain(told), default=str)[:DATA], "dim")
    if verbosity > 0 and result.notified:
        yield from _labelled("notified", ", ".join(result.notified), "dim")


def _shown(name: str, value: Any, *, bad: bool) -> bool:
    """Say whether it is a text of many lines, as a table, that is on the screen already."""
    return name == ("table" if bad else "msg") and isinstance(value, str) and "\n" in value


def _change(change: dict[str, Any], *, told: bool, diff: bool) -> Iterator[Line]:
    done = {True: "done: ", False: "not done: ", None: "perhaps done: "}[change.get("applied", False)] if told else ""
    detail = f" ({change['detail']})" if change.get("detail") else ""
    yield f"{DEEP}{done}{change['kind']} {change['target']}{detail}", "change"
    for line in (change.get("diff") or "").splitlines() if diff else ():
        yield f"{DEEPER}{line}", {"+": "added", "-": "removed"}.get(line[:1], "dim")


def _tail(data: dict[str, Any]) -> Iterator[Line]:
    """Show the table of what was found to be wrong, and the end of what a failed process said."""
    table = data.get("table")
    yield from _labelled("", table if isinstance(table, str) else "", "")
    for name in ("stdout", "stderr"):
        lines = str(data.get(name) or "").splitlines()
        if lines:
            left = f" (the last {TAIL} of {len(lines)} lines)" if len(lines) > TAIL else ""
            yield f"{DEEP}{name}{left}:", "dim"
            yield from ((f"{DEEPER}| {line}", "dim") for line in lines[-TAIL:])


def said_of(result: ev.Result) -> str:
    """Give what a step wants to be shown: what a directive says, or the `msg` of what the task returned."""
    if result.reason is not None and result.status in {"ok", "changed"}:
        return result.reason
    said = (result.data or {}).get("msg") if result.items is None and result.status != "skipped" else None
    if said is None or isinstance(said, str | Unknown):  # what only a run can tell is not said in a check
        return said if isinstance(said, str) else ""
    return json.dumps(_plain(said), indent=2, ensure_ascii=False)


def _plain(value: Any) -> Any:
    from runbook.wire import plain

    return plain(value)


def _labelled(label: str, text: str, style: str) -> Iterator[Line]:
    """Give a text of one or more lines under a step; the lines after the first are set under it."""
    start = f"{label}: " if label else ""
    for number, line in enumerate(text.splitlines()):
        yield f"{DEEP}{' ' * len(start) if number else start}{line}", style


def recap_lines(
    counts: Counts, finished: ev.RunFinished, mode: ev.Mode, report: str | None, failed: Iterable[ev.Result] = ()
) -> Iterator[Line]:
    """Tell how it ended: the counts of every host, the status, the report's path on a line of its own.

    Of many hosts those with the same counts are told together, and where they `failed`, each by its name.
    """
    yield "", ""
    if len(counts.hosts) > MANY:
        yield from _folded(counts, failed)
    else:
        width = max(map(len, counts.hosts), default=0)
        yield from ((f"{host:<{width}}  {tally(count)}", _weight(count)) for host, count in counts.hosts.items())
    told = f"{finished.status}, exit {finished.exit_code}" if finished.exit_code else finished.status
    took = duration(finished.duration_s or 0)
    style = "ok" if finished.status == "ok" else "failed"
    yield told + (f", in {took}" if took else "") + (f" ({MODES[mode]})" if mode in MODES else ""), style
    if report:
        yield f"report: {report}", ""


def _folded(counts: Counts, failed: Iterable[ev.Result]) -> Iterator[Line]:
    places: dict[tuple[int, str], list[ev.Result]] = {}
    for result in failed:
        places.setdefault((result.step.index, result.step.name), []).append(result)
    for (index, name), results in sorted(places.items()):
        error = results[0].error
        why = f": {error.message.splitlines()[0]}" if len(results) == 1 and error and error.message else ""
        yield f"failed at {index} {name} on {', '.join(result.step.host for result in results)}{why}", "failed"
    alike: dict[str, list[str]] = {}
    for host, count in counts.hosts.items():
        alike.setdefault(tally(count), []).append(host)
    for told, hosts in sorted(alike.items(), key=lambda pair: len(pair[1])):
        who = f"{len(hosts):,} hosts" if len(hosts) > 1 else hosts[0]
        yield f"{who}  {told}", _weight(counts.hosts[hosts[0]])


def _weight(count: dict[str, int]) -> str:
    return "failed" if count["failed"] or count["unreachable"] else "changed" if count["changed"] else "ok"


def tally(count: dict[str, int]) -> str:
    """Write counts, those that are not zero: `ok 3, changed 1; ignored 1`."""
    parts = [[f"{name} {count[name]}" for name in names if count.get(name)] for names in (COUNTED[:6], COUNTED[6:])]
    return "; ".join(", ".join(part) for part in parts if part) or "nothing was run"


def duration(seconds: float) -> str:
    if seconds < 0.0005:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 60 else str(Duration(round(seconds)))


def table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Set rows in columns; the last column is as long as it is."""
    kept = [tuple(clean(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
    for row in kept:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
