"""What a service counts, for Prometheus.

Guarantees:

- Two services in one process count apart.
- Several workers of one service are counted together where ``PROMETHEUS_MULTIPROC_DIR`` was set
  before the first of them started; ``digitnet serve --workers`` does so. What the kernel knows of a
  process (``process_resident_memory_bytes`` and the like) is there for one worker only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16)
MEDIA_TYPE = CONTENT_TYPE_LATEST


class ServiceMetrics:
    """Counters of one service in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        shared: Any = {"registry": self._registry, "namespace": "digitnet"}
        self._requests = Counter(
            "requests", "Requests answered, by route and status.", ("route", "status"), **shared
        )
        self._seconds = Histogram(
            "request_seconds",
            "Seconds from the head of a request to the end of its answer, by route.",
            ("route",),
            buckets=_SECONDS,
            **shared,
        )
        self._batches = Histogram(
            "batch_inks", "Inks that were computed together.", buckets=_SIZES, **shared
        )
        self._inputs = Counter(
            "inputs", "Pictures and drawings, by what came of them.", ("outcome",), **shared
        )
        self.in_flight = Gauge(
            "requests_in_flight",
            "Requests being answered.",
            multiprocess_mode="livesum",
            **shared,
        )
        self._waiting = Gauge(
            "jobs_waiting", "Jobs that wait for a thread.", multiprocess_mode="livesum", **shared
        )
        self._asked: Callable[[], int] = lambda: 0
        if SHARED_FOLDER not in os.environ:
            ProcessCollector(registry=self._registry)

    def watch(self, waiting: Callable[[], int]) -> None:
        """Say how many jobs wait, by asking whenever a request is counted or somebody looks."""
        self._asked = waiting

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._waiting.set(self._asked())

    def count_batch(self, size: int) -> None:
        """Count inks that are computed together."""
        self._batches.observe(size)

    def count_input(self, outcome: str) -> None:
        """Count a picture or drawing: ``read``, ``refused`` or ``unreadable``."""
        self._inputs.labels(outcome).inc()

    def as_text(self) -> bytes:
        """Return everything as Prometheus reads it, of all workers."""
        self._waiting.set(self._asked())
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def forget(process: int) -> None:
    """Stop counting what a worker that has ended was doing."""
    if SHARED_FOLDER in os.environ:
        mark_process_dead(process)  # type: ignore[no-untyped-call]
