"""The queue: bounded, in order, inks together, errors apart, nothing lost when it closes."""

import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import serving
from digitnet.errors import InputError
from digitnet.reading.inks import as_ink
from digitnet.reading.prediction import Ink
from digitnet.serving.problems import RefusedError
from digitnet.serving.work_queue import BATCH, WorkQueue


def named(name: str) -> Ink:
    return Ink(np.full((1, 1), float(name), np.float32), None)


class Reader:
    """Notes which inks were computed together; its answer to an ink is its name."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []

    def __call__(self, inks: Sequence[Ink]) -> list[Any]:
        names = [float(ink.pixels[0, 0]) for ink in inks]
        self.batches.append(names)
        return names


def held(queue: WorkQueue) -> threading.Event:
    """Keep a thread of the queue busy until the event is set."""
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert go_on.wait(20)

    queue.run(hold)
    assert begun.wait(20)
    return go_on


def test_jobs_are_done_in_order_and_inks_together() -> None:
    async def main() -> None:
        reader, order = Reader(), []
        queue = WorkQueue(1, 100, reader)
        go_on = held(queue)
        calls = [queue.run(lambda: order.append("first"))]
        inks = queue.run_all([(lambda n=n: named(str(n)), True) for n in range(BATCH + 3)])
        calls.append(queue.run(lambda: order.append(f"after {len(reader.batches)}")))
        go_on.set()
        assert await asyncio.gather(*inks) == [float(n) for n in range(BATCH + 3)]
        await asyncio.gather(*calls)
        queue.close()
        assert [len(batch) for batch in reader.batches] == [BATCH, 3]
        # The rest of the inks came before the call that came after them.
        assert order == ["first", "after 2"]

    asyncio.run(main())


def test_one_more_than_may_wait_is_refused_and_none_that_waits_is_lost() -> None:
    async def main() -> None:
        queue = WorkQueue(1, 3, Reader())
        go_on = held(queue)
        waiting = [queue.run(lambda n=n: n) for n in range(3)]
        for ask in (queue.check_room, lambda: queue.run(int), lambda: queue.run_all([(int, True)])):
            with pytest.raises(RefusedError) as refused:
                ask()
            assert refused.value.status == 503
        go_on.set()
        assert await asyncio.gather(*waiting) == [0, 1, 2]
        # All or none: three fit, four never do.
        with pytest.raises(RefusedError):
            queue.run_all([(int, False)] * 4)
        assert await asyncio.gather(*queue.run_all([(int, False)] * 3)) == [0, 0, 0]
        queue.close()

    asyncio.run(main())


def test_an_error_is_of_one_job_alone() -> None:
    async def main() -> None:
        queue = WorkQueue(1, 100, Reader())
        go_on = held(queue)

        def bad() -> Ink:
            raise InputError("no ink")

        makes = (lambda: named("1"), bad, lambda: named("2"))
        inks = queue.run_all([(make, True) for make in makes])
        call = queue.run(lambda: 1 / 0)
        go_on.set()
        first, error, second = await asyncio.gather(*inks, return_exceptions=True)
        assert (first, second) == (1.0, 2.0)
        assert isinstance(error, InputError)
        with pytest.raises(ZeroDivisionError):
            await call
        assert await queue.run(lambda: "alive") == "alive"
        queue.close()

    asyncio.run(main())


def test_a_failing_batch_is_an_error_for_each_and_the_thread_lives() -> None:
    def fails(_inks: Sequence[Ink]) -> list[Any]:
        raise MemoryError

    async def main() -> None:
        queue = WorkQueue(1, 100, fails)
        futures = queue.run_all([(lambda: named("1"), True)] * 2)
        found = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(each) for each in found] == [MemoryError, MemoryError]
        assert await queue.run(lambda: 5) == 5
        queue.close()

    asyncio.run(main())


def test_what_nobody_waits_for_is_not_begun() -> None:
    async def main() -> None:
        begun: list[int] = []
        queue = WorkQueue(1, 100, Reader())
        go_on = held(queue)
        futures = [queue.run(lambda n=n: begun.append(n)) for n in range(4)]

        def ink(number: int) -> Ink:
            begun.append(number)
            return named(str(number))

        futures += queue.run_all([(lambda n=n: ink(n), True) for n in range(4, 8)])
        for number in (0, 2, 4, 6):
            futures[number].cancel()
        go_on.set()
        await asyncio.gather(*futures[1::2])
        queue.close()
        assert begun == [1, 3, 5, 7]

    asyncio.run(main())


def test_closing_finishes_what_waits_and_takes_nothing_more() -> None:
    async def main() -> None:
        queue = WorkQueue(2, 100, Reader())
        futures = [queue.run(lambda n=n: n) for n in range(50)]
        await asyncio.get_running_loop().run_in_executor(None, queue.close)
        assert await asyncio.gather(*futures) == list(range(50))
        with pytest.raises(RefusedError, match="stopping"):
            queue.run(int)

    asyncio.run(main())


def test_threads_start_with_the_first_job_and_are_as_many_as_asked() -> None:
    async def main() -> None:
        before = threading.active_count()
        queue = WorkQueue(3, 100, Reader())
        assert threading.active_count() == before
        await queue.run(int)
        assert threading.active_count() == before + 3
        queue.close()
        assert threading.active_count() == before

    asyncio.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all threads are equally urgent")
def test_threads_that_compute_let_the_one_that_talks_to_clients_go_first() -> None:
    def urgency() -> int:
        return -os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def main() -> None:
        queue = WorkQueue(1, 4, Reader())
        assert await queue.run(urgency) < urgency()
        queue.close()

    asyncio.run(main())


def test_inks_of_any_size_together_are_what_they_are_alone() -> None:
    reader = serving.recognizer()
    inks = [serving.ink(n) for n in range(12)]
    inks += [np.kron(ink, np.ones((k, k), np.uint8)) for k, ink in enumerate(inks[:6], 2)]

    async def main() -> list[Any]:
        queue = WorkQueue(1, 100, reader.predictions_of)
        go_on = held(queue)
        futures = queue.run_all([(lambda ink=ink: as_ink(ink), True) for ink in inks])
        go_on.set()
        found = await asyncio.gather(*futures)
        queue.close()
        return found

    for ink, together in zip(inks, asyncio.run(main()), strict=True):
        alone = reader.predict_ink(ink)
        assert together.digit == alone.digit
        np.testing.assert_allclose(together.probabilities, alone.probabilities, atol=1e-5, rtol=0)
