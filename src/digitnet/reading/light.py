"""Pages in uneven light or on a striped ground, and how they would look without either.

Guarantees:

- A page whose ground is even, dark or light, is left alone: drawings, scans, most photos. So is one
  that is black in places.
- In even light paper has one grey, and ink is as much darker than the paper around it as before.
- A striped ground is told by two opposite edges of the picture, which show the same light and dark
  bands. On one ground every pixel is as bright as it stands out from its own band.

Light is not seen by itself. The ground of dark strokes is what is left of a page when all that is
dark and narrower than a window is filled, its morphological closing (Serra, 1982); unlike a mean,
it keeps the edge of a shadow where it is.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

# The ground is even if its darkest place has at least the first share of the grey of its lightest
# one. Below the second, light alone does not explain it.
_EVEN, _DARKEST = 0.8, 0.1
# Sides of the windows: by which it is told whether the ground is even, in cells of 4 pixels of a
# page, wider than a marker's line; and by which strokes are filled, in cells of 2.
_WIDE, _NARROW = 15, 15
# Grey of paper in even light, and how much lighter than the paper anything is, at most.
_PAPER, _LIGHTEST = 210.0, 1.2
# Two edges show bands if those are so many greys apart; narrower ones, as a share of the edge, are
# the lines of a box. They are the ground if so much of the picture is at most so far from it.
_APART, _NARROWEST, _GROUND, _ROUGH = 128, 0.125, 0.7, 16

_Floats = NDArray[np.float32]
_Number = TypeVar("_Number", np.float32, np.int32)


def in_even_light(page: _Floats) -> _Floats | None:
    """Return a page, float32 (H, W), grey, 0 to 255, in even light; None if it is in even light."""
    cells = _reduced(_reduced(page))
    ground = closed(cells, _WIDE)
    explained = _is_even(ground, _DARKEST)
    if not explained or _is_even(ground) or _is_even(-closed(-cells, _WIDE)):
        return None
    ground = closed(_reduced(page), _NARROW)
    height, width = page.shape
    ground = ground.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.asarray(np.minimum(page / np.maximum(ground, 1), _LIGHTEST) * _PAPER, np.float32)


def on_one_ground(picture: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return a picture, uint8 (H, W), light on black; None if its ground is not striped."""
    for upright in (picture, picture.T):
        bands = _bands(upright[[0, -1]].astype(np.float64))
        if bands is not None:
            levelled = np.rint(np.abs(upright - bands)).astype(np.uint8)
            if (levelled <= _ROUGH).mean() >= _GROUND:
                return np.ascontiguousarray(levelled if upright is picture else levelled.T)
    return None


def greys_of_edge(picture: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return how many pixels of a picture's edge have each grey value from 0 on."""
    edge = np.concatenate((picture[0], picture[-1], picture[:, 0], picture[:, -1]))
    return np.bincount(edge)


def closed(page: NDArray[_Number], side: int) -> NDArray[_Number]:
    """Return a page, of float32 or int32, without what is darker and narrower than a square window.

    Args:
        page: (H, W).
        side: of the window, an odd number of pixels.
    """
    return -_highest(-_highest(page, side), side)


def _bands(edges: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the grey of the ground in each column, (W,), None if it is even.

    Args:
        edges: (2, W), the greys of the upper and of the lower edge.
    """
    middle = (edges.min() + edges.max()) / 2
    light = edges > middle
    if light.all() or not light.any():
        return None
    low, high = edges[~light].mean(), edges[light].mean()
    bands = edges.mean(0) > middle
    ends = [0, *(np.flatnonzero(bands[1:] != bands[:-1]) + 1), len(bands)]
    shown = (
        high - low >= _APART and len(ends) > 2 and np.diff(ends).min() >= _NARROWEST * len(bands)
    )
    return np.where(bands, high, low) if shown else None


def _is_even(ground: _Floats, share: float = _EVEN) -> bool:
    return bool(ground.min() >= share * ground.max())


def _reduced(page: _Floats) -> _Floats:
    """Return a page half as large: means of 2 × 2 pixels, of which an odd edge has itself twice."""
    height, width = page.shape
    whole = np.pad(page, ((0, height % 2), (0, width % 2)), mode="edge")
    total = whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]
    return np.asarray(total / 4, np.float32)


def _highest(page: NDArray[_Number], side: int) -> NDArray[_Number]:
    """Return the highest value of the window around each pixel, whose sides are odd."""
    values = np.pad(page, side // 2, mode="edge")
    for _ in range(2):
        span = 1
        while span < side:
            step = min(span, side - span)
            values, span = np.maximum(values[:-step], values[step:]), span + step
        values = values.T
    return values
