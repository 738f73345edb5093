"""A bounded queue in front of a few threads, where inks are computed together.

Guarantees:

- No more than ``most`` jobs wait: one more is refused at once, and none of those that wait is lost.
- The oldest job comes first. When it is an ink, all other inks that wait, up to ``BATCH``, are
  computed with it; the answers are those of each alone, to 1e-5. Nothing waits for company.
- A job whose caller has given up is not begun.
- An error of one job, an ink of a batch included, is that job's alone.
- A queue that is closed finishes what waits, and takes nothing more.
- Where the system lets threads differ (Linux), those that compute stand back for the one that talks
  to clients: whoever is turned away hears so at once.

Any callable may be a job, so that all that computes shares the same few threads.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from digitnet.reading.prediction import Ink, Prediction
from digitnet.serving.problems import overloaded, refused_for_now

# What one call computes: of more, layers no longer fit in a core's cache.
BATCH = 16
# By so much are the threads of a queue nicer than their process, which costs no throughput.
_NICER = 10

_T = TypeVar("_T")


@dataclass(eq=False)
class _Job(Generic[_T]):
    """A call, and the future of the event loop that waits for it."""

    call: Callable[[], _T]
    is_ink: bool
    number: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    future: asyncio.Future[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.future = self.loop.create_future()


class WorkQueue:
    """Runs jobs of an event loop on threads of its own.

    Args:
        threads: how many.
        most: how many jobs may wait for one.
        read_inks: computes the predictions of inks together.
    """

    def __init__(
        self, threads: int, most: int, read_inks: Callable[[Sequence[Ink]], list[Prediction]]
    ) -> None:
        self._count, self._most, self._read_inks = threads, most, read_inks
        self._changed = threading.Condition()
        self._calls: deque[_Job[Any]] = deque()
        self._inks: deque[_Job[Ink]] = deque()
        self._numbers, self._closed = 0, False
        self._threads: list[threading.Thread] = []
        self.on_batch: Callable[[int], None] = lambda _size: None
        """Is called, in a thread of the queue, with the number of inks computed together."""

    def __len__(self) -> int:
        return len(self._calls) + len(self._inks)

    @property
    def is_full(self) -> bool:
        """Whether one more job would be refused."""
        return self._closed or len(self) >= self._most

    def check_room(self, jobs: int = 1) -> None:
        """Refuse what could not wait now.

        Raises:
            RefusedError: there is no room for so many jobs, or the queue is closed.
        """
        if self._closed:
            raise refused_for_now("The service is stopping. Try again in a second.")
        if len(self) + jobs > self._most:
            raise overloaded()

    def run(self, call: Callable[[], _T]) -> asyncio.Future[_T]:
        """Return the future of a call, which must be awaited in the loop that asked.

        Raises:
            RefusedError: as for ``check_room``.
        """
        return self.run_all([(call, False)])[0]

    def run_all(self, calls: Sequence[tuple[Callable[[], Any], bool]]) -> list[asyncio.Future[Any]]:
        """Return the futures of several calls, all of which find room or none.

        Args:
            calls: each with whether it makes an ink, whose prediction is wanted.

        Raises:
            RefusedError: as for ``check_room``.
        """
        with self._changed:
            self.check_room(len(calls))
            jobs = []
            for call, is_ink in calls:
                self._numbers += 1
                job = _Job(call, is_ink, self._numbers)
                (self._inks if is_ink else self._calls).append(job)
                jobs.append(job)
            # Only when there is work: whoever just builds a service starts no threads.
            while len(self._threads) < self._count:
                name = f"digitnet-{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
                self._threads[-1].start()
            self._changed.notify(len(jobs))
        return [job.future for job in jobs]

    def open(self) -> None:
        """Take jobs again after ``close``."""
        self._closed = False

    def close(self) -> None:
        """Take nothing more, finish what waits, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _work(self) -> None:
        _stand_back()
        while jobs := self._next():
            outcomes = self._computed(jobs) if jobs[0].is_ink else [_outcome(jobs[0].call)]
            for loop in {job.loop for job in jobs}:
                pairs = [
                    (job.future, outcome)
                    for job, outcome in zip(jobs, outcomes, strict=True)
                    if job.loop is loop
                ]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_deliver, pairs)

    def _next(self) -> list[_Job[Any]]:
        """Return the jobs to do now, waiting for some; none when the queue is closed."""
        with self._changed:
            while not (found := self._taken()):
                if self._closed:
                    return []
                self._changed.wait()
            return found

    def _taken(self) -> list[_Job[Any]]:
        """Return the oldest job that is still wanted, and those that are computed with it."""
        for waiting in (self._calls, self._inks):
            while waiting and waiting[0].future.cancelled():
                waiting.popleft()
        first_call = self._calls[0].number if self._calls else self._numbers + 1
        if self._inks and self._inks[0].number < first_call:
            wanted = (job for job in _emptied(self._inks) if not job.future.cancelled())
            if inks := list(itertools.islice(wanted, BATCH)):
                return inks
            # All were given up meanwhile.
        return [self._calls.popleft()] if self._calls else []

    def _computed(self, jobs: list[_Job[Any]]) -> list[Any]:
        """Return the predictions of inks, or the error in the place of each."""
        made = [_outcome(job.call) for job in jobs]
        inks = [one for one in made if isinstance(one, Ink)]
        self.on_batch(len(inks))
        read = _outcome(lambda: self._read_inks(inks)) if inks else []
        if isinstance(read, BaseException):
            return [read if isinstance(one, Ink) else one for one in made]
        predictions = iter(read)
        return [next(predictions) if isinstance(one, Ink) else one for one in made]


def _emptied(waiting: deque[_T]) -> Iterator[_T]:
    """Take one after the other off a queue, only as they are asked for."""
    while waiting:
        yield waiting.popleft()


def _stand_back() -> None:
    """Give other threads of this process the processor first."""
    if sys.platform == "linux":
        # Elsewhere this would be of the whole process.
        os.nice(_NICER)


def _outcome(call: Callable[[], Any]) -> Any:
    """Return what a call returns or raises."""
    try:
        return call()
    except Exception as error:
        # The one who waits for it gets it.
        return error


def _deliver(pairs: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in pairs:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
