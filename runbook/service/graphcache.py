"""Optimised graphs that are kept from one load of a model to the next, each for one machine and runtime."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from isal import isal_zlib

MARK = b"runbook graph 1\n"  # with the checksum before it, the end of every file
CHECKSUM = 4
SPARE = ".tmp"
FORGOTTEN_S = 3600.0  # a temporary file of that age is nobody's
CPU_SAYS = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU ")  # how the lines begin
NVIDIA = Path("/proc/driver/nvidia")


def usual_folder() -> Path:
    """Give `$RUNBOOK_MODEL_CACHE`, or else the platform's folder for this."""
    if given := os.environ.get("RUNBOOK_MODEL_CACHE"):
        return Path(given).expanduser().absolute()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("runbook", appauthor=False), "graphs")


@dataclass(frozen=True, slots=True)
class GraphCache:
    """A folder of graphs, at most so many and so large; of more, those go that were not used for longest.

    A folder that can only be read serves what it has. One that others may write to is not used: who can put a graph
    there decides what a model answers.
    """

    folder: Path
    most: int = 64
    most_bytes: int = 1_000_000_000
    largest: int = 20_000_000  # of a larger model reading takes the time, and its graph would have to be read as well

    def key(self, sha256: str, options: Mapping[str, Any], wanted: Sequence[str]) -> str | None:
        """Give the name of a graph: of the model, the level, the providers, runtime and machine. Threads do not matter.

        None where there is nothing to gain, or where a graph cannot be kept: TensorRT compiles it, and `config` entries
        may change how it is made and written.
        """
        machine = cpu() if set(wanted) == {"CPU"} else _with_gpu() if set(wanted) <= {"CPU", "CUDA"} else None
        level = options.get("level") or "all"
        if machine is None or level == "disable_all" or options.get("config"):
            return None
        told = [sha256, level, list(wanted), _runtime(), machine]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]

    def get(self, key: str) -> bytes | None:
        """Give a graph; one that is damaged is removed, so that it is made anew."""
        path = self.folder / key
        if not self._trusted():
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        graph, end = content[: -len(MARK) - CHECKSUM], content[-len(MARK) - CHECKSUM :]
        if end != _sum(graph) + MARK:
            self.drop(key)
            return None
        with suppress(OSError):  # used now, so that others go before it
            os.utime(path)
        return graph

    def drop(self, key: str) -> None:
        with suppress(OSError):
            (self.folder / key).unlink()

    @contextmanager
    def room(self, key: str) -> Iterator[Path | None]:
        """Give the path that a graph may be written to; what lies there in the end is kept. None: nothing can be."""
        spare = self._spare(key)
        try:
            yield spare
            if spare is not None and spare.exists():
                with suppress(OSError):  # the disk is full
                    self._keep(spare, key)
        finally:
            if spare is not None:
                with suppress(OSError):
                    spare.unlink(missing_ok=True)

    def _spare(self, key: str) -> Path | None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._trusted():
                return None
            spare = self.folder / f"{key}.{os.getpid()}-{time.monotonic_ns()}{SPARE}"
            spare.touch(0o600)
            spare.unlink()  # the runtime writes to no file that is there
        except OSError:
            return None
        return spare

    def _trusted(self) -> bool:
        try:
            seen = self.folder.stat()
        except OSError:
            return False
        if not hasattr(os, "geteuid"):  # on Windows, where the profile's folder is its user's
            return stat.S_ISDIR(seen.st_mode)
        return stat.S_ISDIR(seen.st_mode) and seen.st_uid in {0, os.geteuid()} and not seen.st_mode & 0o022

    def _keep(self, spare: Path, key: str) -> None:
        graph = spare.read_bytes()
        if not graph or len(graph) > self.most_bytes:
            return
        with spare.open("ab") as file:
            file.write(_sum(graph) + MARK)
        spare.replace(self.folder / key)
        self._prune()

    def _prune(self) -> None:
        """Remove what is too much, and what those have left that were killed."""
        found = []
        for entry in os.scandir(self.folder):
            with suppress(OSError):  # another is at it too
                seen = entry.stat(follow_symlinks=False)
                if not entry.name.endswith(SPARE):
                    found.append((seen.st_mtime, seen.st_size, entry.path))
                elif seen.st_mtime < time.time() - FORGOTTEN_S:
                    os.unlink(entry.path)
        room = self.most_bytes
        for number, (_, size, path) in enumerate(sorted(found, reverse=True)):
            room -= size
            if number >= self.most or room < 0:
                with suppress(OSError):
                    os.unlink(path)


def _sum(graph: bytes) -> bytes:
    return int(isal_zlib.crc32(graph)).to_bytes(CHECKSUM, "big")


def _runtime() -> str:
    import onnxruntime as ort

    return f"{ort.__version__} {ort.get_build_info()}"


@cache
def cpu() -> list[str]:
    """Say what the processor is and can do; a graph that was laid out for another may not run, or run slowly."""
    told = [platform.machine(), platform.processor()]
    with suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
        told += [line for line in first.splitlines() if line.startswith(CPU_SAYS)]
    return told


def _with_gpu() -> list[str] | None:
    """Say what processor, GPUs and driver there are; None where the driver does not tell."""
    try:
        told = [(NVIDIA / "version").read_text()]
        for one in sorted((NVIDIA / "gpus").glob("*/information")):
            told += [line for line in one.read_text().splitlines() if line.startswith("Model")]
    except OSError:
        return None
    return [*cpu(), *told] if len(told) > 1 else None
