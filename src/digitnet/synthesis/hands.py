"""Signs of real hands drawn with any pen: UNIPEN's strokes as ink.

Guarantees:

- ``draw`` puts the middle of the outermost strokes exactly as far apart as asked, at any size, and
  strokes are as wide as the pen to a quarter of a pixel; ends are round, edges one pixel soft.
- Nothing is drawn at random: what is drawn follows from the arguments alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# Pixels of paper around the ink.
_MARGIN = 1
# Drawn this much finer and averaged, because OpenCV has no soft broad lines with round ends; twice
# as fine for pens that are not as broad as this, because its lines are whole pixels wide.
_FINE, _BROAD = 4, 3
# OpenCV draws at fractions of a pixel: coordinates in units of 2 to the power of minus this.
_SHIFT = 4


def draw(
    strokes: Sequence[NDArray[np.float64]],
    side: float,
    pen: float,
    slant: float = 0.0,
    stretch: float = 1.0,
) -> NDArray[np.float32]:
    """Return a sign as a round pen draws it.

    Args:
        strokes: as of ``Hands.strokes``, y down.
        side: the longer side of the sign between the middles of its strokes, in pixels, of a sign
            whose longer side is 1; others are as much smaller as they are.
        pen: width of the pen, in pixels.
        slant: how far the top leans to the right, as a fraction of the height.
        stretch: how much wider the sign becomes; its longer side stays what ``side`` says.

    Returns:
        float32 (h, w) in [0, 1], the share of each pixel that ink covers; around the ink is a pixel
        of paper.
    """
    points = np.concatenate(strokes)
    before = np.ptp(points, axis=0).max()
    points = points @ np.array([[stretch, 0.0], [-slant, 1.0]])
    points -= points.min(axis=0)
    extent = points.max(axis=0)
    # A dot has no extent.
    scale = side * before / max(float(extent.max()), 1e-9)
    across, down = np.ceil(extent * scale + pen + 2 * _MARGIN).astype(int)
    fine = _FINE if pen > _BROAD else 2 * _FINE
    canvas = np.zeros((down * fine, across * fine), np.uint8)
    # OpenCV counts from the middle of a pixel, we from its edge: half a pixel less.
    unit = fine * 2**_SHIFT
    corners = (points * scale + (pen / 2 + _MARGIN)) * unit - 2 ** (_SHIFT - 1)
    lines = np.split(np.round(corners).astype(np.int32), np.cumsum([len(s) for s in strokes])[:-1])
    # What OpenCV draws covers a pixel more than its thickness, and an odd one as many as the next.
    reach = (pen * fine - 1) / 2
    cv2.polylines(canvas, lines, False, 255, max(2 * round(reach), 1), shift=_SHIFT)
    for dot in (line[0].tolist() for line in lines if len(line) == 1):
        radius = max(round(reach * 2**_SHIFT), 0)
        cv2.circle(canvas, dot, radius, 255, cv2.FILLED, shift=_SHIFT)
    ink = cv2.resize(canvas, (across, down), interpolation=cv2.INTER_AREA)
    return np.asarray(ink.astype(np.float32) / np.float32(255))
