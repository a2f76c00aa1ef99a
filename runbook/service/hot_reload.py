"""Replacing a model while it serves: new worker, load, warm up, switch, drain, stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Lock
from typing import Concatenate, Generic, ParamSpec, TypeVar

from runbook.service.preparing import Preparation
from runbook.service.workers import Model, Worker, WorkerInfo, WorkerState

__all__ = ["HotReloader", "ReloadFailed", "ReloadUnderWay", "Reloaded", "WorkerInfo", "WorkerState"]
P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger(__name__)


class ReloadFailed(Exception):
    """The new model cannot serve; `stage` is `load`, `accept` or `warm_up`, and `__cause__` is why."""

    def __init__(self, message: str, *, stage: str) -> None:
        super().__init__(message)
        self.stage = stage


class ReloadUnderWay(Exception):
    """Another reload is at work; nothing was done."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did; times in seconds. `left` names the requests that outlived the drain timeout."""

    worker: WorkerInfo
    previous: WorkerInfo
    prepare_s: float
    switch_s: float
    drain_s: float
    left: tuple[str, ...] = ()


class HotReloader(Generic[Model]):
    """Serves requests on the worker of the moment, and replaces it without losing one.

    `loader` makes a model; `accept(old, new)` may refuse it by an exception; `warm_up` is called `warmup_steps` times
    with it before it serves; `release` closes a model that no request uses any more. Any exception of these leaves
    the old worker serving, and so does a new one that is not ready within `load_timeout` seconds (None: no limit).
    All methods may be called from any thread. `reload` blocks until the old worker is stopped, so a coroutine calls
    it in a thread.
    """

    def __init__(
        self,
        loader: Callable[[], Model],
        warm_up: Callable[[Model], object] = lambda _: None,
        *,
        warmup_steps: int = 5,
        drain_timeout: float = 30.0,
        load_timeout: float | None = None,
        accept: Callable[[Model, Model], object] | None = None,
        release: Callable[[Model], object] | None = None,
    ) -> None:
        if warmup_steps < 0 or drain_timeout < 0 or (load_timeout is not None and load_timeout <= 0):
            raise ValueError("warmup_steps and drain_timeout must be 0 or more, load_timeout more than 0")
        self.loader = loader
        self.warm_up = warm_up
        self.warmup_steps = warmup_steps
        self.drain_timeout = drain_timeout
        self.load_timeout = load_timeout
        self.accept = accept
        self.release = release
        self._current: Worker[Model] | None = None
        self._changed = Condition()
        self._reloading = Lock()
        self._made = 0

    @property
    def current(self) -> WorkerInfo | None:
        """Tell of the worker of the moment; None before `start`."""
        with self._changed:
            return self._current.info() if self._current else None

    @property
    def reloading(self) -> bool:
        return self._reloading.locked()

    def start(self) -> WorkerInfo:
        """Load, warm up and serve the first model; ReloadFailed says why not."""
        with self._alone():
            if self._current is not None:
                raise RuntimeError("it has been started already: use reload")
            worker = self._prepared(self.loader, None)
            self._switch(None, worker)
            return worker.info()

    def reload(self, loader: Callable[[], Model] | None = None) -> Reloaded:
        """Replace the model, by what `loader` makes where one is given; return when the old worker is stopped.

        ReloadUnderWay if another reload is at work; ReloadFailed if the new model cannot serve.
        """
        with self._alone():
            old = self._current
            if old is None:
                raise RuntimeError("no model is loaded: call start first")
            log.info("=== model reload: started ===", extra={"event": "reload_started"})
            began = time.perf_counter()
            try:
                new = self._prepared(loader or self.loader, old)
            except ReloadFailed as failed:
                about = {"event": "reload_failed", "stage": failed.stage, "worker": old.worker_id}
                log.error("=== model reload: failed, %s goes on: %s ===", old.worker_id, failed, extra=about)  # noqa: TRY400 - the reason is in the text
                raise
            prepared = time.perf_counter()
            self._switch(old, new)
            switched = time.perf_counter()
            about = {"event": "switched", "from": old.worker_id, "to": new.worker_id}
            log.info("traffic switched: %s -> %s", old.worker_id, new.worker_id, extra=about)
            left = self._drained(old)
            spans = (prepared - began, switched - prepared, time.perf_counter() - switched)
            log.info("=== model reload: done ===", extra={"event": "reload_done", "worker": new.worker_id})
            return Reloaded(new.info(), old.info(), *spans, left)

    def serve(self, work: Callable[Concatenate[Model, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work(model, ...)` on the worker of the moment, which is not stopped before it is done."""
        with self.lease(getattr(work, "__name__", "request")) as (model, _):
            return work(model, *args, **kwargs)

    async def serve_async(
        self, work: Callable[Concatenate[Model, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Do as `serve` does, for a coroutine function."""
        with self.lease(getattr(work, "__name__", "request")) as (model, _):
            return await work(model, *args, **kwargs)

    @contextmanager
    def lease(self, name: str) -> Iterator[tuple[Model, str]]:
        """Give a request the model of the moment and its worker's id; `name` tells of it should it outlive a drain."""
        with self._changed:
            worker = self._current
            if worker is None:
                raise RuntimeError("no model is loaded: call start first")
            model, number = worker.enter(name)
        try:
            yield model, worker.worker_id
        finally:
            worker.leave(number)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._reloading.acquire(blocking=False):
            raise ReloadUnderWay("another reload is under way")
        try:
            yield
        finally:
            self._reloading.release()

    def _prepared(self, loader: Callable[[], Model], old: Worker[Model] | None) -> Worker[Model]:
        worker = Worker(f"worker-{self._made}", self._changed, self.release)
        self._made += 1
        about = {"worker": worker.worker_id}

        def accept(new: Model) -> None:
            if self.accept is not None and old is not None and old.model is not None:
                self.accept(old.model, new)

        preparation = Preparation(worker, loader, accept, self.warm_up, self.warmup_steps)
        log.info("[%s] load and warm-up: started", worker.worker_id, extra={**about, "event": "load_started"})
        if preparation.run(self.load_timeout):
            log.info("[%s] load and warm-up: done", worker.worker_id, extra={**about, "event": "load_done"})
            return worker
        error = preparation.error
        if error is None:
            error = TimeoutError(f"not ready within {self.load_timeout:g} s")
        raise ReloadFailed(str(error) or type(error).__name__, stage=preparation.stage) from error

    def _switch(self, old: Worker[Model] | None, new: Worker[Model]) -> None:
        with self._changed:
            self._current = new
            if old is not None:
                old.state = WorkerState.DRAINING

    def _drained(self, old: Worker[Model]) -> tuple[str, ...]:
        """Wait for the old worker's requests, then stop it; name those that took too long, which still end on it."""
        name, about = old.worker_id, {"worker": old.worker_id}
        count = old.in_flight()
        log.info("[%s] draining (in-flight: %d)", name, count, extra={**about, "event": "draining", "in_flight": count})
        with self._changed:
            self._changed.wait_for(lambda: not old.in_flight(), self.drain_timeout)
            left = old.left()
        if left:
            text = "[%s] drain timeout after %g s (requests left: %d): %s"
            extra = {**about, "event": "drain_timeout", "left": left}
            log.warning(text, name, self.drain_timeout, len(left), ", ".join(left), extra=extra)
        else:
            log.info("[%s] drained", name, extra={**about, "event": "drained"})
        old.end(WorkerState.STOPPED)
        log.info("[%s] stopped", name, extra={**about, "event": "stopped"})
        return left
