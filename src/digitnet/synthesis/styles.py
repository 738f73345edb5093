"""Ways of writing digits that MNIST hardly has.

Crossed sevens; ones with a flag or a foot; zeros that are slashed, open or perfectly round; nines
with a curled tail; fives that have lost most of their flag.

Guarantees: images keep their shape, dtype and class; only classes that are called "0", "1", "5",
"7" or "9" are restyled, and of those only a fraction; a seed gives the same result each time.

MNIST was written in the United States. Elsewhere a seven has a bar through its stem and a one
begins with an upstroke, which a network that never saw them reads as 2, 3, 4 or 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis.page_strokes import rounded

Image = NDArray[np.uint8]
Point = tuple[float, float]
Points = NDArray[np.float64]

# Coordinates are given to OpenCV in sixteenths of a pixel, for lines with soft edges.
_SHIFT = 4
# Grey value from which a pixel counts as stroke.
_BRIGHT = 100


def restyle(images: Image, names: NDArray[np.str_], share: float, seed: int) -> Image:
    """Return ``images`` with some digits written in another style.

    Args:
        images: uint8 (N, 28, 28), light on black.
        names: str (N,), the name of each image's class; a number is not enough, since class 0 may
            be the letter A.
        share: fraction of the zeros, ones, sevens and nines, 0 to 1; of the fives, a third of it.
        seed: of all randomness.
    """
    rng = np.random.default_rng(seed)
    restyled = images.copy()
    for name, (draw, part) in _STYLES.items():
        # Without a bright stroke there is nothing to attach another one to.
        those = np.flatnonzero((names == name) & (images.max((1, 2)) > _BRIGHT))
        for index in those[rng.random(len(those)) < share * part]:
            draw(restyled[index], rng)
    return restyled


def _cross_seven(image: Image, rng: Generator) -> None:
    """Draw a bar through the stem, at about half its height."""
    _, top, _, bottom = _box(image)
    level = top + (bottom - top) * rng.uniform(0.4, 0.62)
    middle = _middle_of_row(image, level)
    half, tilt = rng.uniform(2.5, 5.5), rng.normal(0, 1.0)
    middle += rng.normal(0, 0.8)
    _line(image, (middle - half, level + tilt), (middle + half, level - tilt), rng)


def _flag_one(image: Image, rng: Generator) -> None:
    """Draw an upstroke that leads to the top, and under some a foot."""
    _, top, _, bottom = _box(image)
    start = (_middle_of_row(image, top + 1), top + rng.uniform(0.5, 1.5))
    length, angle = rng.uniform(4, 11), np.radians(rng.uniform(30, 70))
    end = (start[0] - length * np.cos(angle), start[1] + length * np.sin(angle))
    _line(image, start, end, rng)
    if rng.random() < 0.45:
        foot, half = _middle_of_row(image, bottom - 1), rng.uniform(2.5, 5)
        _line(image, (foot - half, bottom - 0.5), (foot + half, bottom - 0.5), rng)


def _change_zero(image: Image, rng: Generator) -> None:
    style = rng.choice(3, p=(0.5, 0.25, 0.25))
    (_draw_zero, _open_zero, _slash_zero)[style](image, rng)


def _draw_zero(image: Image, rng: Generator) -> None:
    """Draw a zero anew: a plain ring, rounder than any zero of MNIST."""
    start = rng.uniform(0, 360)
    _redraw(image, [_arc(np.array((0.5, 0.5)), np.array((0.5, 0.5)), start, start + 365)], rng)


def _open_zero(image: Image, rng: Generator) -> None:
    """Leave a gap in the upper part of the ring."""
    left, top, right, bottom = _box(image)
    middle = ((left + right) / 2, (top + bottom) / 2)
    angle = np.radians(rng.uniform(-130, -40))
    outside = (middle[0] + 20 * np.cos(angle), middle[1] + 20 * np.sin(angle))
    image -= np.minimum(image, _drawn([middle, outside], rng.uniform(2.5, 7)))


def _slash_zero(image: Image, rng: Generator) -> None:
    """Draw a stroke through the zero from below left to above right."""
    left, top, right, bottom = _box(image)
    reach = rng.uniform(0.0, 0.25)
    across, down = reach * (right - left), reach * (bottom - top)
    _line(image, (left + across, bottom - down), (right - across, top + down), rng)


def _change_nine(image: Image, rng: Generator) -> None:
    (_curl_nine if rng.random() < 0.5 else _draw_nine)(image, rng)


def _curl_nine(image: Image, rng: Generator) -> None:
    """Draw the tail on, to the left and perhaps up again."""
    bottom = _box(image)[3]
    start = np.array([_middle_of_row(image, bottom - 2), bottom - 2.0])
    turn = start + np.array([rng.uniform(0, 2), rng.uniform(2.5, 4)])
    end = start + np.array([-rng.uniform(5, 12), rng.uniform(-2.5, 2)])
    t = np.linspace(0, 1, 12)[:, None]
    curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * turn + t**2 * end
    _add_stroke(image, curve, _stroke_width(image) * rng.uniform(0.8, 1.1))


def _draw_nine(image: Image, rng: Generator) -> None:
    """Draw a nine anew: a loop, a stem that swings out to the right, a foot far to the left."""
    end = rng.uniform(280, 400)
    middle = rng.normal((0.45, 0.24), (0.06, 0.03))
    radii = rng.uniform((0.16, 0.15), (0.34, 0.25))
    loop = _arc(middle, radii, end - rng.uniform(320, 430), end)
    corners = ((0.8, 0.62), (0.75, 0.95), (0.18, 0.95))
    stem = [loop[-1], *rng.normal(corners, ((0.1, 0.06), (0.1, 0.02), (0.12, 0.04)))]
    if rng.random() < 0.4:
        stem.append(stem[-1] - rng.uniform((-0.05, 0.05), (0.1, 0.2)))
    _redraw(image, [np.concatenate((loop, rounded(stem)[1:]))], rng)


def _draw_five(image: Image, rng: Generator) -> None:
    """Draw a five anew whose flag is short, apart or missing."""
    corners = ((0.5, 0.0), (0.36, 0.38), (0.6, 0.32), (0.95, 0.6), (0.55, 0.98), (0.02, 0.82))
    spread = ((0.12, 0.02), (0.08, 0.06), (0.08, 0.04), (0.06, 0.06), (0.1, 0.02), (0.08, 0.08))
    top, *bowl = rng.normal(corners, spread)
    strokes = [np.concatenate((top[None], rounded(bowl)))]
    if rng.random() < 0.5:
        start = top + rng.normal(0, 0.05, 2) * (rng.random() < 0.5)
        strokes.append(np.array([start, start + rng.uniform((0.1, -0.08), (0.4, 0.08))]))
    _redraw(image, strokes, rng)


def _arc(middle: Points, radii: Points, first: float, last: float) -> Points:
    """Return points of an arc, anticlockwise from the first of two angles to the last (degrees)."""
    turn = -np.radians(np.linspace(first, last, 24))[:, None]
    return np.asarray(middle + radii * np.hstack([np.cos(turn), np.sin(turn)]))


def _redraw(image: Image, strokes: Sequence[Points], rng: Generator) -> None:
    """Replace the digit by strokes, (M, 2) in fractions of its height, as broad as its own."""
    width = _stroke_width(image) * rng.uniform(0.8, 1.2)
    scale = (rng.uniform(11, 19), 19)
    image[:] = 0
    for stroke in strokes:
        _add_stroke(image, stroke * scale + ((28 - scale[0]) / 2, 4), width)


def _line(image: Image, start: Point, end: Point, rng: Generator) -> None:
    """Draw a straight stroke about as broad as the digit's own."""
    _add_stroke(image, [start, end], _stroke_width(image) * rng.uniform(0.7, 1.1))


def _add_stroke(image: Image, path: Points | Sequence[Sequence[float]], width: float) -> None:
    np.maximum(image, _drawn(path, width), out=image)


def _drawn(path: Points | Sequence[Sequence[float]], width: float) -> Image:
    """Return a stroke through ``path``, in pixels of a 28-pixel image."""
    fine = np.zeros((112, 112), np.uint8)
    points = np.round((np.array(path) + 0.5) * 4 * 2**_SHIFT).astype(np.int32)
    cv2.polylines(fine, [points], False, 255, max(1, round(width * 4)), cv2.LINE_AA, _SHIFT)
    return np.asarray(cv2.resize(fine, (28, 28), interpolation=cv2.INTER_AREA), np.uint8)


def _stroke_width(image: Image) -> float:
    """Return how broad the strokes are, twice their area over their rim, in pixels."""
    inside = image > 127
    core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return float(np.clip(2 * inside.sum() / max((inside & ~core).sum(), 1), 1, 4))


def _box(image: Image) -> tuple[int, int, int, int]:
    """Return the first and last column and row of the strokes: left, top, right, bottom."""
    left, top, width, height = cv2.boundingRect((image > _BRIGHT).astype(np.uint8))
    return left, top, left + width - 1, top + height - 1


def _middle_of_row(image: Image, row: float) -> float:
    """Return the middle of the ink in a row, or of the whole digit where the row is empty."""
    weights = image[round(row)].astype(float)
    if not weights.any():
        weights = image.sum(0, dtype=float)
    return float((weights * np.arange(len(weights))).sum() / weights.sum())


# How each class is restyled, and how likely. The order decides which random numbers each gets.
_STYLES: dict[str, tuple[Callable[[Image, Generator], None], float]] = {
    "1": (_flag_one, 1.0),
    "7": (_cross_seven, 1.0),
    "9": (_change_nine, 1.0),
    "5": (_draw_five, 0.33),
    "0": (_change_zero, 1.0),
}
