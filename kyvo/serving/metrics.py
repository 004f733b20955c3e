"""Prometheus metrics: requests, jobs, tokens and the queue. Each server has a registry of its own."""

import time
from collections.abc import Callable, Collection
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

Scope = Any  # ASGI's
SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60)  # a recognition by a small model to an editing by a large one


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._queues: list[tuple[Callable[[], float], Callable[[], float]]] = []
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        own = self.registry
        self.requests = Counter("kyvo_requests", "Requests, by path and status.", ["path", "status"], registry=own)
        self.seconds = Histogram("kyvo_request_seconds", "From head to end.", ["path"], buckets=SECONDS, registry=own)
        self.jobs = Counter("kyvo_jobs", "Jobs, by task and how they ended.", ["task", "outcome"], registry=own)
        self.tokens = Counter("kyvo_tokens", "Tokens that went in and came out.", ["kind"], registry=own)
        self.waiting = Gauge("kyvo_jobs_waiting", "Jobs that were taken and have not begun.", registry=own)
        self.running = Gauge("kyvo_jobs_running", "Jobs that the model works on.", registry=own)

    def show_queue(self, *, waiting: Callable[[], float], running: Callable[[], float]) -> None:
        """Has the gauges read these when they are asked; of several queues the sums."""
        self._queues.append((waiting, running))
        self.waiting.set_function(lambda: sum(queue[0]() for queue in self._queues))
        self.running.set_function(lambda: sum(queue[1]() for queue in self._queues))


class CountRequests:
    """ASGI middleware: counts and times every request. Paths that are not in `known` are one, `other`."""

    def __init__(self, app: Any, *, metrics: Metrics, known: Collection[str]) -> None:
        self.app = app
        self.metrics = metrics
        self.known = frozenset(known)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def send_seen(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_seen)
        finally:
            path = scope["path"] if scope["path"] in self.known else "other"
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)
