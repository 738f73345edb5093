"""Strokes on a page: paths in pixels, what a pen leaves of them, and shapes to draw with.

Guarantees:

- A path is float64 (N, 2), x and y in edge coordinates: pixel i covers [i, i + 1].
- ``render`` gives the fraction of each pixel that a round pen covers, in the smallest window that
  holds it, drawn at two to eight points a pixel.
- Nothing depends on anything but the arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis.pens import Float, as_float32

Path: TypeAlias = NDArray[np.float64]
Bounds: TypeAlias = tuple[float, float, float, float]

# Coordinates are given to OpenCV in sixteenths of a point.
_SHIFT = 4
# The longest side of a window in points; longer ones are drawn more coarsely.
_LONGEST = 4096


@dataclass(frozen=True)
class Pen:
    """What strokes are drawn with.

    Attributes:
        width: in pixels.
        strength: how much of the paper the ink hides, 0 to 1.
        contrast: how much broader strokes are that lead down, as a fraction of the width.
    """

    width: float
    strength: float = 1.0
    contrast: float = 0.0


@dataclass(frozen=True, eq=False)
class Stain:
    """Ink in a window of the page, which may reach out of it.

    Attributes:
        left: column of the page at which the window begins.
        top: row of the page at which the window begins.
        ink: float32 (h, w), the fraction of each pixel that is covered.
    """

    left: int
    top: int
    ink: Float


def render(paths: Sequence[Path], pen: Pen, within: Bounds | None = None) -> Stain | None:
    """Return what ``pen`` leaves along ``paths``; None if there is nothing.

    Args:
        paths: what to draw; a path of one point is a dot.
        pen: its strength is not applied.
        within: left, top, right, bottom in pixels; what is outside is not drawn.
    """
    if not paths:
        return None
    room = pen.width * (1 + pen.contrast) / 2 + 1
    low = np.min([path.min(0) for path in paths], axis=0) - room
    high = np.max([path.max(0) for path in paths], axis=0) + room
    if within is not None:
        low, high = np.maximum(low, within[:2]), np.minimum(high, within[2:])
    left, top = (math.floor(value) for value in low)
    width, height = math.ceil(high[0]) - left, math.ceil(high[1]) - top
    if width < 1 or height < 1:
        return None
    fine = 8 if pen.width < 2 else 4 if pen.width < 5 else 2
    if max(width, height) * fine > _LONGEST:
        fine = 1
    canvas = np.zeros((height * fine, width * fine), np.uint8)
    points = [(path - (left, top)) * fine - 0.5 for path in paths]
    if pen.contrast > 0:
        _draw_varied(canvas, points, pen, fine)
    else:
        whole = [np.round(each * 2**_SHIFT).astype(np.int32) for each in points]
        thickness = _thickness(pen.width * fine)
        cv2.polylines(canvas, whole, False, 255, thickness, cv2.LINE_8, _SHIFT)
        for each in (each for each in whole if len(each) == 1):
            cv2.line(canvas, each[0], each[0], 255, thickness, cv2.LINE_8, _SHIFT)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return Stain(left, top, as_float32(small) * np.float32(1 / 255))


def _thickness(width: float) -> int:
    """Return what OpenCV must be told: it draws a point more, and odd ones like the next even."""
    return max(2 * round((width - 1) / 2), 1)


def _draw_varied(canvas: NDArray[np.uint8], paths: Sequence[Path], pen: Pen, fine: int) -> None:
    """Draw with a pen that presses where it moves down."""
    for path in paths:
        step = np.diff(path, axis=0, prepend=path[:1] - (0, 1))
        down = np.clip(step[:, 1] / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9), 0, 1)
        press = np.convolve(np.pad(down, 3, mode="edge"), np.ones(7) / 7, mode="valid")
        widths = [_thickness(pen.width * fine * (1 + pen.contrast * each)) for each in press]
        whole = np.round(path * 2**_SHIFT).astype(np.int32)
        for first, last, width in zip(whole, [*whole[1:], whole[-1]], widths, strict=True):
            cv2.line(canvas, first, last, 255, width, cv2.LINE_8, _SHIFT)


def pick(rng: Generator, weights: Sequence[float]) -> int:
    """Return an index, each as likely as its weight says."""
    left = rng.random() * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return len(weights) - 1


def chance(rng: Generator, share: float) -> bool:
    """Return True in ``share`` of all cases."""
    return bool(rng.random() < share)


def line(x0: float, y0: float, x1: float, y1: float) -> Path:
    """Return a straight path."""
    return np.array([[x0, y0], [x1, y1]])


def arc(middle: tuple[float, float], radii: tuple[float, float], first: float, last: float) -> Path:
    """Return an arc from the angle ``first`` to ``last``, degrees clockwise from the right."""
    turn = np.radians(np.linspace(first, last, max(int(abs(last - first) / 12), 3)))
    return np.stack([middle[0] + radii[0] * np.cos(turn), middle[1] + radii[1] * np.sin(turn)], 1)


def rounded(corners: Sequence[Sequence[float]] | Sequence[Path] | Path) -> Path:
    """Return a path through ``corners`` with them cut off, three times (Chaikin 1974)."""
    path = np.asarray(corners, np.float64)
    for _ in range(3):
        cut = np.stack([0.75 * path[:-1] + 0.25 * path[1:], 0.25 * path[:-1] + 0.75 * path[1:]], 1)
        path = np.concatenate([path[:1], cut.reshape(-1, 2), path[-1:]])
    return path


def through(knots: Path, steps: int = 8) -> Path:
    """Return a smooth path through ``knots`` (Catmull and Rom 1974)."""
    knots = np.concatenate([knots[:1], knots, knots[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    a, b, c, d = (knots[i : len(knots) - 3 + i, None] for i in range(4))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.concatenate([curve.reshape(-1, 2), knots[-1:]])


def box_of(paths: Sequence[Path]) -> Bounds:
    """Return left, top, right and bottom of ``paths``."""
    low = np.min([path.min(0) for path in paths], axis=0)
    high = np.max([path.max(0) for path in paths], axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
