"""What the service counts of itself, in a registry of its own, for Prometheus."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})


class Metrics:
    """The metrics; every label's values are few, whatever clients send."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        here = self.registry = CollectorRegistry()
        self._requests = Counter("api_request", "Requests answered.", ["endpoint", "method", "status"], registry=here)
        self._latency = Histogram(
            "api_request_latency_seconds", "Time to answer.", ["endpoint", "method"], buckets=BUCKETS, registry=here
        )
        self.in_flight = Gauge("api_requests_in_flight", "Requests at work.", registry=here)
        self._refused_origins = Counter(
            "api_cors_refused", "Requests of pages whose origin is not allowed.", registry=here
        )
        self._reloads = Counter(
            "model_reload", "Reloads by outcome: ok, or the code of the refusal.", ["outcome"], registry=here
        )
        self._drain_timeouts = Counter(
            "model_drain_timeout", "Reloads whose old requests took too long.", registry=here
        )
        self._model = Gauge(
            "model_info", "1 for the model that serves.", ["model_path", "sha256", "worker"], registry=here
        )
        self._loaded = Gauge("model_loaded_timestamp_seconds", "When the model that serves was loaded.", registry=here)

    def answered(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        method = method if method in METHODS else "OTHER"
        self._requests.labels(endpoint, method, str(status)).inc()
        self._latency.labels(endpoint, method).observe(seconds)

    def refused_origin(self) -> None:
        self._refused_origins.inc()

    def reloaded(self, outcome: str, *, drained: bool = True) -> None:
        """Count a reload."""
        self._reloads.labels(outcome).inc()
        if not drained:
            self._drain_timeouts.inc()

    def serves(self, model_path: str, sha256: str, worker: str, loaded_at: float) -> None:
        """Tell of the model that serves from now on."""
        self._model.clear()
        path = model_path.encode("utf-8", "backslashreplace").decode()
        self._model.labels(path, sha256, worker).set(1)
        self._loaded.set(loaded_at)

    def page(self) -> bytes:
        text: bytes = generate_latest(self.registry)
        return text
