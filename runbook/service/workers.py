"""A worker of a hot reload: one loaded model, its state, and the requests that it is at."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from threading import Condition
from typing import Generic, TypeVar

Model = TypeVar("Model")
log = logging.getLogger(__name__)


class WorkerState(StrEnum):
    """What a worker is at; a worker goes down this list, and ends stopped or failed."""

    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


ENDED = frozenset({WorkerState.STOPPED, WorkerState.FAILED})


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker as it was when it was asked for; `served` counts the requests that it has ended."""

    worker_id: str
    state: WorkerState
    in_flight: int
    served: int
    started_at: float  # Unix time


class Worker(Generic[Model]):
    """One model with the requests that it is at; every change of it is made under `changed`."""

    def __init__(self, worker_id: str, changed: Condition, release: Callable[[Model], object] | None) -> None:
        self.worker_id = worker_id
        self.state = WorkerState.LOADING
        self.model: Model | None = None
        self._changed = changed
        self._release = release
        self._requests: dict[int, tuple[str, float]] = {}
        self._entered = 0
        self._started_at = time.time()

    def info(self) -> WorkerInfo:
        in_flight = len(self._requests)
        return WorkerInfo(self.worker_id, self.state, in_flight, self._entered - in_flight, self._started_at)

    def in_flight(self) -> int:
        return len(self._requests)

    def enter(self, name: str) -> tuple[Model, int]:
        """Count a request in, under the lock of the caller; the number is for `leave`."""
        if self.model is None:
            raise RuntimeError(f"{self.worker_id} is {self.state} and has no model")
        self._entered += 1
        self._requests[self._entered] = (name, time.monotonic())
        return self.model, self._entered

    def leave(self, number: int) -> None:
        """Count a request out; the last one of a worker that has ended gives its model up."""
        with self._changed:
            del self._requests[number]
            self._changed.notify_all()
        self._give_up()

    def end(self, state: WorkerState) -> None:
        """Stop or fail; the model is given up as soon as no request uses it any more."""
        with self._changed:
            self.state = state
        self._give_up()

    def advance(self, state: WorkerState, model: Model | None = None) -> bool:
        """Go on to the next state; False if the worker has ended meanwhile, and what was loaded is given up."""
        with self._changed:
            ended = self.state in ENDED
            self.model = self.model if model is None else model
            self.state = self.state if ended else state
        self._give_up()
        return not ended

    def left(self) -> tuple[str, ...]:
        """Name the requests that are still at work, the oldest first, each with how long it has been."""
        now = time.monotonic()
        return tuple(f"{name} ({now - since:.1f} s)" for name, since in self._requests.values())

    def _give_up(self) -> None:
        with self._changed:
            if self._requests or self.state not in ENDED:
                return
            model, self.model = self.model, None
        if model is None or self._release is None:
            return
        try:
            self._release(model)
        except Exception:
            log.exception("[%s] its model could not be released", self.worker_id, extra={"event": "release_failed"})
