"""The routes: what is asked, of whom, and what is answered."""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from anyio import CapacityLimiter, to_thread
from fastapi import Request
from fastapi.responses import Response

from runbook import __version__
from runbook.service.answers import about_model, absolute, answer_of, refusal, same_classes
from runbook.service.bodies import is_multipart, read_json, read_uploads
from runbook.service.classifier import Classifier, Runtime, load_classifier
from runbook.service.hot_reload import HotReloader, Reloaded, ReloadFailed, ReloadUnderWay
from runbook.service.inputs import array_of, image_of, json_room
from runbook.service.metrics import Metrics
from runbook.service.refusals import Refused
from runbook.service.replies import json_reply
from runbook.service.settings import Settings

R = TypeVar("R")
Handler = Callable[[Request], Awaitable[Response]]
Inputs = Callable[[Classifier], list[np.ndarray]]
ONE = 'JSON {"array": [[...]]} or a form with an image as `file`'
SEVERAL = 'JSON {"arrays": [[[...]], ...]} or a form with images as `files`'
PATH = 'JSON {"model_path": "..."}'


class Api:
    """The service behind its routes: one reloader, its settings, its metrics."""

    def __init__(self, model: Path, settings: Settings, runtime: Runtime, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self._runtime = runtime
        self._began = time.monotonic()
        self._seats = CapacityLimiter(max(4, 2 * (os.cpu_count() or 1)))  # images that are decoded at a time
        self.reloader: HotReloader[Classifier] = HotReloader(
            lambda: load_classifier(model, runtime),
            Classifier.warm_up,
            warmup_steps=settings.warmup_steps,
            drain_timeout=settings.drain_timeout,
            load_timeout=settings.load_timeout,
            accept=same_classes,
        )

    def start(self) -> None:
        """Load the first model; Refused says why it cannot be."""
        try:
            self.reloader.start()
        except ReloadFailed as failed:
            raise refusal(failed) from failed
        self._tell()

    async def health(self, _: Request) -> Response:
        worker = self.reloader.current
        uptime = round(time.monotonic() - self._began, 3)
        return json_reply({"status": "healthy", "worker": worker and worker.worker_id, "uptime_s": uptime})

    async def ready(self, _: Request) -> Response:
        worker = self.reloader.current
        ready = worker is not None and worker.state == "ready"
        about: dict[str, Any] = {"ready": ready, "reloading": self.reloader.reloading}
        if worker is not None:
            about |= {"worker": worker.worker_id, "state": worker.state, "in_flight": worker.in_flight}
        return json_reply(about, 200 if ready else 503)

    async def version(self, _: Request) -> Response:
        with self.reloader.lease("GET /version") as (model, worker):
            return json_reply({**about_model(model, worker), "runbook_version": __version__})

    async def metrics_page(self, _: Request) -> Response:
        return Response(self.metrics.page(), media_type=self.metrics.content_type)

    async def predict(self, request: Request) -> Response:
        results, about = await self._classify(request, ONE, ("file",), "array", 1)
        return json_reply({**results[0], **about})

    async def batch(self, request: Request) -> Response:
        most = self.settings.max_batch
        results, about = await self._classify(request, SEVERAL, ("files", "file"), "arrays", most)
        return json_reply({"results": results, **about})

    async def reload(self, request: Request) -> Response:
        given = (await read_json(request, 64_000, PATH)).get("model_path")
        if not isinstance(given, str) or not given:
            raise Refused(f"`model_path` must be a text; send {PATH}", code="request")
        return json_reply(await self._reload(absolute(given)))

    async def reload_same(self, _: Request) -> Response:
        with self.reloader.lease("POST /admin/model/reload") as (model, _worker):
            path = model.file.path
        try:
            return json_reply({"success": True, **await self._reload(path)})
        except Refused as refused:
            about = {"success": False, "detail": refused.detail, "code": refused.code}
            return json_reply(about, refused.status)

    def keyed(self, handler: Handler) -> Handler:
        """Ask for the key before anything of the request's body is read."""

        async def guarded(request: Request) -> Response:
            self._check_key(request.headers.get("x-api-key"))
            return await handler(request)

        return guarded

    def _check_key(self, given: str | None) -> None:
        wanted = self.settings.api_key
        if not self.settings.api_key_required:
            return
        if wanted is None:
            raise Refused("closed: the service's env file sets no API_KEY", code="closed")
        if given is None:
            raise Refused("the header X-API-Key is missing", code="key")
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.reveal().encode()):
            raise Refused("the key in X-API-Key is wrong", code="key")

    async def _classify(
        self, request: Request, wanted: str, files: tuple[str, ...], field: str, most: int
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Read the whole request first, for a slow client must not hold up a reload; then prepare and predict."""
        name = f"{request.method} {request.url.path} {request.state.id}"
        if is_multipart(request, wanted):
            async with read_uploads(request, files, most) as uploads:

                def decoded(model: Classifier) -> list[np.ndarray]:
                    return [image_of(upload, model, self.settings) for upload in uploads]

                return await self._in_thread(self._answer, decoded, name)
        with self.reloader.lease(name) as (model, _):
            room = json_room(model, most)
        body = await read_json(request, room, wanted)
        given = body.get(field)
        if field == "arrays" and (not isinstance(given, list) or not 0 < len(given) <= most):
            raise Refused(f"`arrays` must be a list of 1 to {most}; send {SEVERAL}", code="request")
        if field not in body:
            raise Refused(f"`{field}` is missing; send {wanted}", code="request")

        def nested(model: Classifier) -> list[np.ndarray]:
            if field == "array":
                return [array_of(given, model)]
            return [array_of(one, model, f"arrays[{number}]") for number, one in enumerate(given or [])]

        return await self._in_thread(self._answer, nested, name)

    def _answer(self, inputs: Inputs, name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Prepare and predict on one worker, so that all answers are of one model."""
        with self.reloader.lease(name) as (model, worker):
            rows = model.probabilities(np.stack(inputs(model)))
            results = [answer_of(model, row) for row in rows]
            return results, {"model_path": str(model.file.path), "sha256": model.file.sha256, "worker": worker}

    async def _in_thread(self, work: Callable[..., R], *args: Any) -> R:
        return await to_thread.run_sync(lambda: work(*args), limiter=self._seats, abandon_on_cancel=True)

    async def _reload(self, path: Path) -> dict[str, Any]:
        try:
            done: Reloaded = await to_thread.run_sync(
                lambda: self.reloader.reload(lambda: load_classifier(path, self._runtime)), abandon_on_cancel=True
            )
        except (ReloadUnderWay, ReloadFailed) as failed:
            refused = refusal(failed)
            self.metrics.reloaded(refused.code)
            raise refused from failed
        self.metrics.reloaded("ok", drained=not done.left)
        about = self._tell()
        spans = {"prepare_s": done.prepare_s, "switch_s": done.switch_s, "drain_s": done.drain_s}
        return {**about, **spans, "previous_worker": done.previous.worker_id, "requests_left": list(done.left)}

    def _tell(self) -> dict[str, Any]:
        with self.reloader.lease("metrics") as (model, worker):
            self.metrics.serves(str(model.file.path), model.file.sha256, worker, model.loaded_at.timestamp())
            return about_model(model, worker)
