"""Intervals and summaries, so that every figure comes with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Summary:
    """Several measurements of one quantity."""

    count: int
    mean: float
    sd: float
    """Sample standard deviation (n − 1 below the line); 0 for a single value."""
    low: float
    """Smallest value."""
    high: float
    """Largest value."""


def summarise(values: Sequence[float]) -> Summary:
    """Summarise ``values``, at least one.

    Raises:
        ValueError: there are none.
    """
    if not len(values):
        raise ValueError("Cannot summarise no values; give at least one.")
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Summary(len(values), math.fsum(values) / len(values), sd, min(values), max(values))


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share (E. B. Wilson, 1927).

    It stays inside [0, 1] and holds its level near 0 and 1, where accuracies live and where the
    usual ``p ± 1.96 standard errors`` does not.

    Raises:
        ValueError: there are no trials, or more successes than trials.
    """
    result = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(result.low), float(result.high)
