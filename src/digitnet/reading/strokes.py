"""From the strokes of a pen, lists of points, to ink.

Guarantees:

- Moving and enlarging a drawing changes nothing but rounding.
- A drawing without extent, one point or many in one spot, is a dot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from digitnet.errors import InputError
from digitnet.reading.prediction import Ink

Strokes = Sequence[Sequence[tuple[float, float]]]

# The longer side of a drawing as rendered, and the width of the pen, in pixels.
_SIDE, _PEN = 100, 10
# Drawn this much finer and averaged, because Pillow draws hard edges.
_FINE = 4
_MARGIN = 2
# A drawing so small that its scale would overflow is a dot.
_SMALLEST = 1e-300


def from_strokes(strokes: Strokes) -> Ink:
    """Return the ink of a drawing.

    Args:
        strokes: one sequence of points (x, y) for each time the pen touched the paper, in any
            unit, y downwards; a single point is a dot. Strokes without points are skipped.

    Returns:
        Ink whose drawing, without the pen's width, is 100 pixels long, and no box; blank without
        points.

    Raises:
        InputError: the points are not pairs of finite numbers.
    """
    try:
        lines = [_points(stroke, index) for index, stroke in enumerate(strokes)]
    except TypeError as error:
        raise InputError(
            f"Expected a list of strokes, each a list of points, got {type(strokes).__name__}."
        ) from error
    lines = [line for line in lines if len(line)]
    if not lines:
        return Ink.blank()
    points = np.concatenate(lines)
    # Halved, so that the difference of the largest numbers does not overflow.
    low, high = points.min(axis=0) / 2, points.max(axis=0) / 2
    extent = float((high - low).max()) * 2
    scale = _SIDE / extent if extent > _SMALLEST else 0.0
    return Ink(_render([(line / 2 - low) * (2 * scale) for line in lines]), None)


def _points(stroke: Sequence[tuple[float, float]], index: int) -> NDArray[np.float64]:
    """Return the points of a stroke, float64 (N, 2), checked."""
    try:
        points = np.asarray(stroke, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Stroke {index} is not a list of points (x, y).") from error
    if points.size == 0:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        raise InputError(
            f"Stroke {index} has the shape {points.shape}; it must be points (x, y), (N, 2). A "
            "drawing is a list of strokes, and each is a list of points: [[(1, 2), (3, 4)]]."
        )
    if not np.isfinite(points).all():
        raise InputError(f"Stroke {index} holds NaN or infinity; every x and y must be finite.")
    return points


def _render(lines: list[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Draw ``lines``, in pixels from 0, with a round pen."""
    before = _PEN / 2 + _MARGIN
    across, down = np.ceil(np.max([line.max(axis=0) for line in lines], axis=0) + 2 * before)
    canvas = Image.new("L", (int(across) * _FINE, int(down) * _FINE))
    pencil, radius = ImageDraw.Draw(canvas), _PEN * _FINE / 2
    for line in lines:
        # Pillow counts from the middle of a pixel, we from its edge: half a pixel less.
        corners = (line + before) * _FINE - 0.5
        if len(corners) > 1:
            pencil.line(corners.ravel().tolist(), fill=255, width=_PEN * _FINE)
        # Round ends and round corners.
        for x, y in corners:
            pencil.circle((x, y), radius, fill=255)
    small = np.asarray(canvas.reduce(_FINE), np.float32)
    return np.asarray(small / small.max(), np.float32)
