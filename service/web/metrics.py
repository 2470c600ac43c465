"""Numbers for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.web.events import Broadcaster

WARM = "Containers that wait, their framework imported, to be asked"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Counts(Protocol):
    """The store's part that metrics need."""

    def open_counts(self) -> Mapping[str, int]:
        """Return how many bisections are queued and running."""


class Metrics:
    """Counters of this process, and numbers from the store."""

    def __init__(self, store: Counts, broadcaster: Broadcaster, waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "tfbisect_http_requests", "Requests answered", ("method", "route", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "tfbisect_http_seconds",
            "Seconds to the head of an answer",
            ("route",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.submissions = Counter(
            "tfbisect_submissions",
            "Bisections submitted, by how they were answered",
            ("answer",),
            registry=self._registry,
        )
        self._registry.register(_Open(store, broadcaster, waiting))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _Open(Collector):
    """What is open right now."""

    def __init__(self, store: Counts, broadcaster: Broadcaster, waiting: Callable[[], int]) -> None:
        self._store = store
        self._waiting = waiting
        self._broadcaster = broadcaster

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Describe the metrics without the store."""
        yield GaugeMetricFamily("tfbisect_bisections_open", "Bisections queued and running", labels=("status",))
        yield GaugeMetricFamily("tfbisect_event_streams", "Event streams open in this process")
        yield GaugeMetricFamily("tfbisect_warm_containers", WARM)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        bisections = GaugeMetricFamily("tfbisect_bisections_open", "Bisections queued and running", labels=("status",))
        for status, count in self._store.open_counts().items():
            bisections.add_metric((status,), count)
        yield bisections
        yield GaugeMetricFamily(
            "tfbisect_event_streams", "Event streams open in this process", value=self._broadcaster.streams
        )
        yield GaugeMetricFamily("tfbisect_warm_containers", WARM, value=self._waiting())


class Measured:
    """Counts requests by the route's template, never by the requested address."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer and count one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unmatched")
                self._metrics.requests.labels(scope["method"], route, message["status"]).inc()
                self._metrics.seconds.labels(route).observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, counted)
