"""The space on the file systems: how much there is, and whether it is enough."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from runbook.changes import Change, after
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.plans import fill
from runbook.host.refusals import shown
from runbook.task import Params, task
from runbook.units import Percent, Size, human_bytes


class Report(Params):
    """Which file systems, where the report goes, and how much must be free.

    `dest` is a folder if it is one, or has no suffix: the report is then `disk_YYYYMMDD.txt` in it, by the date in UTC.
    """

    paths: tuple[Path, ...] = Field((Path("/"),), description="mount points, or paths on them", min_length=1)
    dest: Path | None = Field(None, description="a file or folder; a `.json` with the bytes is written beside it")
    min_free: Size | Percent | None = Field(None, description="as `10GB` or `5%`; with less free space the step fails")


@task(
    returns={
        "path": "the report, if one was asked for",
        "file_systems": "for each: mount, paths, total, used, free (bytes), used_percent",
        "enough": "true; a step that finds less than `min_free` fails",
    },
)
def report(want: Report, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Write down the disk usage, as `df -h` shows it and as JSON, and fail if too little is free.

    The report is written once a day, and again if it lists other file systems; the gate looks every time. It fails the
    step after the report is written, and so does a path that is not there. What is yet to be deleted counts as used in
    check mode.
    """
    systems, missing = _measure(host, want.paths)
    path = None
    if want.dest is not None:
        path = _destination(host, want.dest)
        at = f"{host.now:%Y-%m-%dT%H:%M:%SZ}"
        content = {"schema": "runbook.disk/1", "at": at, "file_systems": systems, "missing": missing}
        if not _is_told(host, path, content):
            text = _table(systems) + "".join(f"{shown(name)}: not there\n" for name in missing)
            yield from fill(host, path, text.encode(), None, parents=True)
            beside = f"{json.dumps(content, indent=2)}\n".encode()
            yield from fill(host, path.with_suffix(".json"), beside, None, parents=True)
    data = {"path": str(path) if path else None, "file_systems": systems}
    return {**data, "enough": after(None, lambda _: _judge(systems, missing, want.min_free, data))}


def _destination(host: Host, dest: Path) -> Path:
    there = host.stat(dest)
    if (there is not None and there.is_folder) or (there is None and not dest.suffix):
        return dest / f"disk_{host.now:%Y%m%d}.txt"
    if dest.suffix == ".json":
        raise TaskFailed(f"{shown(dest)} is where the JSON goes", hint="write a name that ends in .txt, or a folder")
    return dest


def _is_told(host: Host, path: Path, content: Mapping[str, Any]) -> bool:
    """Say whether today's report of these file systems is there."""
    beside = path.with_suffix(".json")
    if host.stat(path) is None or host.stat(beside) is None:
        return False
    try:
        said = json.loads(host.read(beside))
        same = [each["paths"] for each in said["file_systems"]] == [each["paths"] for each in content["file_systems"]]
        return same and bool(said["missing"] == content["missing"] and said["at"][:10] == content["at"][:10])
    except (ValueError, TypeError, KeyError):
        return False  # not a report of ours, or of another version


def _measure(host: Host, paths: Sequence[Path]) -> tuple[list[dict[str, Any]], list[str]]:
    """Give each file system once, with the paths on it, in the order asked for; and the paths that are not there."""
    found: dict[object, dict[str, Any]] = {}
    missing: list[str] = []
    mounts = sorted(host.mounts(), key=lambda mount: len(mount.parts), reverse=True)
    for path in paths:
        there = host.stat(path)
        if there is None:
            missing.append(str(path))
            continue
        real = host.resolve(path)
        mount = next((mount for mount in mounts if real.is_relative_to(mount)), Path(real.anchor))
        top = host.stat(mount)
        key = (top.device if top else 0) or mount
        if key in found:
            found[key]["paths"].append(str(path))
            continue
        usage = host.usage(path)
        whole = usage.used + usage.free  # as df: what is kept back for root is not counted
        found[key] = {
            "mount": str(mount),
            "paths": [str(path)],
            "total": usage.total,
            "used": usage.used,
            "free": usage.free,
            "used_percent": math.ceil(100 * usage.used / whole) if whole else 0,
        }
    return list(found.values()), missing


def _table(systems: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{'Size':>6} {'Used':>6} {'Avail':>6} {'Use%':>5} Mounted on\n"]
    for each in systems:
        sizes = " ".join(f"{_short(each[key]):>6}" for key in ("total", "used", "free"))
        lines.append(f"{sizes} {each['used_percent']:>4}% {shown(each['mount'])}\n")
    return "".join(lines)


def _short(count: int) -> str:
    """Write bytes as `df -h` does: powers of 1024, rounded up, one decimal below 10."""
    value, unit = float(count), ""
    for larger in "KMGTPE":
        if math.ceil(value) < 1024:
            break
        value, unit = value / 1024, larger
    tenths = math.ceil(value * 10)
    return f"{tenths / 10:.1f}{unit}" if unit and tenths < 100 else f"{math.ceil(value)}{unit}"


def _judge(
    systems: Sequence[Mapping[str, Any]], missing: Sequence[str], least: Size | Percent | None, data: dict[str, Any]
) -> bool:
    """Raise `TaskFailed` that names every file system with too little space, and every path that is not there."""
    faults = [f"{shown(path)} is not there; is its file system mounted?" for path in missing]
    for each in systems:
        floor = 0 if least is None else least.of(each["total"]) if isinstance(least, Percent) else least
        if each["free"] < floor:
            free = f"{human_bytes(each['free'])} ({100 * each['free'] / each['total']:.1f}%)"
            faults.append(f"{shown(each['mount'])} has {free} free, less than {least}")
    if faults:
        hint = f"the report is in {data['path']}" if data["path"] else None
        raise TaskFailed("; ".join(faults), hint=hint, data=data)
    return True
