"""Ruled and squared paper: lines as dark as the pen, removed from a mask of ink.

Guarantees:

- A mask in which nothing runs from one side of the frame to the other is returned as it is.
- What is broader than the lines stays, where it lies on a line too; the gaps that a removed line
  leaves in strokes across it are closed.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from digitnet.reading.ink.components import Part

Mask = NDArray[np.uint8]

# A part runs across the frame when it is this part of it long.
_ACROSS = 0.9
# A line is straight for this part of the frame, and may lean by two pixels either way meanwhile.
_STRAIGHT, _LEAN = 0.12, 2
# The broadest lines, in pixels of the reduced picture.
_BROADEST = 5


def without_rules(mask: Mask, parts: list[Part]) -> Mask:
    """Return ``mask`` (0 or 255) without the lines of the paper.

    Args:
        mask: uint8 (H, W).
        parts: its connected parts.
    """
    height, width = mask.shape
    across = any(part.width >= _ACROSS * width for part in parts if part.sides > 1)
    down = any(part.height >= _ACROSS * height for part in parts if part.sides > 1)
    if not (across or down):
        return mask
    lines = np.zeros_like(mask)
    if across:
        lines |= _straight_runs(mask, down=False)
    if down:
        lines |= _straight_runs(mask, down=True)
    if not cv2.countNonZero(lines):
        return mask
    breadth = _breadth(lines)
    if breadth > _BROADEST:
        return mask
    return _repaired(mask, lines, breadth)


def _straight_runs(mask: Mask, *, down: bool) -> Mask:
    """Return what lies on long straight runs across (or down) the frame."""
    length = max(15, round(_STRAIGHT * max(mask.shape)))
    run, lean = (length, 1), (1, 2 * _LEAN + 1)
    if not down:
        run, lean = run[::-1], lean[::-1]
    leaning = cv2.dilate(mask, np.ones(lean, np.uint8))
    runs = cv2.morphologyEx(leaning, cv2.MORPH_OPEN, np.ones(run, np.uint8))
    return np.asarray(cv2.bitwise_and(runs, mask), np.uint8)


def _breadth(lines: Mask) -> int:
    """Return how broad most of the lines are, in pixels."""
    inside = cv2.distanceTransform(lines, cv2.DIST_C, 3)
    ridge = (inside > 0) & (inside >= cv2.dilate(inside, np.ones((3, 3), np.uint8)))
    return int(2 * np.median(inside[ridge]))


def _repaired(mask: Mask, lines: Mask, breadth: int) -> Mask:
    """Take the lines out, but leave what is broader, and close the gaps in what crosses them."""
    size = breadth + 2
    broad = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
    kept = cv2.bitwise_or(cv2.subtract(mask, lines), broad)
    closed = cv2.morphologyEx(kept, cv2.MORPH_CLOSE, np.ones((size, size), np.uint8))
    return np.asarray(cv2.bitwise_and(closed, mask), np.uint8)
