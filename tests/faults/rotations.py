"""Rotations that are interrupted, with nobody writing the logs meanwhile."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from tests.faults.scenarios import put
from tests.faults.sweep import Scenario

LARGE = ("a.log", "c.log")  # larger than what is compressed at once, so that threads are at work meanwhile


@cache
def rotated(name: str) -> bytes:
    """Give a log that takes some room however it is packed; its last block is the same one for blocks of 1 and 4 kB."""
    lines = (
        f"{name} {line} {sha256(str(line).encode()).hexdigest()}" for line in range(20_001 if name in LARGE else 579)
    )
    return "".join(f"{line:<127}\n" for line in lines).encode()


def prepare_rotate(*names: str) -> Callable[[Path], None]:
    def prepare(work: Path) -> None:
        for name in names:
            put(work / name, rotated(name), mode=0o640)
            for number in range(2):
                put(work / f"{name}.2026010{number + 1}.gz", gzip.compress(b"%d\n" % number, mtime=0), age=40)

    return prepare


def rotate_intact(*names: str) -> Callable[[Path], Iterator[str]]:
    def intact(work: Path) -> Iterator[str]:
        for name in names:
            stored = [
                gzip.decompress(path.read_bytes()) for path in work.glob(f"{name}.*.gz") if "2026010" not in path.name
            ]
            aside = [path.read_bytes() for path in work.glob(f"{name}.*.rotating") if ".gz" not in path.name]
            log = [(work / name).read_bytes()] if (work / name).exists() else []
            pending = b"".join(_readable(path) for path in work.glob(f"{name}.*.gz.rotating"))
            parts = stored + [each for each in aside if each not in stored] + log
            # What an archive holds that is not certain yet is still in the log, or was cut off it.
            if rotated(name) not in {b"".join(parts), b"".join([pending, *parts])}:
                yield f"{name} has lost or doubled lines"
        if any(path.stat().st_mode & 0o777 != 0o640 for path in work.glob("*.log")):
            yield "a log stood there with another mode than 0640"

    return intact


def _readable(path: Path) -> bytes:
    """Give what can be read of an archive that may break off."""
    with gzip.open(path) as file:
        try:
            return file.read()
        except EOFError:
            return b""


ROTATE = Scenario(
    "logs.rotate",
    """
    - logs.rotate: {path: "{{ exp_dir }}/a.log", max_size: 20kB, keep: 2}
    - logs.rotate: {path: "{{ exp_dir }}/b.log", max_size: 20kB, keep: 2, method: copytruncate}
    - logs.rotate: {path: "{{ exp_dir }}/c.log", max_size: 20kB, keep: 2, method: pause}
    """.lstrip("\n").rstrip(" "),
    prepare_rotate("a.log", "b.log", "c.log"),
    rotate_intact("a.log", "b.log", "c.log"),
    uncounted=("openat",),  # it looks through the processes that there are
)
COLLAPSE = Scenario(
    "logs.rotate by collapse",
    """
    - logs.rotate: {path: "{{ exp_dir }}/d.log", max_size: 20kB, keep: 2, method: collapse}
    """.lstrip("\n").rstrip(" "),
    prepare_rotate("d.log"),
    rotate_intact("d.log"),
    needs=("ext4", "xfs"),
    uncounted=("openat",),
)
