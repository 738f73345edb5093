"""Pages that lie on their side or upside down: read turned, where that is clearly better.

Guarantees: a page that is read well as it is, or that holds fewer than three digits, is never
turned; nor is one whose text is not clearly likelier when it is turned, whatever number is asked
for; nor a row into a column of single digits. Boxes are always those of the picture as it was
given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.looks import Looks
from digitnet.reading.prediction import Box, Prediction, Reading

# A mean confidence of the signs, a ``?`` counting nothing, that needs no second look where the text
# is likely right, and without which a turned page does not count; one that never needs any; how
# many of the digits must be left; and how many times as high the odds of the text must be, read in
# full both ways: numbers upside down are full of 0s, 6s, 8s and 9s that look written.
_WELL, _VERY_WELL, _LEFT, _LIKELIER = 0.8, 0.97, 0.8, 6.0
_FEWEST = 3
# Of so many digits, a mean confidence that none of the wrong ways reaches; on simulated pages of
# validation writers, theirs was at most 0.93. Nothing else is then looked at.
_MANY, _MANY_WELL = 20, 0.94


class Upright(NamedTuple):
    """A picture, and by how many quarters of a turn it was turned."""

    looks: Looks
    quarter: int


def upright(
    look: Callable[[NDArray[np.uint8]], Looks],
    read: Callable[[Looks], Reading],
    pixels: NDArray[np.uint8],
) -> Upright:
    """Return a picture, turned if it says clearly that it lies.

    Args:
        look: returns pixels to be looked at.
        read: returns the text of them, read as well as can be.
        pixels: uint8 (H, W).
    """
    as_it_is = look(pixels)
    plain = as_it_is.writing(1.0).reading()
    well = _quality(plain) >= (_WELL if plain.reason is None else _VERY_WELL)
    if not plain.lines or well or _is_plain(plain):
        return Upright(as_it_is, 0)
    turned, readings = dict[int, Looks](), dict[int, Reading]()
    for quarter in (2, 1, 3):
        # Clockwise; NumPy turns the other way.
        turned[quarter] = look(np.ascontiguousarray(np.rot90(pixels, -quarter)))
        reading = turned[quarter].writing(1.0).reading()
        # Upside down or not, a row is likelier than digits that lie on their sides one by one.
        if quarter != 2 and all(len(line.digits) < 2 for line in reading.lines):
            continue
        readings[quarter] = reading
        if _is_plain(reading):
            break
    quarter = max(readings, key=lambda each: _quality(readings[each]))
    best = readings[quarter]
    kept = _digits(best) >= max(_FEWEST, _LEFT * _digits(plain))
    if not kept or _quality(best) < max(_WELL, _quality(plain)):
        return Upright(as_it_is, 0)
    text = read(turned[quarter])
    enough = _digits(text) >= _FEWEST
    clearly = enough and _odds(text) >= _LIKELIER * _odds(read(as_it_is))
    return Upright(turned[quarter], quarter) if clearly else Upright(as_it_is, 0)


def turned_back(reading: Reading, quarter: int, height: int, width: int) -> Reading:
    """Return the reading of a turned picture with boxes in the picture before it was turned.

    Args:
        reading: of the turned picture.
        quarter: by how many quarters of a turn, clockwise, it was turned.
        height: of the picture before, in pixels.
        width: likewise.
    """

    def back(one: Prediction) -> Prediction:
        if one.box is None or not quarter:
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


def _is_plain(reading: Reading) -> bool:
    return _digits(reading) >= _MANY and _quality(reading) >= _MANY_WELL


def _odds(reading: Reading) -> float:
    return reading.confidence / max(1 - reading.confidence, 1e-9)


def _digits(reading: Reading) -> int:
    return sum(one.is_digit for line in reading.lines for one in line.digits)


def _quality(reading: Reading) -> float:
    signs = [one for line in reading.lines for one in line.digits]
    return sum(one.confidence * one.is_digit for one in signs) / max(1, len(signs))
