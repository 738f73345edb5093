"""From boxes to lines, as people read: line by line from the top, each from left to right.

Guarantees:

- Every box is in exactly one line. What stands in one row is one line, however far apart: the cells
  of a table, the fields of a form. What stands below another is another line.
- Rows may slope, each a little otherwise, and digits of a row may differ in size and height.
- The same boxes in another order give the same lines.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

# Of a digit's size: a step further up or down than this is one to another line; and than this, if
# neither has anything above or below the other.
_STEP, _FAR_STEP = 0.55, 0.8
# Slopes that are tried for the whole page; what slopes more is a page that lies.
_STEEPEST, _TRIED = 0.4, 81
_SLOPES = np.linspace(-_STEEPEST, _STEEPEST, _TRIED)
# Steps up or down that a slope must save, for each unit of it: level is what most rows are.
_LEVEL = 8.0
# A line may slope by so much otherwise than the page, once it is as long as four digits are large.
_OWN_SLOPE, _LONG = 0.12, 4.0
# Boxes of a bare 1 on its side or of a flat sign are lower than its neighbours.
_FLAT = 0.6
# Of the narrower of two boxes: neighbours in a row may overlap by so much.
_OVERLAP = 0.35

_Floats = NDArray[np.float64]


def in_lines(boxes: NDArray[np.float32]) -> tuple[tuple[int, ...], ...]:
    """Return the places of boxes, line by line, in the order in which they are read.

    Args:
        boxes: (K, 4), left, top, right, bottom, in any unit.
    """
    if len(boxes) < 2:
        return ((0,),) * len(boxes)
    corners = boxes.astype(np.float64)
    x, y = (corners[:, axis] / 2 + corners[:, axis + 2] / 2 for axis in (0, 1))
    width, height = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    size = np.maximum(np.maximum(height, _FLAT * width), 1e-6)
    level = y - _slope(x, y, float(np.median(size))) * x
    lines: list[list[int]] = []
    for place in np.lexsort((level, x)).tolist():
        near = [line for line in lines if _is_near(line[-1], place, x, level, size)]
        steps = [_step(line, place, x, level, size) for line in near]
        nearest = int(np.argmin(steps)) if steps else 0
        if steps and steps[nearest] <= _STEP:
            near[nearest].append(place)
        else:
            lines.append([place])
    while joined := _joined(lines, corners, level, size):
        lines = joined
    lines.sort(key=lambda line: float(np.mean(level[line])))
    return tuple(map(tuple, lines))


def _slope(x: _Floats, y: _Floats, size: float) -> float:
    """Return the slope along which the centres gather in the fewest and the tightest rows."""
    heights = np.sort(y - _SLOPES[:, None] * x, axis=1)
    steps = np.minimum(np.diff(heights, axis=1) / size, 1).sum(axis=1)
    return float(_SLOPES[np.argmin(steps + _LEVEL * np.abs(_SLOPES))])


def _is_near(last: int, place: int, x: _Floats, level: _Floats, size: _Floats) -> bool:
    """Return whether a box may belong to the line that ends with another one."""
    reach = 3 * max(size[last], size[place]) + 2 * _OWN_SLOPE * abs(x[place] - x[last])
    return bool(abs(level[place] - level[last]) < reach)


def _step(line: list[int], place: int, x: _Floats, level: _Floats, size: _Floats) -> float:
    """Return how far a box is above or below where a line arrives at it, in digits' sizes."""
    last = line[-3:]
    expected = float(np.median(level[last]))
    unit = float(np.median(size[line]))
    if x[line[-1]] - x[line[0]] > _LONG * unit:
        own = float(np.polyfit(x[line], level[line], 1)[0])
        expected += float(np.clip(own, -_OWN_SLOPE, _OWN_SLOPE) * (x[place] - np.mean(x[last])))
    return abs(float(level[place]) - expected) / max(unit, float(size[place]))


def _joined(
    lines: list[list[int]], corners: _Floats, level: _Floats, size: _Floats
) -> list[list[int]]:
    """Return lines with the nearest two made one, if they may be pieces of one row; or nothing."""
    nearest, chosen = _FAR_STEP, None
    means = [(float(np.mean(level[line])), float(np.max(size[line]))) for line in lines]
    for pair in itertools.combinations(range(len(lines)), 2):
        (high, one_size), (low, other_size) = (means[number] for number in pair)
        if abs(high - low) > 2 * max(one_size, other_size):
            continue
        step = _gap(lines[pair[0]], lines[pair[1]], corners, level, size)
        if step < nearest:
            nearest, chosen = step, pair
    if chosen is None:
        return []
    one, other = (lines[number] for number in chosen)
    row = sorted(one + other, key=lambda place: corners[place, 0] + corners[place, 2])
    return [row, *(line for line in lines if line is not one and line is not other)]


def _gap(
    one: list[int], other: list[int], corners: _Floats, level: _Floats, size: _Floats
) -> float:
    """Return how far one line is above the other where they meet; infinite if they overlap."""
    left, right = corners[:, 0], corners[:, 2]
    over = np.minimum.outer(right[one], right[other]) - np.maximum.outer(left[one], left[other])
    width = np.minimum.outer((right - left)[one], (right - left)[other])
    if (over > _OVERLAP * width).any():
        return math.inf
    row = sorted(one + other, key=lambda place: left[place] + right[place])
    steps = [
        abs(level[a] - level[b]) / max(size[a], size[b])
        for a, b in itertools.pairwise(row)
        if (a in one) != (b in one)
    ]
    return float(max(steps))
