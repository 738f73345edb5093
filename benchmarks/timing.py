"""What the speed benchmarks have in common; it needs nothing but Python."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
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


def told_by(command: list[str]) -> dict[str, Any]:
    """Run a process and return the JSON on the last line that it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        # TensorFlow writes a page of notes to stderr at every start; it is shown when it matters.
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]
