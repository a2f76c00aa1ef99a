"""An ONNX file with all its pieces, read so that the hash told is the hash of what is loaded."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runbook.service.refusals import Refused
from runbook.suggest import nearest

if TYPE_CHECKING:
    import onnx


AT_ONCE = 64_000_000  # larger files are loaded by their path: their bytes would be in memory twice
PIECE = 1_000_000
MARK = b"location"  # the key under which a model names each file of weights; onnx, which would tell, is slow to import


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file as it was read. `pieces` is every file it is made of with its SHA-256, itself first.

    `sha256` is the file's own, as `sha256sum` gives it; where weights are kept in files of their own, it is that of
    the lines `<sha256>  <name>` of all pieces, so that it changes with each of them.
    """

    path: Path
    pieces: tuple[tuple[str, str], ...]

    @property
    def sha256(self) -> str:
        if len(self.pieces) == 1:
            return self.pieces[0][1]
        lines = "".join(f"{digest}  {name}\n" for name, digest in self.pieces)
        return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()

    def confirm(self) -> None:
        """Raise Refused if a file that was loaded by its path has changed since it was hashed."""
        if read_model(self.path)[0] != self:
            raise Refused(f"{self.path} or its weights changed while it was loaded; ask again", code="changed")


def read_model(path: Path) -> tuple[ModelFile, bytes | None]:
    """Read a model, with the digests of all its pieces; Refused says why it cannot be.

    The bytes are the very ones that were hashed; without them the model is to be loaded by its path and confirmed.
    """
    digest, content, marked = _read(path)
    names = _external_names(path) if marked else []
    pieces = [(path.name, digest), *((name, _read(path.parent / name)[0]) for name in names)]
    return ModelFile(path, tuple(pieces)), None if names else content


def _read(path: Path) -> tuple[str, bytes | None, bool]:
    """Give the digest of a file, its bytes if they are few, and whether it may name files of weights.

    It is done piece by piece: one search through a large file would hold up all other threads.
    """
    digest, kept, tail, marked = hashlib.sha256(), bytearray(), b"", False
    with os.fdopen(_open(path), "rb") as file:
        try:
            while piece := file.read(PIECE):
                digest.update(piece)
                window = tail + piece
                marked = marked or MARK in window
                tail = window[-len(MARK) :]
                if len(kept) <= AT_ONCE:
                    kept += piece
        except OSError as error:
            raise Refused(f"cannot read {path}: {error.strerror or error}", code="unreadable") from error
    if not kept:
        raise Refused(f"{path} is empty", code="damaged")
    return digest.hexdigest(), bytes(kept) if len(kept) <= AT_ONCE else None, marked


def _open(path: Path) -> int:
    """Open a regular file; without waiting, for a pipe without a writer would block for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Refused(f"there is no file {path}{_meant(path)}", code="missing") from error
    except PermissionError as error:
        raise Refused(
            f"no permission to read {path}: make it readable for the service's user", code="unreadable"
        ) from error
    except ValueError as error:  # a NUL
        raise Refused(f"no file has such a name: {str(path)!r}", code="request") from error
    except OSError as error:
        raise Refused(f"cannot open {path}: {error.strerror or error}", code="unreadable") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused(f"{path} is no regular file", code="unsuitable")
    return descriptor


def _meant(path: Path) -> str:
    """Say which file beside it was probably meant."""
    with suppress(OSError, ValueError):
        near = nearest(path.name, [name for name in os.listdir(path.parent) if name.endswith(".onnx")])
        if near:
            return f"; did you mean {path.parent / near}?"
    return ""


def _external_names(path: Path) -> list[str]:
    """Give the files in which the model keeps weights, sorted; each must lie beside it or below."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model(path, load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        raise Refused(f"{path} is damaged or no ONNX model: {error}", code="damaged") from error
    names = set()
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            names |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    folder = path.parent.resolve()
    for name in names:
        if not (folder / name).resolve().is_relative_to(folder):
            raise Refused(f"{path} names weights outside its folder: {name!r}", code="unsuitable")
    return sorted(names)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    graphs = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while graphs or nodes:
        while graphs:
            graph = graphs.pop()
            yield from graph.initializer
            nodes += graph.node
        for attribute in [found for node in nodes for found in node.attribute]:
            yield from (attribute.t, *attribute.tensors)
            graphs += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
        nodes = []
