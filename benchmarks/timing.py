"""What the speed benchmarks have in common; it needs nothing but Python."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any


def summary(values: list[float]) -> dict[str, Any]:
    """Return median, smallest, largest and all."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "values": values,
    }


def starting(began: float, ends: Sequence[float]) -> float:
    """Return how much longer the first step took than the others, in seconds.

    Args:
        began: when the first step began.
        ends: when each step ended; two or more.
    """
    return max(ends[0] - began - statistics.median(b - a for a, b in pairwise(ends)), 0.0)
