"""From boxes to lines, as people read: line by line from the top, each from left to right.

Guarantees:

- Every box is in exactly one line. What stands in one row is one line, however far apart: the cells
  of a table, the fields of a form. What stands below another is another line.
- Rows may slope, each a little otherwise, and digits of a row may differ in size and height.
- The same boxes in another order give the same lines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Of a digit's size: a step further up or down than this is one to another line.
_STEP = 0.55
# Slopes that are tried for the whole page; what slopes more is a page that lies.
_SLOPES = np.linspace(-0.4, 0.4, 81)
# Steps up or down that a slope must save, for each unit of it: level is what most rows are.
_LEVEL = 1.0
# A line may slope by so much otherwise than the page, once it is as long as four digits are large.
_OWN_SLOPE, _LONG = 0.12, 4.0
# Boxes of a bare 1 on its side or of a flat sign are lower than its neighbours.
_FLAT = 0.6

_Floats = NDArray[np.float64]


def in_lines(boxes: NDArray[np.float32]) -> tuple[tuple[int, ...], ...]:
    """Return the places of boxes, line by line, in the order in which they are read.

    Args:
        boxes: (K, 4), left, top, right, bottom, in any unit.
    """
    if not len(boxes):
        return ()
    corners = boxes.astype(np.float64)
    x, y = (corners[:, axis] / 2 + corners[:, axis + 2] / 2 for axis in (0, 1))
    width, height = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    size = np.maximum(np.maximum(height, _FLAT * width), 1e-6)
    level = y - _slope(x, y, float(np.median(size))) * x
    lines: list[list[int]] = []
    for place in np.lexsort((level, x)).tolist():
        steps = [_step(line, place, x, level, size) for line in lines]
        nearest = int(np.argmin(steps)) if steps else 0
        if steps and steps[nearest] <= _STEP:
            lines[nearest].append(place)
        else:
            lines.append([place])
    lines.sort(key=lambda line: float(np.mean(level[line])))
    return tuple(map(tuple, lines))


def _slope(x: _Floats, y: _Floats, size: float) -> float:
    """Return the slope along which the centres gather in the fewest and the tightest rows."""
    heights = np.sort(y - _SLOPES[:, None] * x, axis=1)
    steps = np.minimum(np.diff(heights, axis=1) / size, 1).sum(axis=1)
    return float(_SLOPES[np.argmin(steps + _LEVEL * np.abs(_SLOPES))])


def _step(line: list[int], place: int, x: _Floats, level: _Floats, size: _Floats) -> float:
    """Return how far a box is above or below where a line arrives at it, in digits' sizes."""
    last = line[-3:]
    expected = float(np.median(level[last]))
    unit = float(np.median(size[line]))
    if x[line[-1]] - x[line[0]] > _LONG * unit:
        own = float(np.polyfit(x[line], level[line], 1)[0])
        expected += float(np.clip(own, -_OWN_SLOPE, _OWN_SLOPE) * (x[place] - np.mean(x[last])))
    return abs(float(level[place]) - expected) / max(unit, float(size[place]))
