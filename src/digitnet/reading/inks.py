"""Inks: what a caller hands over as a sign that is known to be one, checked, and in batches.

Guarantees:

- An ink is float32 (H, W) in [0, 1], of at most ``MAX_INK_SIDE`` pixels a side; anything else is an
  ``InputError`` that says what is wrong.
- Batches hold inks of similar size, and no more pixels than ``_BATCH_PIXELS`` unless it is one ink.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.reading.pictures import as_array
from digitnet.reading.prediction import Ink

# Inks of pictures are far smaller; what is larger costs memory by the square.
MAX_INK_SIDE = 1024

# What is computed together: of more inks, what one layer makes for the next no longer fits in a
# core's cache, which takes twice as long. Of large inks fewer, for memory's sake; of 8 at a time
# what layers leave is of a size that glibc keeps in pieces, a hundred megabytes of them.
_BATCH = 16
_BATCH_PIXELS = 2**18

_Array = NDArray[np.float32]


def as_inks(inks: Iterable[Any]) -> Iterator[Ink]:
    """Yield the caller's inks as float32 (H, W) in [0, 1]."""
    try:
        several = iter(inks)
    except TypeError:
        raise InputError(f"Expected a list of inks, got {type(inks).__name__}.") from None
    yield from map(as_ink, several)


def as_ink(values: Any) -> Ink:
    """Return the caller's ink, (H, W), as float32 in [0, 1].

    Raises:
        InputError: it has another shape, type or range; see ``Recognizer.predict_ink``.
    """
    array = as_array(values, "The ink")
    while array.ndim > 2 and len(array) == 1:
        array = array[0]
    return Ink(_as_floats(array), None)


def _as_floats(array: NDArray[Any]) -> _Array:
    """Return an ink as float32 in [0, 1]."""
    if array.ndim != 2 or not 1 <= min(array.shape) <= max(array.shape) <= MAX_INK_SIDE:
        raise InputError(
            f"The ink has the shape {array.shape}; it must be (height, width), each of 1 to "
            f"{MAX_INK_SIDE:,} pixels. Pass a photo or drawing to predict, which finds the digit."
        )
    if array.dtype.kind == "b" or array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255 if array.dtype == np.uint8 else 1)
    if array.dtype.kind != "f":
        raise InputError(f"The ink is of type {array.dtype}; it must be floats, uint8 or booleans.")
    # Written so that NaN is refused.
    if not (array.min() >= 0 and array.max() <= 1):
        raise InputError(
            f"The ink has values from {array.min()} to {array.max()}; they must be in 0 to 1, "
            "where 0 is paper and 1 full ink."
        )
    # No copy of what is right already: it is only read.
    return array.astype(np.float32, copy=False)


def batched(inks: Sequence[Ink]) -> Iterator[list[int]]:
    """Yield the positions of inks in batches of similar size."""
    sides = [max(one.pixels.shape) for one in inks]
    order = sorted(range(len(inks)), key=sides.__getitem__, reverse=True)
    start = 0
    while start < len(order):
        # The first is the largest; all are padded to its size.
        count = max(1, min(_BATCH, _BATCH_PIXELS // sides[order[start]] ** 2))
        yield order[start : start + count]
        start += count


def stacked(inks: Sequence[Ink]) -> _Array:
    """Return inks as one array, float32 (N, 1, H, W), with zeros below and to the right of each."""
    height, width = (max(one.pixels.shape[axis] for one in inks) for axis in (0, 1))
    stacked = np.zeros((len(inks), 1, height, width), np.float32)
    for row, one in zip(stacked, inks, strict=True):
        row[0, : one.pixels.shape[0], : one.pixels.shape[1]] = one.pixels
    return stacked
