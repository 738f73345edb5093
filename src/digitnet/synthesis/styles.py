"""Ways of writing that MNIST hardly has.

Crossed sevens, ones with a flag or a foot, zeros that are slashed, open or as even as a ring, nines
with a curled tail, fives that have lost the most of their flag.

Guarantees: images keep their shape, dtype and label; a share of these digits is restyled, the rest
is returned as it is; a seed gives the same result each time.

MNIST was written in the United States. Elsewhere a seven has a bar through its stem and a one
begins with an upstroke, which a network that never saw them reads as 2, 3, 4 or 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]

# Coordinates are given to OpenCV in sixteenths of a pixel, for lines with soft edges.
_SHIFT = 4
# Grey value from which a pixel counts as stroke.
_BRIGHT = 100


def restyle(
    images: NDArray[np.uint8], labels: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.uint8]:
    """Return ``images`` with a share of some digits written in another style.

    Args:
        images: uint8 (N, 28, 28), light on black.
        labels: int64 (N,).
        share: of the zeros, ones, sevens and nines, 0 to 1; of the fives, a third.
        seed: of all randomness.
    """
    import cv2

    random = np.random.default_rng(seed)
    restyled = images.copy()
    for label, (restyler, part) in _STYLES.items():
        # Where there is no bright stroke there is nothing to hang another one on.
        those = np.flatnonzero((labels == label) & (images.max((1, 2)) > _BRIGHT))
        for index in those[random.random(len(those)) < share * part]:
            restyler(restyled[index], random, cv2)
    return restyled


def _cross_seven(image: NDArray[np.uint8], random: np.random.Generator, cv2: Any) -> None:
    """Draw a bar through the stem, at about half its height."""
    top, bottom = _rows(image)
    level = top + (bottom - top) * random.uniform(0.4, 0.62)
    middle = _middle_of_row(image, level)
    half, tilt = random.uniform(2.5, 5.5), random.normal(0, 1.0)
    offset = random.normal(0, 0.8)
    _line(
        image,
        (middle + offset - half, level + tilt),
        (middle + offset + half, level - tilt),
        random,
        cv2,
    )


def _flag_one(image: NDArray[np.uint8], random: np.random.Generator, cv2: Any) -> None:
    """Draw an upstroke that leads to the top, and under some a foot."""
    top, bottom = _rows(image)
    start = (_middle_of_row(image, top + 1), top + random.uniform(0.5, 1.5))
    length, angle = random.uniform(4, 11), np.radians(random.uniform(30, 70))
    end = (start[0] - length * np.cos(angle), start[1] + length * np.sin(angle))
    _line(image, start, end, random, cv2)
    if random.random() < 0.45:
        foot, half = _middle_of_row(image, bottom - 1), random.uniform(2.5, 5)
        _line(image, (foot - half, bottom - 0.5), (foot + half, bottom - 0.5), random, cv2)


def _slash_zero(image: NDArray[np.uint8], random: np.random.Generator, cv2: Any) -> None:
    """Draw a stroke through the zero from below left to above right."""
    rows, columns = np.flatnonzero(image.max(1) > _BRIGHT), np.flatnonzero(image.max(0) > _BRIGHT)
    reach = random.uniform(0.0, 0.25)
    height, width = rows[-1] - rows[0], columns[-1] - columns[0]
    _line(
        image,
        (columns[0] + reach * width, rows[-1] - reach * height),
        (columns[-1] - reach * width, rows[0] + reach * height),
        random,
        cv2,
    )


def _draw_zero(image: NDArray[np.uint8], random: np.random.Generator, cv2: Any) -> None:
    """Draw a zero anew: a plain ring, as even as no zero of MNIST is."""
    start = random.uniform(0, 360)
    ring = _ellipse(np.array((0.5, 0.5)), np.array((0.5, 0.5)), (start, start + 365))
    _redraw(image, [ring], random, cv2)


def _change_zero(image: NDArray[np.uint8], random: np.random.Generator, cv2: Any) -> None:
    style = random.choice(3, p=(0.5, 0.25, 0.25))
    (_draw_zero, _open_zero, _slash_zero)[style](image, random, cv2)


def _open_zero(image: NDArray[np.uint8], random: np.random.Generator, cv2: Any) -> None:
    """Leave a gap in the upper part of the ring."""
    rows, columns = np.flatnonzero(image.max(1) > _BRIGHT), np.flatnonzero(image.max(0) > _BRIGHT)
    middle = ((columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2)
    angle = np.radians(random.uniform(-130, -40))
    outside = (middle[0] + 20 * np.cos(angle), middle[1] + 20 * np.sin(angle))
    image -= np.minimum(image, _drawn([middle, outside], random.uniform(2.5, 7), cv2))


def _curl_nine(image: NDArray[np.uint8], random: np.random.Generator, cv2: Any) -> None:
    """Draw the tail on, to the left and perhaps up again."""
    bottom = _rows(image)[1]
    start = np.array([_middle_of_row(image, bottom - 2), bottom - 2.0])
    turn = start + np.array([random.uniform(0, 2), random.uniform(2.5, 4)])
    end = start + np.array([-random.uniform(5, 12), random.uniform(-2.5, 2)])
    t = np.linspace(0, 1, 12)[:, None]
    curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * turn + t**2 * end
    width = _stroke_width(image, cv2) * random.uniform(0.8, 1.1)
    np.maximum(image, _drawn(curve.tolist(), width, cv2), out=image)


def _curl_or_draw_nine(image: NDArray[np.uint8], random: np.random.Generator, cv2: Any) -> None:
    (_curl_nine if random.random() < 0.5 else _draw_nine)(image, random, cv2)


def _draw_nine(image: NDArray[np.uint8], random: np.random.Generator, cv2: Any) -> None:
    """Draw a nine anew: a loop, a stem that swings out to the right, a foot far to the left."""
    end = random.uniform(280, 400)
    loop = _ellipse(
        middle=random.normal((0.45, 0.24), (0.06, 0.03)),
        radii=random.uniform((0.16, 0.15), (0.34, 0.25)),
        degrees=(end - random.uniform(320, 430), end),
    )
    stem = [
        loop[-1],
        random.normal((0.8, 0.62), (0.1, 0.06)),
        random.normal((0.75, 0.95), (0.1, 0.02)),
        random.normal((0.18, 0.95), (0.12, 0.04)),
    ]
    if random.random() < 0.4:
        stem.append(stem[-1] - random.uniform((-0.05, 0.05), (0.1, 0.2)))
    _redraw(image, [[*loop, *_rounded(stem)[1:]]], random, cv2)


def _draw_five(image: NDArray[np.uint8], random: np.random.Generator, cv2: Any) -> None:
    """Draw a five anew whose flag is short, apart or not there."""
    top = random.normal((0.5, 0.0), (0.12, 0.02))
    corner = random.normal((0.36, 0.38), (0.08, 0.06))
    bowl = [
        corner,
        random.normal((0.6, 0.32), (0.08, 0.04)),
        random.normal((0.95, 0.6), (0.06, 0.06)),
        random.normal((0.55, 0.98), (0.1, 0.02)),
        random.normal((0.02, 0.82), (0.08, 0.08)),
    ]
    strokes = [[top, *_rounded(bowl)]]
    if random.random() < 0.5:
        start = top + random.normal(0, 0.05, 2) * (random.random() < 0.5)
        strokes.append([start, start + random.uniform((0.1, -0.08), (0.4, 0.08))])
    _redraw(image, strokes, random, cv2)


def _ellipse(
    middle: NDArray[np.float64], radii: NDArray[np.float64], degrees: Point
) -> list[NDArray[np.float64]]:
    """Return points of an arc, against the clock from the first of two angles to the second."""
    turn = -np.radians(np.linspace(degrees[0], degrees[1], 24))[:, None]
    return list(middle + radii * np.hstack([np.cos(turn), np.sin(turn)]))


def _rounded(corners: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return a path through ``corners`` with them cut off, three times (Chaikin 1974)."""
    path = np.array(corners)
    for _ in range(3):
        cut = np.stack([0.75 * path[:-1] + 0.25 * path[1:], 0.25 * path[:-1] + 0.75 * path[1:]], 1)
        path = np.concatenate([path[:1], cut.reshape(-1, 2), path[-1:]])
    return list(path)


def _redraw(
    image: NDArray[np.uint8],
    strokes: Sequence[Sequence[NDArray[np.float64]]],
    random: np.random.Generator,
    cv2: Any,
) -> None:
    """Draw strokes, in parts of the digit's height, as broad as the digit's own, in its place."""
    width = _stroke_width(image, cv2) * random.uniform(0.8, 1.2)
    scale = (random.uniform(11, 19), 19)
    image[:] = 0
    for stroke in strokes:
        points = np.array(stroke) * scale + ((28 - scale[0]) / 2, 4)
        np.maximum(image, _drawn(points.tolist(), width, cv2), out=image)


def _line(
    image: NDArray[np.uint8], start: Point, end: Point, random: np.random.Generator, cv2: Any
) -> None:
    """Draw a stroke about as broad as the digit's own."""
    width = _stroke_width(image, cv2) * random.uniform(0.7, 1.1)
    np.maximum(image, _drawn([start, end], width, cv2), out=image)


def _stroke_width(image: NDArray[np.uint8], cv2: Any) -> float:
    """Return how broad the strokes are, twice their area over their rim, in pixels."""
    inside = image > 127
    core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return float(np.clip(2 * inside.sum() / max((inside & ~core).sum(), 1), 1, 4))


def _drawn(points: Sequence[Point], width: float, cv2: Any) -> NDArray[np.uint8]:
    """Return a stroke through ``points``, in pixels of a 28-pixel image."""
    fine = np.zeros((112, 112), np.uint8)
    path = np.round((np.array(points) + 0.5) * 4 * 2**_SHIFT).astype(np.int32)
    cv2.polylines(fine, [path], False, 255, max(1, round(width * 4)), cv2.LINE_AA, _SHIFT)
    small: NDArray[np.uint8] = cv2.resize(fine, (28, 28), interpolation=cv2.INTER_AREA)
    return small


def _rows(image: NDArray[np.uint8]) -> tuple[int, int]:
    rows = np.flatnonzero(image.max(1) > _BRIGHT)
    return int(rows[0]), int(rows[-1])


def _middle_of_row(image: NDArray[np.uint8], row: float) -> float:
    """Return the middle of the ink in a row, or of the whole digit where the row is empty."""
    weights = image[round(row)].astype(float)
    if not weights.any():
        weights = image.sum(0, dtype=float)
    return float((weights * np.arange(len(weights))).sum() / weights.sum())


_STYLES = {
    1: (_flag_one, 1.0),
    7: (_cross_seven, 1.0),
    9: (_curl_or_draw_nine, 1.0),
    5: (_draw_five, 0.33),
    0: (_change_zero, 1.0),
}
