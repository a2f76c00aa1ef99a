"""What a child process prints: heard line by line, its end kept."""

from __future__ import annotations

from collections import deque
from typing import Literal

from runbook.host.protocol import Listener

KEPT = 16 * 2**20


class Capture:
    """One output stream: its lines go to the listener as they come, at most KEPT bytes of its end are kept."""

    def __init__(self, stream: Literal["stdout", "stderr"], listener: Listener | None) -> None:
        self._stream = stream
        self._listener = listener
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._dropped = 0
        self._line = b""

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._held += len(piece)
        while self._held - len(self._pieces[0]) >= KEPT:
            self._held -= len(self._pieces[0])
            self._dropped += len(self._pieces.popleft())
        if self._listener is not None:
            *lines, self._line = (self._line + piece).split(b"\n")
            if len(self._line) > KEPT // 16:  # a line without an end would be kept for ever
                lines, self._line = [*lines, self._line], b""
            self._tell(lines)

    def finish(self) -> str:
        """Tell a last line without a newline, and give the text."""
        if self._line:
            self._tell([self._line])
            self._line = b""
        text = b"".join(self._pieces).decode("utf-8", "surrogateescape")
        return f"[the first {self._dropped} bytes are left out]\n{text}" if self._dropped else text

    def _tell(self, lines: list[bytes]) -> None:
        if self._listener is not None:
            for line in lines:
                self._listener.output(self._stream, line.removesuffix(b"\r").decode("utf-8", "surrogateescape"))
