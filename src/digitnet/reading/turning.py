"""Pages that lie on their side or upside down: read turned, where that is clearly better.

Guarantees: a page that is read well as it is, or that holds fewer than three digits, is never
turned; nor is one whose text is not clearly likelier when it is turned. Boxes are always those of
the picture as it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.prediction import Box, Prediction, Reading

# A mean confidence of the signs, a ``?`` counting nothing, that needs no second look, and without
# which a turned page does not count; how many times likelier its text must be; and how many of the
# digits must be left.
_WELL, _LIKELIER, _LEFT = 0.8, 2.0, 0.8
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
    likelier = best.confidence >= _LIKELIER * plain.confidence
    enough = _digits(best) >= max(_FEWEST, _LEFT * _digits(plain))
    if not (likelier and enough and _quality(best) >= max(_WELL, _quality(plain))):
        return plain
    height, width = (round(side * scale) for side in pixels.shape)
    return _turned_back(best, quarter, width, height)


def _digits(reading: Reading) -> int:
    return sum(one.is_digit for line in reading.lines for one in line.digits)


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

    lines = tuple(replace(line, digits=tuple(map(back, line.digits))) for line in reading.lines)
    return replace(reading, lines=lines, turned=90 * quarter)
