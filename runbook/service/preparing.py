"""Making a worker ready in a thread of its own, so that a load that hangs can be left behind."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Generic

from runbook.service.workers import Model, Worker, WorkerState


class Preparation(Generic[Model]):
    """Load, accept and warm up, in this order; `stage` is the one at work or the one that failed."""

    def __init__(
        self,
        worker: Worker[Model],
        loader: Callable[[], Model],
        accept: Callable[[Model], object],
        warm_up: Callable[[Model], object],
        steps: int,
    ) -> None:
        self.worker = worker
        self.stage = "load"
        self.error: BaseException | None = None
        self._loader = loader
        self._accept = accept
        self._warm_up = warm_up
        self._steps = steps

    def run(self, timeout: float | None) -> bool:
        """Give whether the worker is ready; otherwise it has failed, by `error` or because the time was over."""
        thread = Thread(target=self._work, name=self.worker.worker_id, daemon=True)
        try:
            thread.start()
            thread.join(timeout)
        finally:
            ready = self.worker.state is WorkerState.READY
            if not ready:
                self.worker.end(WorkerState.FAILED)
        return ready

    def _work(self) -> None:
        try:
            self._steps_to_ready()
        except BaseException as error:  # noqa: BLE001 - whatever a loader does, a call of sys.exit too, it is told
            self.error = error

    def _steps_to_ready(self) -> None:
        model = self._loader()
        if model is None:
            raise TypeError("the loader gave None instead of a model")
        if not self.worker.advance(WorkerState.WARMING, model):
            return
        self.stage = "accept"
        self._accept(model)
        self.stage = "warm_up"
        for _ in range(self._steps):
            self._warm_up(model)
        self.worker.advance(WorkerState.READY)
