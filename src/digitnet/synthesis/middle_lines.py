"""Images of digits as the paths of a pen: the middle lines of their strokes, traced.

Guarantees: ``middle_lines`` depends on the image alone; its paths are smooth and do not show the
pixels of the image; digits whose loops ink has filled give None, since another pen would not show
them as they are.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from digitnet.synthesis.page_strokes import Path
from digitnet.synthesis.pens import Mask, thin

# Points for each pixel of the image, and pixels of paper around it.
_FINE = 3
_MARGIN = 2
_OUTLINE = 110
# Points by which a path is smoothed, and the shortest branch that is a stroke, in image pixels.
_SMOOTH = 2.6
_SHORTEST = 2.2
# Strokes this many times deeper than usual are blots.
_BLOT = 1.7
_SMALLEST_BLOT = 18

_AROUND = ((-1, 0), (0, 1), (1, 0), (0, -1), (-1, 1), (1, 1), (1, -1), (-1, -1))


def middle_lines(image: NDArray[np.uint8]) -> tuple[Path, ...] | None:
    """Return the paths of the strokes of ``image``, in its pixels.

    Args:
        image: uint8 (28, 28), light strokes on black.

    Returns:
        Paths in edge coordinates of the image; None if ink has run into blots or there is none.
    """
    padded = np.pad(image, _MARGIN)
    large = cv2.resize(padded, None, fx=_FINE, fy=_FINE, interpolation=cv2.INTER_CUBIC)
    written = np.asarray(cv2.GaussianBlur(large, (0, 0), 1.0)) > min(_OUTLINE, image.max() // 2)
    axis = thin(written)
    if axis.sum() < 2 * _FINE:
        return None
    depth = np.asarray(cv2.distanceTransform(written.astype(np.uint8), cv2.DIST_L2, 3))
    usual = float(np.median(depth[axis]))
    if (depth > _BLOT * usual).sum() >= _SMALLEST_BLOT:
        return None
    traced = _without_spurs(_trace(axis), max(_SHORTEST * _FINE, 0.9 * usual))
    return tuple((_smooth(path) + 0.5) / _FINE - _MARGIN for path in traced)


def _trace(axis: Mask) -> list[tuple[list[tuple[int, int]], bool, bool]]:
    """Return the lines between ends and crossings: points, and whether each end is free."""
    points = {(int(y), int(x)) for y, x in np.argwhere(axis)}
    near = {point: _neighbours(point, points) for point in points}
    knots = sorted(point for point in points if len(near[point]) != 2)
    used: set[tuple[tuple[int, int], tuple[int, int]]] = set()
    lines = []
    for start, step in ((knot, first) for knot in knots for first in near[knot]):
        if (start, step) not in used:
            lines.append(_follow(start, step, near, used))
    left = points - {point for line, _, _ in lines for point in line} - set(knots)
    while left:  # rings without a crossing
        start = min(left)
        line, _, _ = _follow(start, near[start][0], near, used)
        lines.append((line, False, False))
        left -= set(line)
    return lines


def _neighbours(point: tuple[int, int], points: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the points beside ``point``; a diagonal one only if no straight one leads there."""
    y, x = point
    found = [(y + dy, x + dx) for dy, dx in _AROUND if (y + dy, x + dx) in points]
    straight = {(v, u) for v, u in found if v == y or u == x}
    return [(v, u) for v, u in found if (v, u) in straight or not {(v, x), (y, u)} & straight]


def _follow(
    start: tuple[int, int],
    step: tuple[int, int],
    near: dict[tuple[int, int], list[tuple[int, int]]],
    used: set[tuple[tuple[int, int], tuple[int, int]]],
) -> tuple[list[tuple[int, int]], bool, bool]:
    line = [start, step]
    used.add((start, step))
    while len(near[line[-1]]) == 2 and line[-1] != start:
        a, b = near[line[-1]]
        line.append(b if a == line[-2] else a)
    used.add((line[-1], line[-2]))
    return line, len(near[start]) == 1, len(near[line[-1]]) == 1


def _without_spurs(
    lines: list[tuple[list[tuple[int, int]], bool, bool]], shortest: float
) -> list[Path]:
    """Return the lines as paths, x before y, without short ones of which one end is free."""
    kept = [line for line, free, also_free in lines if free == also_free or len(line) >= shortest]
    return [np.array(line, np.float64)[:, ::-1] for line in kept or [line for line, _, _ in lines]]


def _smooth(path: Path) -> Path:
    """Return the path without its stairs; ends stay where they are."""
    if len(path) < 4:
        return path
    radius = min(int(2.5 * _SMOOTH), len(path) - 1)
    if (path[0] == path[-1]).all():
        padded = np.concatenate([path[-1 - radius : -1], path, path[1 : radius + 1]])
    else:
        before = 2 * path[0] - path[radius:0:-1]
        padded = np.concatenate([before, path, 2 * path[-1] - path[-2 : -radius - 2 : -1]])
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / _SMOOTH) ** 2)
    weights /= weights.sum()
    smooth = np.stack([np.convolve(padded[:, axis], weights, "valid") for axis in (0, 1)], 1)
    return np.concatenate([smooth[:-1:2], smooth[-1:]])
