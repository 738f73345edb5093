"""From a picture and the boxes of a line's signs to the strip that the line reader sees.

Guarantees:

- A strip is as high as the reader needs it, the line level and nearly as high; its width keeps the
  proportions of the picture.
- It reaches a line's height beyond the first and the last sign, as far as the picture does:
  what the finder missed at the ends is seen too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Height of a strip, and its least and greatest width; a line longer than that has no strip.
HEIGHT, LEAST_WIDTH, MOST_WIDTH = 32, 16, 512
# Room above and below a line, and before and after it, in its height.
ABOVE, BESIDE = 0.12, 1.0
# A line is as high as this share of its broadest sign is wide: a dash, a 1 on its side.
_FLAT = 0.5
# How far a slope is mistrusted: as if each sign were so many heights from its neighbours at most.
_LEVEL, _STEEPEST = 0.5, 0.5

_Grey = NDArray[np.uint8]


class Strip(NamedTuple):
    """What the line reader sees of a line."""

    pixels: _Grey
    """(HEIGHT, W)."""
    left: float
    """Where it begins in the picture."""
    right: float
    """Where it ends in the picture."""
    level: float
    """How high the middle of the line is in the middle between both."""
    slope: float
    """How far the line falls for each step to the right."""
    high: float
    """The height of the line, in pixels of the picture."""

    def box(self, start: float, end: float) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom in the picture of a part of the strip.

        Args:
            start: where it begins, in parts of the strip's width, 0 to 1.
            end: where it ends.
        """
        left, right = (self.left + (self.right - self.left) * at for at in (start, end))
        middle = self.level + self.slope * ((left + right) / 2 - (self.left + self.right) / 2)
        return left, middle - self.high / 2, right, middle + self.high / 2


def strip_of(picture: _Grey, boxes: NDArray[np.floating]) -> Strip | None:
    """Return the strip of a line; None if it were too long.

    Args:
        picture: uint8 (H, W).
        boxes: (K, 4), left, top, right and bottom of the line's signs in the picture; K > 0.
    """
    box = boxes.astype(np.float64)
    x, y = (box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2
    tall = float(np.median(np.maximum(box[:, 3] - box[:, 1], _FLAT * (box[:, 2] - box[:, 0]))))
    middle = float(x.mean())
    away = x - middle
    # Sums, and no products of vectors, which processors add up in different orders.
    spread = float((away * away).sum()) + len(x) * _LEVEL * tall**2
    shared = float((away * (y - y.mean())).sum())
    slope = float(np.clip(shared / max(spread, 1e-9), -_STEEPEST, _STEEPEST))
    top = float((box[:, 1] - slope * away).min())
    bottom = float((box[:, 3] - slope * away).max())
    high = max(bottom - top, _FLAT * float((box[:, 2] - box[:, 0]).max()), 2.0)
    centre = (top + bottom) / 2
    scale = HEIGHT / (high * (1 + 2 * ABOVE))
    left = max(float(box[:, 0].min()) - BESIDE * high, 0.0)
    right = min(float(box[:, 2].max()) + BESIDE * high, float(picture.shape[1]))
    width = max(round((right - left) * scale), LEAST_WIDTH)
    if width > MOST_WIDTH:
        return None
    # The part that holds the sloping line, level by columns afterwards.
    columns = left + (np.arange(width) + 0.5) * (right - left) / width
    rise = slope * (columns - middle)
    half = HEIGHT / 2 / scale
    low, low_end = centre + float(rise.min()) - half, centre + float(rise.max()) + half
    rows = max(round((low_end - low) * scale), HEIGHT)
    part = _resized(picture, (left, low, right, low_end), (width, rows))
    start = (centre + rise - half - low) / max(low_end - low, 1e-9) * rows
    level = centre + slope * ((left + right) / 2 - middle)
    return Strip(_levelled(part, start), left, right, level, slope, high)


def _resized(
    picture: _Grey, box: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Return a part of a picture, which may reach over its upper and lower edge."""
    left, top, right, bottom = box
    above, below = max(0, int(np.ceil(-top))), max(0, int(np.ceil(bottom - picture.shape[0])))
    if above or below:
        first = min(max(0, int(top) - 2), picture.shape[0] - 1)
        last = max(min(picture.shape[0], int(np.ceil(bottom)) + 2), first + 1)
        picture = np.pad(picture[first:last], ((above, below), (0, 0)), mode="edge")
        top, bottom = top + above - first, bottom + above - first
    resized = Image.fromarray(picture).resize(
        size, Image.Resampling.BILINEAR, (left, top, right, min(bottom, picture.shape[0]))
    )
    return np.asarray(resized, np.float32)


def _levelled(part: NDArray[np.float32], start: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return ``HEIGHT`` rows of each column from its start on."""
    rows = np.clip(start + np.arange(HEIGHT)[:, None], 0, len(part) - 1)
    whole = np.floor(rows).astype(int)
    share = (rows - whole).astype(np.float32)
    columns = np.arange(part.shape[1])
    next_row = np.minimum(whole + 1, len(part) - 1)
    mixed = part[whole, columns] * (1 - share) + part[next_row, columns] * share
    return np.asarray(np.rint(mixed), np.uint8)
