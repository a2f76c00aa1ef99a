"""The files that an ONNX model keeps its weights in, read from its protobuf without loading it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIDTHS = {FIXED64: 8, FIXED32: 4}
DEEPEST = 100
PIECE = 2**16

# Where tensors can be, by message and field number; what is not named here is skipped without being read.
MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
GRAPH, KEY, VALUE = 7, 1, 2


class NoModel(ValueError):
    """The file is no ONNX model."""


def external_data(file: BinaryIO, size: int) -> list[str]:
    """Give the locations that the tensors of a model name, each once, as they are written in it; raises NoModel.

    `file` is at its start and can be searched; `size` in bytes.
    """
    reader = _Reader(file, size)
    found = dict.fromkeys(reader.locations("model", size, 0))
    if not reader.has_graph:
        raise NoModel("it holds no graph")
    return list(found)


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.has_graph = False
        self._start, self._buffer = 0, b""
        self._at = 0

    def locations(self, message: str, end: int, depth: int) -> Iterator[str]:
        """Yield the locations in a message that ends at a position; the reader stands at its start."""
        if depth > DEEPEST:
            raise NoModel("its graphs are nested too deep")
        for number, upto in self._fields(end):
            inner = MESSAGES[message].get(number)
            self.has_graph = self.has_graph or (message == "model" and number == GRAPH)
            if inner == "entry":
                pair = dict(self._texts(upto))
                if pair.get(KEY) == "location":
                    yield pair.get(VALUE, "")
            elif inner is not None:
                yield from self.locations(inner, upto, depth + 1)
            self._at = upto

    def _texts(self, end: int) -> Iterator[tuple[int, str]]:
        for number, upto in self._fields(end):
            if number in {KEY, VALUE}:
                yield number, self._bytes(upto - self._at).decode("utf-8", "surrogateescape")
            self._at = upto

    def _fields(self, end: int) -> Iterator[tuple[int, int]]:
        """Yield the number of each field and where it ends; one of bytes begins where the reader stands."""
        while self._at < end:
            tag = self._varint()
            number, wire = tag >> 3, tag & 7
            if wire == VARINT:
                self._varint()
                upto = self._at
            elif wire == BYTES:
                upto = self._varint() + self._at
            elif wire in WIDTHS:
                upto = self._at + WIDTHS[wire]
            else:
                raise NoModel(f"a field of an unknown kind at byte {self._at}")
            if number == 0 or upto > end:
                raise NoModel(f"it is cut off or damaged at byte {self._at}")
            yield number if wire == BYTES else -1, upto
            self._at = upto

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._bytes(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise NoModel(f"a number without an end at byte {self._at}")

    def _bytes(self, count: int) -> bytes:
        """Read from where the reader stands; small reads come from a buffer."""
        if count > PIECE:
            raise NoModel(f"a name of {count} bytes at byte {self._at}")
        offset = self._at - self._start
        if not 0 <= offset <= len(self._buffer) - count:
            self.file.seek(self._at)
            self._start, self._buffer, offset = self._at, self.file.read(PIECE), 0
        piece = self._buffer[offset : offset + count]
        if len(piece) < count:
            raise NoModel(f"it ends at byte {self._at + len(piece)}")
        self._at += count
        return piece
