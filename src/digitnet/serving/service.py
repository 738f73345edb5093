"""A running service: one recogniser, its queue, its settings and its counters.

Guarantees: a service that drains still answers what it gets, but says that it is not ready, and
asks every client to close its connection.
"""

from __future__ import annotations

from digitnet.reading.recognizer import Recognizer
from digitnet.serving.service_metrics import ServiceMetrics
from digitnet.serving.service_settings import ServiceSettings
from digitnet.serving.work_queue import WorkQueue


class Service:
    """What the routes share.

    Args:
        recognizer: what reads.
        settings: how the service behaves.
    """

    def __init__(self, recognizer: Recognizer, settings: ServiceSettings) -> None:
        self.recognizer, self.settings = recognizer, settings
        self.queue = WorkQueue(settings.threads, settings.max_waiting, recognizer.predictions_of)
        self.metrics = ServiceMetrics()
        self.metrics.watch(self.queue.__len__)
        self.queue.on_batch = self.metrics.count_batch
        self.draining = False
        """Whether it was told to stop."""
