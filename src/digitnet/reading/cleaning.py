"""Small pictures of which little is clear, and how they would look cleaned.

Guarantees:

- Of a picture in two greys that of the edge is the ground. What the other encloses, if it is
  narrow, is filled, as between the two edges of an outlined stroke; it becomes light on black.
- Of one on clouds, whose edge has no grey in common, what is lighter than the ground around it is
  left. Paper is no cloud: what is mostly light is left alone.
- In any other, black and white specks get the median of their neighbours, if they are many. A line
  of one pixel is specks too, so whoever looks must compare.
- Whole numbers only, so that every machine sees the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.light import closed, greys_of_edge

# There are clouds if no grey has the first share of the edge, and the mean is at most the second of
# the way from the darkest grey to the lightest. Outlines are filled, and a ground is seen through
# strokes, if they are narrower than so many pixels. A speck is so much lighter or darker than the
# median of its neighbours, and a smaller share of them than the last is few.
_COMMON, _DARK, _NARROW, _SPECK, _FEW = 0.15, 0.58, 5, 70, 0.03

_Grey = NDArray[np.uint8]
_Whole = NDArray[np.int32]


def cleaned(picture: _Grey) -> _Grey | None:
    """Return how a picture, uint8 (H, W), would look cleaned and softer; None if it is clean."""
    values = picture.astype(np.int32)
    edge = greys_of_edge(picture)
    if len(np.unique(picture)) == 2:
        clean = closed(np.abs(values - np.int32(edge.argmax())), _NARROW)
    elif edge.max() < _COMMON * edge.sum():
        low, high = int(values.min()), int(values.max())
        if values.sum() - low * values.size > _DARK * (high - low) * values.size:
            return None
        ground = _softened(_softened(-closed(-values, _NARROW)))
        clean = np.maximum(values - ground, 0)
    else:
        median = _median_around(values)
        specks = (np.abs(values - median) > _SPECK) & ((values == 0) | (values == 255))
        if specks.sum() < _FEW * specks.size:
            return None
        clean = np.where(specks, median, values)
    return _softened(clean).astype(np.uint8)


def _median_around(values: _Whole) -> _Whole:
    """Return the median of the eight neighbours of each pixel; halves go up."""
    height, width = values.shape
    wide = np.pad(values, 1, mode="edge")
    places = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    around = np.sort([wide[y : y + height, x : x + width] for y, x in places], axis=0)
    return np.asarray((around[3] + around[4] + 1) // 2, np.int32)


def _softened(values: _Whole) -> _Whole:
    """Return whole numbers from 0 on, smoothed by 1, 2, 1 along both axes."""
    wide = np.pad(values, 1, mode="edge")
    rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    both = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    return np.asarray((both + 8) // 16, np.int32)
