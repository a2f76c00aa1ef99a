"""Workers as their coordinator sees them: started, asked, and ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from runbook.measure.refusals import Refused
from runbook.measure.rounds import Block

DOES = {"block": "time", "outputs": "run", "warm": "warm up"}


class Hand:
    """A worker process. It ends with its stdin, so none is left behind whatever becomes of the coordinator."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runbook.measure.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def ask(self, do: str, **what: Any) -> dict[str, Any]:
        """Send one line and wait for its answer; raises Refused for what the worker refuses, or if it has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = ""
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            at = f" at a batch of {what['batch']}" if "batch" in what else ""
            about = f"{DOES.get(do, do)} {what['key']}{at}" if "key" in what else do
            raise Refused(f"the process that was to {about} ended: {ending(self._process.wait())}")
        told: dict[str, Any] = json.loads(line)
        if "refused" in told:
            raise Refused(told["refused"], told["hint"])
        return told

    def load(self, key: str, candidate: Mapping[str, Any]) -> dict[str, Any]:
        return self.ask("load", key=key, candidate=candidate)

    def block(self, key: str, batch: int, calls: int, longest: float) -> Block:
        told = self.ask("block", key=key, batch=batch, calls=calls, longest=longest)
        return Block(tuple(told["times"]), told["cpu"], told["switches"])

    def peak_bytes(self) -> int:
        """Give the most memory that the process has had."""
        return int(self.ask("peak")["peak_bytes"])


def ending(code: int) -> str:
    """Say how a process ended; one that was killed has usually had too little memory."""
    return f"killed by signal {-code}; was there too little memory?" if code < 0 else f"exit status {code}"
