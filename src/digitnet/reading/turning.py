"""Pages that lie on their side or upside down: read turned, where that is clearly better.

Guarantees: a page that is read well as it is, or that holds fewer than three digits, is never
turned; boxes are always those of the picture as it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.prediction import Box, Line, Prediction, Reading

# A mean confidence of the signs, a ``?`` counting nothing, that needs no second look; and by how
# much a turned page must be better.
_WELL, _BETTER = 0.8, 0.2
_FEWEST = 3


def read_upright(
    read: Callable[[NDArray[np.uint8]], Reading], pixels: NDArray[np.uint8], scale: float
) -> Reading:
    """Return the reading of a picture, turned if it says clearly that it lies.

    Args:
        read: returns the reading of pixels as they are, with boxes in pixels of the original.
        pixels: uint8 (H, W).
        scale: how many pixels of the original one pixel spans.
    """
    plain = read(pixels)
    if plain.reason in (None, "blank") and _quality(plain) >= _WELL:
        return plain
    if not plain.lines:
        return plain
    # Clockwise; NumPy turns the other way.
    turned = {
        quarter: read(np.ascontiguousarray(np.rot90(pixels, -quarter))) for quarter in (2, 1, 3)
    }
    quarter = max(turned, key=lambda each: _quality(turned[each]))
    best = turned[quarter]
    digits = sum(one.is_digit for line in best.lines for one in line.digits)
    clearly = _quality(best) >= _quality(plain) + _BETTER and best.confidence > plain.confidence
    if digits < _FEWEST or best.reason or not clearly:
        return plain
    height, width = (round(side * scale) for side in pixels.shape)
    return _turned_back(best, quarter, width, height)


def _quality(reading: Reading) -> float:
    signs = [one for line in reading.lines for one in line.digits]
    return sum(one.confidence * one.is_digit for one in signs) / max(1, len(signs))


def _turned_back(reading: Reading, quarter: int, width: int, height: int) -> Reading:
    """Return a reading with its boxes in the picture before it was turned."""

    def back(one: Prediction) -> Prediction:
        if one.box is None:
            return one
        left, top, right, bottom = one.box
        boxes = {
            1: Box(top, height - right, bottom, height - left),
            2: Box(width - right, height - bottom, width - left, height - top),
            3: Box(width - bottom, left, width - top, right),
        }
        return replace(one, box=boxes[quarter])

    lines = tuple(Line(tuple(map(back, line.digits))) for line in reading.lines)
    return replace(reading, lines=lines, turned=90 * quarter)
