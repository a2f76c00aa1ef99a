"""A disk whose power can be cut: ext4 in a file, loop-mounted; what it holds afterwards is what had reached it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbook.events import Planned, Settled
from runbook.journal import read
from tests.faults.sandbox import Sandbox, tree

# Without these two ext4 repairs, or soon writes by itself, what a program forgot to flush.
OPTIONS = "loop,noauto_da_alloc,commit=600"
MEGABYTE = 2**20


def sh(*command: object) -> None:
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


class Disk:
    """A small disk of its own, mounted at `at`."""

    def __init__(self, image: Path, at: Path) -> None:
        self.image, self.at = image, at

    def cut_power(self, *, later: bool) -> None:
        """Lose all that has not reached the disk, and mount what is left; `later`: after an unrelated file's fsync."""
        if later:
            with (self.at / "unrelated").open("wb") as file:
                file.write(b"x")
                file.flush()
                os.fsync(file.fileno())
        left = self.image.with_suffix(f".{os.urandom(3).hex()}")
        sh("cp", "--sparse=always", self.image, left)
        sh("umount", self.at)
        self.image.unlink()
        self.image = left
        sh("mount", "-o", OPTIONS, left, self.at)


@contextmanager
def disk(folder: Path, megabytes: int = 24) -> Iterator[Disk]:
    """Make and mount a disk; OSError where that is not allowed."""
    image, at = folder / "disk.img", folder / "disk"
    at.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(megabytes * MEGABYTE)
    sh("mkfs.ext4", "-q", "-F", image)
    sh("mount", "-o", OPTIONS, image, at)
    made = Disk(image, at)
    try:
        yield made
    finally:
        sh("umount", at)
        shutil.rmtree(folder)


def promised(box: Sandbox) -> dict[str, object]:
    """Give what lies, now, at the target of every change that a journal says was made."""
    now, found = tree(box.work), {}
    for journal in box.state.glob("runs/*/journal.jsonl"):
        planned: dict[object, list[str]] = {}
        for event in read(journal):
            if isinstance(event, Planned):
                planned[event.step] = [change["target"] for change in event.changes]
            elif isinstance(event, Settled) and event.ok:
                found |= {os.path.relpath(path, box.work): None for path in planned.get(event.step, [])}
    return {path: now.get(path) for path in found}
