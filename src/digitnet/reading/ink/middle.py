"""The ink in the middle of a picture that was cut out of a row of writing.

Elsewhere parts that are side by side are taken for one digit, as the two strokes of a five are. In
a picture cut from a row, what is at the left and right edge belongs to a neighbour, and an upright
line beside the middle is the rule of a column.

Guarantees: ink is only removed, and never all of it; a picture with one part and no upright line
beside it keeps its ink as it is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from digitnet.reading.prediction import Box, Ink

Pixels = NDArray[np.float32]

# From this much ink a pixel belongs to a part.
_STROKE = 0.3
# A part this near to the left or right edge of the picture, in pixels, is cut off by it.
_EDGE = 1.5
# How sharply the middle is preferred, as a fraction of the picture's width.
_MIDDLE = 0.2
# A part belongs to the main one if at least this fraction of its width is above or below that.
_SHARED = 0.3
# An upright line this high, as a fraction of the picture, and this far from its middle, as a
# fraction of its width, is a rule: a one is in the middle.
_RULE_HEIGHT, _RULE_AWAY = 0.7, 0.2
# At least this fraction of the ink must remain, or a digit was taken for a rule.
_LEAST = 0.15


def only_middle(found: Ink, height: int, width: int) -> Ink:
    """Return the ink without what is beside the digit in the middle.

    Args:
        found: the ink of a picture.
        height: of that picture, in pixels.
        width: of that picture, in pixels.
    """
    if found.box is None:
        return found
    place = _place(found.pixels, found.box)
    pixels = _without_rules(found.pixels, place, height, width)
    pixels = _without_neighbours(pixels, place, width)
    if pixels is found.pixels:
        return found
    return Ink(pixels, _box_of(pixels, found))


def _without_rules(pixels: Pixels, place: tuple[float, float], height: int, width: int) -> Pixels:
    """Return the ink without upright lines beside the middle."""
    start, scale = place
    strokes = (pixels > _STROKE).astype(np.uint8)
    reach = max(3, int(_RULE_HEIGHT * min(height / scale, strokes.shape[0])))
    lines = cv2.morphologyEx(strokes, cv2.MORPH_OPEN, np.ones((reach, 1), np.uint8))
    middles = start + (np.arange(strokes.shape[1]) + 0.5) * scale
    lines[:, np.abs(middles - width / 2) < _RULE_AWAY * width] = 0
    left: Pixels = pixels * (1 - cv2.dilate(lines, np.ones((3, 3), np.uint8)))
    enough = (left > _STROKE).sum() > _LEAST * strokes.sum()
    return left if lines.any() and enough else pixels


def _without_neighbours(pixels: Pixels, place: tuple[float, float], width: int) -> Pixels:
    """Return the ink without parts that are beside the one in the middle."""
    _, parts, boxes, _ = cv2.connectedComponentsWithStats(
        (pixels > _STROKE).astype(np.uint8), connectivity=8
    )
    if len(boxes) <= 2:
        return pixels
    start, scale = place
    left = start + boxes[1:, cv2.CC_STAT_LEFT] * scale
    right = left + boxes[1:, cv2.CC_STAT_WIDTH] * scale
    areas = boxes[1:, cv2.CC_STAT_AREA]
    away = ((left + right) / 2 - width / 2) / (_MIDDLE * width)
    main = int((areas * np.exp(-(away**2))).argmax())
    shared = np.minimum(right, right[main]) - np.maximum(left, left[main])
    beside = shared < _SHARED * (right - left)
    cut_off = (left <= _EDGE) | (right >= width - _EDGE)
    kept = ~(beside | cut_off)
    kept[main] = True
    if kept.all():
        return pixels
    chosen = np.isin(parts, 1 + np.flatnonzero(kept)).astype(np.uint8)
    # With the soft edges around the parts.
    mask = cv2.dilate(chosen, np.ones((3, 3), np.uint8))
    left_over: Pixels = pixels * mask
    return left_over


def _place(pixels: Pixels, box: Box) -> tuple[float, float]:
    """Return where in the picture the first column is, and how many of its pixels one spans."""
    columns = np.flatnonzero(pixels.any(axis=0))
    scale = box.width / float(columns[-1] + 1 - columns[0])
    return box.left - float(columns[0]) * scale, scale


def _box_of(pixels: Pixels, found: Ink) -> Box:
    """Return the box of what is left of the ink that was found."""
    assert found.box is not None, "there was ink"
    left, width = _span(pixels.max(axis=0), found.pixels.max(axis=0), found.box.width)
    top, height = _span(pixels.max(axis=1), found.pixels.max(axis=1), found.box.height)
    left, top = found.box.left + left, found.box.top + top
    return Box(left, top, left + width, top + height)


def _span(left_over: Pixels, whole: Pixels, length: int) -> tuple[int, int]:
    """Return start and length of ``left_over``, if ``whole`` is ``length`` long."""
    (first, last), (begin, end) = (np.flatnonzero(each)[[0, -1]] for each in (left_over, whole))
    scale = length / float(end + 1 - begin)
    start = int((first - begin) * scale)
    return start, min(max(1, round((last + 1 - first) * scale)), length - start)
