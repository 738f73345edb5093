"""Tasks on Ray: a function called for each of many items, so many at a time.

Guarantees:

- No more than the allowed number of items, and their results, are held at a time.
- What a lost node had under way is called again elsewhere: a function must bear being called twice.
- An error of one item is a result like another; the others go on.
- When the caller stops, or says that it must, what runs is told to stop and given some seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

from digitnet.errors import DigitnetError
from digitnet.experiments.cluster.session import reason

Item = TypeVar("Item")
Result = TypeVar("Result")

# How often a task whose process or node was lost is begun again.
RETRIES = 5
# How long nothing may come back before it is asked whether there is anybody left to work.
_PATIENCE_SECONDS = 30.0
# Between two looks whether to stop.
_LOOK_SECONDS = 0.3
_FAREWELL_SECONDS = 10.0


def results(
    function: Callable[..., Result],
    items: Iterable[Item],
    *,
    common: dict[str, Any],
    threads: int,
    limit: Callable[[], int],
    should_stop: Callable[[], bool],
) -> Generator[tuple[Item, Result | DigitnetError]]:
    """Yield each item with what ``function(item, **common)`` returned, as they come.

    Args:
        function: of a module, which every node of the cluster has.
        items: taken one after the other, as places become free.
        common: what every call gets; sent to each node once.
        threads: of each call: so many processors of a node it takes.
        limit: asked before each item, how many may be under way.
        should_stop: asked now and then; nothing more comes when it says so.

    Raises:
        DigitnetError: no node is left that could run anything.
    """
    import ray

    remote = ray.remote(function).options(num_cpus=threads, max_retries=RETRIES)
    shared = {name: ray.put(value) for name, value in common.items()}
    running: dict[Any, Item] = {}
    try:
        for item in items:
            while len(running) >= max(1, limit()) and not should_stop():
                yield from _ended(running, threads, should_stop)
            if should_stop():
                return
            running[remote.remote(item, **shared)] = item
        while running and not should_stop():
            yield from _ended(running, threads, should_stop)
    finally:
        _stop(list(running))


def processors() -> int:
    """Return how many processors the cluster has now."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


def largest_node() -> int:
    """Return how many processors the largest node of the cluster has now."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    return max((int(node["Resources"].get("CPU", 0)) for node in alive), default=0)


def _ended(
    running: dict[Any, Item], threads: int, should_stop: Callable[[], bool]
) -> Iterator[tuple[Item, Result | DigitnetError]]:
    """Wait until something has ended, take it from ``running``, and yield what came of it."""
    import ray

    done: list[Any] = []
    asked = time.monotonic()
    while not done and not should_stop():
        done, _ = ray.wait(list(running), timeout=_LOOK_SECONDS)
        if done or time.monotonic() - asked < _PATIENCE_SECONDS:
            continue
        asked = time.monotonic()
        if largest_node() < threads:
            raise DigitnetError(
                f"The cluster has no node left with {threads} processor(s) for this. What is "
                "finished is kept; when nodes have joined again, the same command goes on."
            )
    for reference in done:
        yield running.pop(reference), _result(reference)


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, DigitnetError):
            return error.cause
        name = type(error.cause).__name__
        return DigitnetError(f"digitnet met an error it did not expect: {name}: {error.cause}")
    except ray.exceptions.RayError as error:
        return DigitnetError(f"Its process ended {RETRIES + 1} times: {reason(error)}")


def _stop(running: list[Any]) -> None:
    """Interrupt what runs, as Ctrl-C would, and wait a little for it to end."""
    import ray

    for reference in running:
        ray.cancel(reference)
    if running:
        ray.wait(running, num_returns=len(running), timeout=_FAREWELL_SECONDS)
