"""Light and paper: from a photograph to how much darker than its paper each pixel is.

Guarantees:

- Uneven light and the edges of shadows leave no ink: the paper under a stroke is estimated from the
  paper around it, on the same side of the edge.
- Bright strokes on a dark ground give the same as their negative.

The paper is a morphological closing, which removes what is dark and narrower than its window and
keeps straight edges where they are (Serra, "Image Analysis and Mathematical Morphology", 1982).
"""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Values = NDArray[np.uint8] | NDArray[np.float32]

# Paper darker than this fraction of the picture's typical paper is taken as that: dividing by
# nearly black paper would turn its noise into ink.
_DARKEST_PAPER = 0.3
# Light falls by at most this fraction within half a window; more is a shadow's edge.
_STEEPEST = 0.15
# A picture of up to this many pixels on the shorter side is cut out: all ink, and lit evenly.
_CUT_OUT = 64
# This many pixels show how a picture's grey values are distributed.
_ENOUGH = 10_000
# Whether ink is dark is judged on a picture reduced to this many pixels a side, by what differs
# from paper by more than this fraction of the largest difference.
_GLANCE, _FAINT = 64, 0.25
# Windows, as fractions of the longer side. Dark ink is usual: half as much of it as of bright is
# enough. What the small window sees counts from this fraction of what the large one sees; less is
# the grain of chalk.
_WIDE, _NARROW = 0.3, 0.12
_ENOUGH_DARK, _GRAIN = 0.5, 0.1
# A ground darker than the first is a board, and one lighter than the second is paper, on which ink
# is dark even if it is only this fraction of what is bright, which may be a table's edge.
_BOARD, _PAPER, _LEAST_DARK = 64, 160, 0.01


def odd(size: float) -> int:
    """Return the odd integer nearest to ``size``, at least 3."""
    return max(3, 2 * round((size - 1) / 2) + 1)


def above(values: Values, floor: float) -> Grey:
    """Return 255 where ``values`` are above ``floor`` and 0 elsewhere, uint8 (H, W)."""
    return np.asarray(cv2.compare(values, cast(Any, float(floor)), cv2.CMP_GT), np.uint8)


def minus(one: Grey | float, other: Grey | float) -> Grey:
    """Return the difference of two pictures, or of a picture and a grey value, 0 where negative."""
    # OpenCV takes some tiny pictures, four pixels high and one wide, for one value of four
    # channels, but not when both are pictures.
    shape = one.shape if isinstance(one, np.ndarray) else np.shape(other)
    first, second = (
        value if isinstance(value, np.ndarray) else np.full(shape, round(value), np.uint8)
        for value in (one, other)
    )
    return np.asarray(cv2.subtract(first, second), np.uint8)


def negative(picture: Grey) -> Grey:
    """Return ``picture`` with black and white exchanged."""
    return np.asarray(cv2.bitwise_not(picture), np.uint8)


def quantiles(counts: NDArray[np.float32], parts: tuple[float, ...]) -> list[int]:
    """Return the grey values below which the given fractions of a histogram lie."""
    total = counts.cumsum()
    return [int(total.searchsorted(part * total[-1])) for part in parts]


def histogram(picture: Grey, mask: Grey | None = None) -> NDArray[np.float32]:
    """Return how often each grey value occurs (where ``mask`` is not 0), float32 (256,)."""
    counts = cv2.calcHist([picture], [0], mask, [256], [0, 256])
    return np.asarray(counts, np.float32).ravel()


def ink_is_dark(picture: Grey) -> bool:
    """Return whether the strokes are darker than what they are on.

    Most pixels are paper, so a median over a window is paper too, and keeps shadows' edges; what
    remains when it is subtracted is mostly strokes, on one side of zero. A large window copes with
    bold strokes, a small one is not misled by a page on a dark table; ink is bright when both say
    so. On a board the large one decides alone: the small one takes the holes in chalk for ink.
    """
    small = shrink(picture, -(-max(picture.shape) // _GLANCE))
    dark, bright = _dark_and_bright(small, odd(max(small.shape) * _WIDE))
    ground = float(np.median(small))
    if dark >= (_LEAST_DARK if ground > _PAPER else _ENOUGH_DARK) * bright:
        return True
    if ground < _BOARD:
        return False
    near_dark, near_bright = _dark_and_bright(small, odd(max(small.shape) * _NARROW))
    seen = near_dark + near_bright >= _GRAIN * (dark + bright)
    return seen and near_dark >= _ENOUGH_DARK * near_bright


def _dark_and_bright(small: Grey, window: int) -> tuple[float, float]:
    """Return how much is darker than the local median, and how much is brighter."""
    paper = np.asarray(cv2.medianBlur(small, window), np.uint8)
    darker, brighter = minus(paper, small), minus(small, paper)
    faint = _FAINT * max(int(darker.max()), int(brighter.max()))
    return _sum_above(darker, faint), _sum_above(brighter, faint)


def shrink(picture: Grey, factor: int) -> Grey:
    """Return the means of squares of ``factor`` × ``factor`` pixels; the last few are left out.

    An integer factor is some thirty times as fast as any other.
    """
    if factor == 1:
        return picture
    height, width = (max(1, side // factor) for side in picture.shape)
    whole = picture[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def darkness_of(picture: Grey, window: int, ink: Grey | None = None) -> tuple[Grey, float]:
    """Return how much darker than its paper each pixel is, and the noise of that.

    Args:
        picture: uint8 (H, W), dark strokes narrower than ``window`` pixels.
        window: in pixels, odd.
        ink: uint8 (H, W), not 0 where ink is known to be; if None, most pixels are bare paper.

    Returns:
        uint8 (H, W), 0 for paper to 255 for black; and the standard deviation on bare paper.
    """
    square = np.ones((window, window), np.uint8)
    paper = np.asarray(cv2.morphologyEx(picture, cv2.MORPH_CLOSE, square), np.uint8)
    if min(paper.shape) > _CUT_OUT:
        paper = _darker_towards_frame(paper, window // 2)
    (typical,) = quantiles(histogram(_some(paper)), (0.5,))
    floor = np.uint8(max(1, round(_DARKEST_PAPER * typical)))
    darkness = np.asarray(
        cv2.divide(minus(paper, picture), np.maximum(paper, floor), scale=255), np.uint8
    )
    # The closing is the upper edge of the paper's noise; most bare paper is darker.
    counts = (
        histogram(_some(darkness)) if ink is None else histogram(darkness, negative(above(ink, 0)))
    )
    low, middle = quantiles(counts, (0.16, 0.5))
    return minus(darkness, middle), float(middle - low)


def _darker_towards_frame(paper: Grey, reach: int) -> Grey:
    """Return ``paper`` with its light falling off up to the frame as it does farther in.

    Within ``reach`` pixels of the frame a closing stays as bright as it is farther in, so paper
    whose light falls off would look like ink there.
    """
    for _ in range(4):  # each side in turn is the first rows
        if len(paper) > 2 * reach:
            first, second = paper[reach].astype(np.float32), paper[2 * reach].astype(np.float32)
            fall = np.minimum(np.maximum(second - first, 0), _STEEPEST * first)
            distance = np.arange(reach, 0, -1, dtype=np.float32)[:, None] / reach
            lit = np.rint(first - distance * fall).astype(np.uint8)
            np.minimum(paper[:reach], lit, out=paper[:reach])
        paper = paper.T[::-1]
    return np.ascontiguousarray(paper)


def _some(picture: Grey) -> Grey:
    """Return enough pixels of a picture to know how its grey values are distributed."""
    step = 1 + picture.size // _ENOUGH
    return np.ascontiguousarray(picture[:, ::step])


def _sum_above(values: Grey, floor: float) -> float:
    return float(cv2.sumElems(minus(values, floor))[0])
