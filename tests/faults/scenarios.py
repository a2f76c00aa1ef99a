"""The plays that are interrupted, from writing to restoring, each with what may never happen to its files."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import tarfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from runbook.tasks.archives.manifest import BLANK, File, Manifest
from runbook.tasks.archives.pack import pack
from runbook.tasks.archives.sums import line
from tests.faults.sweep import Scenario

DAY = 86400
NOW = time.time()


def put(path: Path, content: bytes, age: float = 0, mode: int = 0o644) -> None:
    """Write a file of an age in days."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(path, (NOW - age * DAY, NOW - age * DAY))


OLD, NEW, BIG = b"old = true\n", b"new = true\n", b"line of a large file\n" * 20_000


def prepare_present(work: Path) -> None:
    put(work / "existing.conf", OLD, age=3, mode=0o640)
    put(work / "untouched.conf", OLD, age=3)
    put(work / "source.txt", BIG, age=3)


def present_intact(work: Path) -> Iterator[str]:
    allowed = {
        "existing.conf": {OLD, NEW},
        "untouched.conf": {OLD},
        "source.txt": {BIG},
        "made/new.conf": {NEW, None},
        "copy.txt": {BIG, None},
    }
    for name, contents in allowed.items():
        path = work / name
        if (path.read_bytes() if path.exists() else None) not in contents:
            yield f"{name} is lost or half-written"
    if (work / "made/new.conf").exists() and (work / "made/new.conf").stat().st_mode & 0o777 != 0o600:
        yield "made/new.conf stood there with another mode than 0600"


PRESENT = Scenario(
    "files.present",
    """
    - files.directory: {path: "{{ exp_dir }}/made", mode: "0750"}
    - files.present: {path: "{{ exp_dir }}/made/new.conf", content: "new = true\\n", mode: "0600"}
    - files.present: {path: "{{ exp_dir }}/existing.conf", content: "new = true\\n"}
    - files.present: {path: "{{ exp_dir }}/copy.txt", src: "{{ exp_dir }}/source.txt"}
    """.lstrip("\n").rstrip(" "),
    prepare_present,
    present_intact,
)


def checkpoint(number: int) -> bytes:
    return b"checkpoint %d\n" % number * 1000


def prepare_prune(work: Path) -> None:
    for number in range(6):
        put(work / f"last_{number}.pt", checkpoint(number), age=40 - number * 6)
    put(work / "best.pt", checkpoint(99), age=60)
    for number in range(1, 5):
        put(work / f"model_{number}.onnx", checkpoint(number), age=30 - number)
    (work / "latest.onnx").symlink_to("model_1.onnx")


def prune_intact(work: Path) -> Iterator[str]:
    kept = {"best.pt": 99, "last_5.pt": 5, "model_1.onnx": 1, "model_3.onnx": 3, "model_4.onnx": 4}
    for name, number in kept.items():
        if not (work / name).is_file() or (work / name).read_bytes() != checkpoint(number):
            yield f"{name} is lost, which no rule let go"
    if os.readlink(work / "latest.onnx") != "model_1.onnx":
        yield "latest.onnx leads elsewhere"
    for path in work.glob("*.pt"):
        if len(path.read_bytes()) not in {13_000, 14_000}:
            yield f"{path.name} is cut"


PRUNE = Scenario(
    "files.prune",
    """
    - files.prune: {directory: "{{ exp_dir }}", pattern: "last_*.pt", older_than: 14d}
    - files.prune: {directory: "{{ exp_dir }}", pattern: "*.onnx", keep: 2}
    """.lstrip("\n").rstrip(" "),
    prepare_prune,
    prune_intact,
)


def log(name: str) -> bytes:
    return b"".join(b"%d INFO %s served a request\n" % (line, name.encode()) for line in range(4000))


LOGS = {"api.out": 8.0, "api.err": 20.0, "train.out": 45.0, "fresh.out": 0.5}


def prepare_archive(work: Path) -> None:
    for name, age in LOGS.items():
        put(work / name, log(name), age=age, mode=0o640)
    put(work / "metrics.json", b"{}", age=90)
    put(work / "archive/older.out.gz", gzip.compress(log("older.out"), mtime=0), age=29)
    put(work / "archive/oldest.out.gz", gzip.compress(log("oldest.out"), mtime=0), age=31)


def archive_intact(work: Path) -> Iterator[str]:
    archived = {}
    for path in (work / "archive").glob("*.gz"):
        try:
            archived[path.name] = gzip.decompress(path.read_bytes())
        except (EOFError, OSError, zlib.error) as broken:
            yield f"{path.name} is no whole archive: {broken}"
    for name, age in LOGS.items():
        copies = [archived.get(f"{name}.gz"), (work / name).read_bytes() if (work / name).exists() else None]
        if age < 30 and log(name) not in copies:
            yield f"{name} is lost"
        if any(copy not in {None, log(name)} for copy in copies):
            yield f"{name} is changed"
    if archived.get("older.out.gz") != log("older.out"):
        yield "older.out.gz is lost before its time"
    if (work / "metrics.json").read_bytes() != b"{}":
        yield "metrics.json was touched"


ARCHIVE = Scenario(
    "logs.archive",
    """
    - logs.archive: {directory: "{{ exp_dir }}", patterns: ["*.out", "*.err"], compress_after: 7d, delete_after: 30d}
    """.lstrip("\n").rstrip(" "),
    prepare_archive,
    archive_intact,
)

WEIGHTS = random.Random(5).randbytes(20_000)
MODEL = b"\x3a\0\x72" + b"\xa0\x9c\x01" + WEIGHTS  # as an ONNX model is written: an empty graph, and metadata
RELEASED = {"config.yaml": b"lr: 1\n", "export/model.onnx": MODEL, "notes/a.txt": b"read me\n"}


def prepare_build(work: Path) -> None:
    for name, content in RELEASED.items():
        put(work / name, content, age=3)


def build_intact(work: Path) -> Iterator[str]:
    for name, content in RELEASED.items():
        if (work / name).read_bytes() != content:
            yield f"{name} was touched"
    for path in (work / "releases").glob("release-*.tar.gz"):
        yield from whole(path)
    for path in (work / "releases").glob("release-*.sha256"):
        archive = path.with_suffix("")
        if path.read_text() != f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n":
            yield f"{path.name} is wrong"


def whole(path: Path) -> Iterator[str]:
    """Name what an archive under its final name lacks."""
    try:
        with tarfile.open(path) as archive:
            held = {each.name: archive.extractfile(each).read() for each in archive}
    except (EOFError, OSError, zlib.error, tarfile.TarError) as broken:
        yield f"{path.name} is no whole archive: {broken}"
        return
    for name, content in RELEASED.items():
        if held.get(name) != content:
            yield f"{path.name} lacks {name}"
    if {file["path"] for file in json.loads(held["MANIFEST.json"])["files"]} != held.keys() - {"MANIFEST.json"}:
        yield f"{path.name} has a manifest of other files"


BUILD = Scenario(
    "release.build",
    """
    - release.build: {root: "{{ exp_dir }}", include: [notes]}
    """.lstrip("\n").rstrip(" "),
    prepare_build,
    build_intact,
)
ARCHIVED = "release-20260310T020000Z-nogit.tar.gz"


def prepare_restore(work: Path) -> None:
    """Pack a release, as an earlier run has."""
    files = tuple(File(name, len(content), BLANK) for name, content in sorted(RELEASED.items()))
    draft = Manifest("2026-03-10T02:00:00Z", None, None, "export/model.onnx", files)
    packed = pack(work / ARCHIVED, draft, 0, frozenset(), lambda name: iter([RELEASED[name]]))
    put(work / f"{ARCHIVED}.sha256", line(packed.sha256, ARCHIVED), age=3)
    put(work / ARCHIVED, (work / ARCHIVED).read_bytes(), age=3)


def restore_intact(work: Path) -> Iterator[str]:
    yield from whole(work / ARCHIVED)
    for name, content in RELEASED.items() if (work / "made/restored").exists() else ():
        path = work / "made/restored" / name
        if not path.is_file() or path.read_bytes() != content:
            yield f"restored/{name} is lost or half-written"


RESTORE = Scenario(
    "release.restore",
    """
    - release.restore: {path: "{{ exp_dir }}/%s", dest: "{{ exp_dir }}/made/restored"}
    """.lstrip("\n").rstrip(" ")
    % ARCHIVED,
    prepare_restore,
    restore_intact,
)


def prepare_old_releases(work: Path) -> None:
    for day in "123":
        name, content = f"release-2026030{day}T020000Z-c0ffee{day}.tar.gz", gzip.compress(day.encode(), mtime=0)
        put(work / name, content, age=3)
        put(work / f"{name}.sha256", line(hashlib.sha256(content).hexdigest(), name), age=3)


def releases_intact(work: Path) -> Iterator[str]:
    if len(list(work.glob("release-20260303T*"))) != 2:
        yield "the newest release is gone"
    for path in work.glob("release-*.sha256"):
        if not path.with_suffix("").exists():
            yield f"{path.name} stands alone: it says of an archive that is gone that it is complete"


DELETE = Scenario(
    "release.prune",
    """
    - release.prune: {directory: "{{ exp_dir }}", keep: 1}
    """.lstrip("\n").rstrip(" "),
    prepare_old_releases,
    releases_intact,
)

SCENARIOS = (PRESENT, PRUNE, ARCHIVE, BUILD, RESTORE, DELETE)
