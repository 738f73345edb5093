"""Where the seconds of a training go, told apart by looking at when its steps end.

    importing    loading the libraries, torch above all
    loading      reading the data into memory
    starting     whatever comes before the first step, and what that takes longer than others:
                 making the network, preparing images, compiling, trying which way is fastest
    training     the steps
    validating   looking at the validation images after each epoch
    saving       writing the network
    measuring    reading the test images, and the validation images once more

Guarantees:

- The phases are wall-clock seconds, and add up to the whole but for the start of Python.
- How a recipe trains makes no difference: nothing is asked of it. A step that takes longer because
  something is compiled for it counts as training, unless it is the first.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from digitnet.training.progress import Progress


class Phases:
    """The seconds of one training, while it goes on."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._ends: list[tuple[float, bool]] = []
        """When each step ended, and whether an epoch ended with it."""

    @contextlib.contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Count the seconds of the block as those of a phase."""
        began = time.perf_counter()
        yield
        ended = time.perf_counter()
        if name == "training":
            self._seconds |= _divided(began, self._ends, ended)
        else:
            self._seconds[name] = ended - began

    def noting(self, on_progress: Callable[[Progress], None]) -> Callable[[Progress], None]:
        """Return a function that notes the end of a step, and then calls another."""

        def note(progress: Progress) -> None:
            self._ends.append((time.perf_counter(), progress.finished is not None))
            on_progress(progress)

        return note

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each phase that is over."""
        return dict(self._seconds)


def _divided(began: float, ends: list[tuple[float, bool]], ended: float) -> dict[str, float]:
    """Return the phases between the start of a training and its end.

    Args:
        began: when it began.
        ends: when each step ended, and whether the validation images were looked at in it.
        ended: when it was over.
    """
    if not ends:
        return {"starting": ended - began, "training": 0.0, "validating": 0.0, "saving": 0.0}
    gaps = [(after - before, over) for (before, _), (after, over) in pairwise(ends)]
    plain = [gap for gap, over in gaps if not over] or [gap for gap, _ in gaps] or [0.0]
    step = statistics.median(plain)
    first, last = ends[0][0], ends[-1][0]
    starting = max(first - began - step, 0.0)
    validating = sum(max(gap - step, 0.0) for gap, over in gaps if over)
    return {
        "starting": starting,
        "training": last - began - starting - validating,
        "validating": validating,
        "saving": ended - last,
    }
