"""The file of a model as it is seen from here: whether it is there, what it weighs, and the hash of all its pieces."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.absent import meant
from runbook.host.refusals import shown

from ..archives.external import (  # noqa: TID252 - `runbook.tasks` is no folder of runbook/, so the type checker would not find it
    NoModel,
    external_data,
)

PIECE = 2**20
# Where ONNX keeps weights in other files each tensor has the pair `location`, NAME: the fields 1 and 2 of a protobuf
# message, each with its length before it. Loading the model to find them would cost more than all the rest.
LOCATION = re.compile(rb"\n\x08location\x12")
ONNX = b"\x08"  # what an ONNX file begins with: the field of its version
LONGEST = 4096  # bytes that a name and what is before it may take


@dataclass(frozen=True, slots=True)
class Seen:
    """A model file. `sha256` is None where it cannot be read from here, and `why` says why.

    Of a model that keeps its weights in files of their own it is the hash of the lines `<sha256>  <name>` of them all.
    """

    path: Path
    real: Path
    sha256: str | None
    why: str = ""


def look(host: Host, path: Path, *, shared: bool) -> Seen:
    """Look at a model's file; `shared` says that the service's files are known to be seen from here.

    Raises TaskFailed for a file that no service could load: empty, none at all, or missing, where that can be told.
    """
    found = host.stat(path)
    if found is None:
        folder = host.stat(path.parent)
        if not shared and (folder is None or not folder.is_folder):
            return Seen(path, path, None, "its folder is not seen from here")
        raise TaskFailed(f"there is no model {shown(path)}{meant(host, path)}", hint="is the path spelt right?")
    if not found.is_file:
        raise TaskFailed(f"{shown(path)} is no regular file", hint="give the file of the model itself")
    if found.size == 0:
        raise TaskFailed(f"the model {shown(path)} is empty", hint="it was not written to its end: export it again")
    real = host.resolve(path)
    try:
        return Seen(path, real, fingerprint(host, path))
    except TaskFailed as error:
        return Seen(path, real, None, error.message)


def fault(host: Host, seen: Seen) -> str | None:
    """Say where a model breaks off that begins as ONNX does; of another kind of file, and one not seen, nothing."""
    if seen.sha256 is None:
        return None
    found = host.stat(seen.path)
    with host.open(seen.path) as file:
        if found is None or file.read(1) != ONNX:
            return None
        file.seek(0)
        try:
            external_data(file, found.size)
        except NoModel as error:
            return str(error)
    return None


def fingerprint(host: Host, path: Path) -> str:
    """Give the SHA-256 of a model, its weights in other files included; raises TaskFailed where one cannot be read."""
    with host.open(path) as file:
        own, names = _read(host, file)
    if not names:
        return own
    pieces = [(path.name, own), *((name, host.sha256(path.parent / name)) for name in names)]
    lines = "".join(f"{digest}  {name}\n" for name, digest in pieces)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _read(host: Host, file: BinaryIO) -> tuple[str, list[str]]:
    """Read a model once: its hash, and the names of the files with its weights, sorted."""
    total, names, kept = hashlib.sha256(), set(), b""
    while piece := file.read(PIECE):
        host.check_deadline()
        total.update(piece)
        kept = kept[-LONGEST:] + piece
        if b"location" in kept:
            names |= {os.fsdecode(name) for name in _named(kept)}
    return total.hexdigest(), sorted(names)


def _named(data: bytes) -> list[bytes]:
    found = []
    for match in LOCATION.finditer(data):
        length, start = int.from_bytes(data[match.end() : match.end() + 1]), match.end() + 1
        if length & 0x80:  # a length of 128 or more takes two bytes
            length, start = (length & 0x7F) | int.from_bytes(data[start : start + 1]) << 7, start + 1
        if 0 < length <= len(data) - start:
            found.append(data[start : start + length])
    return found
