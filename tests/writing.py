"""Processes that write a log as services do, and the lines that came out of it in the end."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Writes numbered lines of varying length as fast as it can, or with a rest after each; opens the log anew on USR1, and
# ends on TERM.
WRITER = r"""
import os, signal, sys, time
path, flags, width = os.fsencode(sys.argv[1]), eval(sys.argv[2], vars(os)), int(sys.argv[3])
state = {"go": True, "anew": False}
signal.signal(signal.SIGTERM, lambda *_: state.update(go=False))
rest = float(sys.argv[5])
if sys.argv[4] == "hears":
    signal.signal(signal.SIGUSR1, lambda *_: state.update(anew=True))
log = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
number = 0
os.write(1, b"ready\n")
while state["go"]:
    if state["anew"]:
        state["anew"] = False
        os.close(log)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    os.write(log, b"%d %s\n" % (number, b"x" * (number * 7919 % width)))
    number += 1
    if rest:
        time.sleep(rest)
os.write(1, b"%d\n" % number)
"""


class Writer:
    """A process that writes; `stop` gives how many lines it has written."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.pid = process, process.pid

    def stop(self) -> int:
        self.process.terminate()
        out, _ = self.process.communicate(timeout=20)
        return int(out)


@contextmanager
def writing(
    path: Path, *, flags: str = "O_APPEND", width: int = 120, hears: bool = False, rest: float = 0.0
) -> Iterator[Writer]:
    argv = [sys.executable, "-I", "-S", "-c", WRITER, path, flags, str(width), "hears" if hears else "deaf", str(rest)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield Writer(process)
        finally:
            process.kill()


def archived(log: Path) -> list[bytes]:
    """Give what each archive of a log holds, the oldest first."""

    def order(path: Path) -> tuple[str, int]:
        day, _, number = path.name.removeprefix(f"{log.name}.").removesuffix(".gz").partition(".")
        return day, int(number or 0)

    found = [
        path for path in log.parent.iterdir() if re.fullmatch(rf"{re.escape(log.name)}\.\d{{8}}(\.\d+)?\.gz", path.name)
    ]
    return [gzip.decompress(path.read_bytes()) for path in sorted(found, key=order)]


def numbers(text: bytes) -> list[int]:
    """Give the numbers of the lines, each of which must be whole."""
    lines = text.split(b"\n")
    assert lines.pop() == b"", "the last line has no end"
    return [int(re.fullmatch(rb"(\d+) x*", line)[1]) for line in lines]


def everything(log: Path) -> bytes:
    return b"".join([*archived(log), log.read_bytes()])
