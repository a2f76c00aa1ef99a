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


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file as it was read. `pieces` is every file it is made of with its SHA-256, itself first.

    `sha256` is the file's own, as `sha256sum` gives it; where weights are kept in files of their own, it is that of
    the lines `<sha256>  <name>` of all pieces, so that it changes with each of them.
    """

    path: Path
    pieces: tuple[tuple[str, str], ...]

    @property
    def external(self) -> bool:
        return len(self.pieces) > 1

    @property
    def sha256(self) -> str:
        if not self.external:
            return self.pieces[0][1]
        lines = "".join(f"{digest}  {name}\n" for name, digest in self.pieces)
        return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()

    def confirm(self) -> None:
        """Raise Refused if a piece that was loaded by its path has changed since it was hashed."""
        if self.external and read_model(self.path)[0] != self:
            raise Refused(f"{self.path} or its weights changed while it was loaded; ask again", code="changed")


def read_model(path: Path) -> tuple[ModelFile, bytes]:
    """Read a model, with the digests of all its pieces; Refused says why it cannot be."""
    content = _read(path)
    if not content:
        raise Refused(f"{path} is empty", code="damaged")
    pieces = [(path.name, hashlib.sha256(content).hexdigest())]
    pieces += [(name, _digest(path.parent / name)) for name in _external_names(path, content)]
    return ModelFile(path, tuple(pieces)), content


def _read(path: Path) -> bytes:
    with os.fdopen(_open(path), "rb") as file:
        try:
            return file.read()
        except OSError as error:
            raise Refused(f"cannot read {path}: {error.strerror or error}", code="unreadable") from error


def _digest(path: Path) -> str:
    with os.fdopen(_open(path), "rb") as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise Refused(f"cannot read {path}: {error.strerror or error}", code="unreadable") from error


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


def _external_names(path: Path, content: bytes) -> list[str]:
    """Give the files in which the model keeps weights, sorted; each must lie beside it or below."""
    if b"location" not in content:  # the key under which every such file is named; onnx is slow to import
        return []
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError) as error:
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
