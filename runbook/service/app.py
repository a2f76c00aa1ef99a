"""The application: the routes, what every request passes on its way to them, and how refusals are answered."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from runbook import __version__
from runbook.service.api import Api, Handler
from runbook.service.limit import UploadLimit
from runbook.service.openapi import REQUESTS
from runbook.service.refusals import Refused
from runbook.service.replies import json_reply
from runbook.service.watch import Watch

GONE = 499  # the client left before it was answered; nobody sees it but the log


def create_app(api: Api) -> ASGIApp:
    """Give the whole application over a started Api."""
    app = FastAPI(
        title="runbook reference service", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    for method, path, handler, summary in routes(api):
        app.add_api_route(path, handler, methods=[method], summary=summary, openapi_extra=REQUESTS.get(path))
        if method == "GET":  # as load balancers ask
            app.add_route(path, handler, methods=["HEAD"], include_in_schema=False)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _failed)
    origins = api.settings.cors_allow_origins
    limited = UploadLimit(app, api.settings.upload_limit())
    crossing = CORSMiddleware(
        limited, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["Content-Type", "X-API-Key"]
    )
    endpoints = frozenset({path for _, path, _, _ in routes(api)} | {"/openapi.json"})
    return Watch(crossing, api.metrics, endpoints, origins)


def routes(api: Api) -> tuple[tuple[str, str, Handler, str], ...]:
    """Give the whole API: method, path, handler, and what it is for."""
    return (
        ("GET", "/health", api.health, "Say that the process is alive."),
        ("GET", "/ready", api.ready, "Say whether requests are served: 200, or 503."),
        ("GET", "/version", api.version, "Say which model serves."),
        ("GET", "/metrics", api.metrics_page, "Give the metrics as Prometheus reads them."),
        ("POST", "/predict", api.predict, "Classify one image or array."),
        ("POST", "/batch", api.keyed(api.batch), "Classify several; needs the key."),
        ("POST", "/reload", api.keyed(api.reload), "Replace the model; needs the key."),
        ("POST", "/admin/model/reload", api.keyed(api.reload_same), "Load the same path again; needs the key."),
    )


async def _refused(request: Request, error: Any) -> Response:
    request.state.code = error.code
    return json_reply({"detail": error.detail, "code": error.code}, error.status)


async def _http_error(request: Request, error: Any) -> Response:
    """Answer what the framework refuses (no such route, wrong method) and a body that turned out too large."""
    code = "too_large" if error.status_code == 413 else "http"
    request.state.code = code
    return json_reply({"detail": error.detail, "code": code}, error.status_code, headers=error.headers)


async def _gone(_request: Request, _error: Any) -> Response:
    return Response(status_code=GONE)


async def _failed(request: Request, _error: Any) -> Response:
    """Answer a fault of ours; Watch logs it."""
    return json_reply({"detail": "internal error", "code": "error", "request_id": request.state.id}, 500)
