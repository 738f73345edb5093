"""From the strokes of a pen, lists of points, to ink or to a picture.

Guarantees:

- Moving and enlarging a drawing changes nothing but rounding.
- A drawing without extent, one point or many in one spot, is a dot.
- How much of a pixel is ink follows from its distance to the pen's path alone, so that any program
  draws the same pixels to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.reading.finding import LONGEST, PAGE_AREA
from digitnet.reading.pictures import MAX_SIDE
from digitnet.reading.prediction import Box, Ink, Prediction, Reading
from digitnet.reading.writing import familiar, lone_digit, of_one, whole_box

Strokes = Sequence[Sequence[tuple[float, ...]]]

# The longer side of the drawing of one digit as rendered, and the width of the pen, in pixels.
_SIDE, _PEN = 100.0, 10.0
_MARGIN = 2.0
# A pen's usual pressure, which a mouse reports too, and at which it draws its own width; and how
# wide it is without any, beside that.
USUAL_PRESSURE, THINNEST = 0.5, 0.5
# What is added at once to a drawing, in pixels of length; and so many of these pieces together,
# which takes a few megabytes.
_STEP, _AT_ONCE = 4.0, 256
# How long all strokes together may be, in pixels: thousands of times the drawing, which no hand
# does.
_LONGEST_WAY = 2_000_000.0
# A drawing so small that its scale would overflow is a dot.
_SMALLEST = 1e-300
_LARGEST = float(np.finfo(np.float64).max)
# Of a drawing of many signs, in units of a sign: the pen's width unless it is known, the paper
# around them, and the least size of a sign in pixels. A sign is as large as three quarters of the
# strokes are at most; of a flat drawing, a twentieth of its length.
_PEN_OF_SIGN, _PAPER, _LEAST_SIGN = 0.1, 0.5, 48.0
_MOST_STROKES, _FLAT = 0.75, 0.05
# Pens are between these, in pixels: a finer one leaves too little ink, a broader one only costs.
_FINEST, _BROADEST = 1.5, 60.0

# Strokes that were found to be no digit, or several signs less surely than the first, are one digit
# if their ink is so far within the limit of strangeness; chosen on validation writers' drawings and
# on scribbles.
_UNSURE, _PLAINLY_ONE = 0.95, 3.0

_Points = NDArray[np.float64]


class Drawing(NamedTuple):
    """Strokes drawn as a picture.

    Attributes:
        pixels: uint8 (H, W), black on white.
        scale: pixels to one unit of the strokes.
        left: where the picture begins, in units of the strokes.
        top: likewise.
    """

    pixels: NDArray[np.uint8]
    scale: float
    left: float
    top: float

    def placed(self, reading: Reading) -> Reading:
        """Return a reading of ``pixels`` with boxes in whole units of the strokes."""
        lines = tuple(
            replace(line, digits=tuple(map(self._placed, line.digits))) for line in reading.lines
        )
        return replace(reading, lines=lines)

    def _placed(self, one: Prediction) -> Prediction:
        if one.box is None:
            return one
        starts = (self.left, self.top, self.left, self.top)
        ends = [side / self.scale + start for side, start in zip(one.box, starts, strict=True)]
        # Beyond the largest numbers is infinity, which is no whole number.
        return replace(one, box=whole_box(*np.clip(ends, -_LARGEST, _LARGEST).tolist()))


def checked_pen(pen: float | None) -> float | None:
    """Return the width of a pen as a plain number.

    Raises:
        InputError: it is not a positive number.
    """
    if pen is None:
        return None
    is_number = isinstance(pen, (int, float, np.integer, np.floating))
    if not (is_number and math.isfinite(pen) and pen > 0):
        raise InputError(f"The pen's width is {pen!r}; it must be a positive number.")
    return float(pen)


def from_strokes(strokes: Strokes) -> Ink:
    """Return the ink of a drawing of one digit.

    Args:
        strokes: one sequence of points (x, y) for each time the pen touched the paper, in any
            unit, y downwards; a single point is a dot. Strokes without points are skipped. A third
            number is the pen's pressure, 0 to 1, usually 0.5: the pen is half as wide without any,
            and half as wide again at full pressure.

    Returns:
        Ink whose drawing, without the pen's width, is 100 pixels long, and no box; blank without
        points.

    Raises:
        InputError: the points are not pairs of finite numbers, a pressure is not in 0 to 1, or the
            strokes together are longer than 2,000,000 pixels.
    """
    lines = _checked(strokes)
    if not lines:
        return Ink.blank()
    low, _, scale = _fitted(lines, _SIDE)
    radius = _PEN / 2
    before = _widest(lines, radius) + _MARGIN
    return Ink(_drawn(lines, low, scale, radius, before).astype(np.float32), None)


def as_picture(strokes: Strokes, pen: float | None = None) -> Drawing:
    """Return a drawing of any number of signs as a picture.

    Args:
        strokes: as for ``from_strokes``.
        pen: width of the pen in the unit of the strokes; by default, and at most, a tenth of a
            sign: the way of the pen says it all, and broad strokes would touch.

    Raises:
        InputError: as for ``from_strokes``, or ``pen`` is not a positive number.
    """
    lines, pen = _checked(strokes), checked_pen(pen)
    if not lines:
        return Drawing(np.full((1, 1), 255, np.uint8), 1.0, 0.0, 0.0)
    low, extent, unit = _fitted(lines, 1.0)
    # From here on the longer side of the drawing is 1 long, or 0 if it is a dot.
    sign = _sign(lines, extent * unit, unit)
    width = _PEN_OF_SIGN * sign
    if pen is not None:
        width = min(width, max(pen * unit, 1e-6))
    paper = _PAPER * sign + _widest(lines, width / 2)
    across, down = extent * unit + 2 * paper
    page = min(math.sqrt(PAGE_AREA / (across * down)), LONGEST / max(across, down))
    scale = min(max(page, _LEAST_SIGN / sign), MAX_SIDE / max(across, down))
    radius = min(max(width * scale, _FINEST), _BROADEST) / 2
    ink = _drawn(lines, low, scale * unit, radius, paper * scale)
    whole = unit * scale
    left, top = (float(at) * 2 - (paper / unit if unit > 0 else 0.0) for at in low)
    return Drawing(
        np.uint8(255) - (ink * 255 + 0.5).astype(np.uint8), whole if whole > 0 else 1.0, left, top
    )


def judged(reading: Reading, whole: Callable[[], Prediction], ood_threshold: float) -> Reading:
    """Return the reading of a drawing, corrected by what all of its strokes are as one ink.

    A finder may see a digit in a part of a scribble, two in a broad one, or none in an odd one; but
    all strokes are known, and they were drawn to be read.

    Args:
        reading: of the drawing as a picture.
        whole: returns the digit of the same strokes, as ``from_strokes`` draws them.
        ood_threshold: of the recogniser.
    """
    if lone_digit(reading):
        return familiar(reading, ood_threshold, whole().ood_score)
    signs = [one for line in reading.lines for one in line.digits]
    if not any(one.is_digit for one in signs) or reading.confidence < _UNSURE:
        one = whole()
        if one.is_digit and one.ood_score - ood_threshold < -_PLAINLY_ONE:
            box = _around([each.box for each in signs if each.box])
            return of_one(reading, replace(one, box=box), one.confidence, None)
    return reading


def _around(boxes: list[Box]) -> Box | None:
    if not boxes:
        return None
    left, top = (min(each[side] for each in boxes) for side in (0, 1))
    right, bottom = (max(each[side] for each in boxes) for side in (2, 3))
    return Box(left, top, right, bottom)


def _checked(strokes: Strokes) -> list[_Points]:
    """Return the strokes that have points, float64 (N, 3): x, y and pressure."""
    try:
        lines = [_points(stroke, index) for index, stroke in enumerate(strokes)]
    except TypeError as error:
        raise InputError(
            f"Expected a list of strokes, each a list of points, got {type(strokes).__name__}."
        ) from error
    return [line for line in lines if len(line)]


def _points(stroke: Sequence[tuple[float, ...]], index: int) -> _Points:
    """Return the points of a stroke, float64 (N, 3), checked."""
    try:
        points = np.asarray(stroke, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"Stroke {index} is not a list of points (x, y).") from error
    if points.shape[:1] == (0,):
        return np.zeros((0, 3))
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise InputError(
            f"Stroke {index} has the shape {points.shape}; it must be points (x, y) or (x, y, "
            "pressure). A drawing is a list of strokes, and each is a list of points: "
            "[[(1, 2), (3, 4)]]."
        )
    if not np.isfinite(points).all():
        raise InputError(f"Stroke {index} holds NaN or infinity; every x and y must be finite.")
    if points.shape[1] == 2:
        return np.column_stack((points, np.full(len(points), USUAL_PRESSURE)))
    if points[:, 2].min() < 0 or points[:, 2].max() > 1:
        raise InputError(
            f"Stroke {index} has pressures from {points[:, 2].min():g} to {points[:, 2].max():g}; "
            "the third number of a point is the pen's pressure, 0 to 1."
        )
    return points


def _fitted(lines: list[_Points], side: float) -> tuple[_Points, _Points, float]:
    """Return half of where a drawing begins, its extent (2,), and the scale to be so long.

    Halves, so that the difference of the largest numbers does not overflow.
    """
    points = np.concatenate(lines)[:, :2]
    low, high = points.min(axis=0) / 2, points.max(axis=0) / 2
    half = high - low
    longest = float(half.max()) * 2
    scale = side / longest if _SMALLEST < longest < math.inf else 0.0
    return low, half * 2 if longest < math.inf else half * 0, scale


def _sign(lines: list[_Points], extent: _Points, unit: float) -> float:
    """Return how large a sign of a drawing is whose longer side is 1; 1 for a dot."""
    # Halves, as in ``_fitted``.
    sizes = sorted(float(np.ptp(line[:, :2] / 2, axis=0).max()) * 2 * unit for line in lines)
    large = sizes[math.ceil(_MOST_STROKES * len(sizes)) - 1]
    return max(min(large, float(extent[1])), _FLAT) if extent.any() else 1.0


def _widest(lines: list[_Points], radius: float) -> float:
    """Return the largest radius of the pen."""
    return radius * (THINNEST + max(float(line[:, 2].max()) for line in lines))


def _drawn(
    lines: list[_Points], low: _Points, scale: float, radius: float, before: float
) -> _Points:
    """Return strokes as ink, float64 (H, W), 0 to 1, with so many pixels of paper around them."""
    moved = []
    for line in lines:
        at = (line[:, :2] / 2 - low) * (2 * scale) + before
        moved.append(np.column_stack((at, radius * (THINNEST + line[:, 2]))))
    ends = np.max([line[:, :2].max(axis=0) for line in moved], axis=0) + before
    width, height = (max(1, math.ceil(end)) for end in ends)
    way = sum(float(_lengths(line).sum()) for line in moved)
    if way > _LONGEST_WAY:
        raise InputError(
            f"The strokes go to and fro for {way:,.0f} pixels over a drawing of {width} × "
            f"{height}; at most {_LONGEST_WAY:,.0f} are drawn. Send fewer points."
        )
    pieces = np.concatenate([_pieces(line) for line in moved])
    ink = np.zeros(height * width)
    for start in range(0, len(pieces), _AT_ONCE):
        _cover(ink, pieces[start : start + _AT_ONCE], height, width)
    return ink.reshape(height, width)


def _lengths(line: _Points) -> _Points:
    """Return how far it is from each point to the next, (N - 1,)."""
    steps = line[1:] - line[:-1]
    return np.sqrt(steps[:, 0] * steps[:, 0] + steps[:, 1] * steps[:, 1])


def _pieces(line: _Points) -> _Points:
    """Return a stroke in pieces of at most ``_STEP``, (N, 6): x, y and radius at both ends."""
    if len(line) == 1:
        return np.concatenate((line, line), axis=1)
    starts, steps = line[:-1], line[1:] - line[:-1]
    counts = np.maximum(1, np.ceil(_lengths(line) / _STEP)).astype(int)
    of = np.repeat(np.arange(len(starts)), counts)
    number = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    first, last = ((number + k) / counts[of] for k in (0, 1))
    return np.concatenate(
        [starts[of] + steps[of] * share[:, None] for share in (first, last)], axis=1
    )


def _cover(ink: _Points, pieces: _Points, height: int, width: int) -> None:
    """Add to ink, float64 (H × W,), how much of each pixel a round pen covers, 0 to 1.

    That is how far the middle of the pixel lies within the pen's edge, plus a half: exact where
    the edge runs along the grid.
    """
    x, y, r, x2, y2, r2 = pieces.T
    reach = float(max(r.max(), r2.max())) + 0.5
    side = math.ceil(2 * reach + _STEP) + 1
    left, top = (np.floor(np.minimum(*ends) - reach) for ends in ((x, x2), (y, y2)))
    offsets = np.arange(side)
    across = (left[:, None] + offsets)[:, None, :]
    down = (top[:, None] + offsets)[:, :, None]
    dx, dy, dr = ((b - a)[:, None, None] for a, b in ((x, x2), (y, y2), (r, r2)))
    from_x, from_y = across + 0.5 - x[:, None, None], down + 0.5 - y[:, None, None]
    square = np.maximum(dx * dx + dy * dy, 1e-12)
    along = ((from_x * dx + from_y * dy) / square).clip(0, 1)
    off_x, off_y = from_x - along * dx, from_y - along * dy
    distance = np.sqrt(off_x * off_x + off_y * off_y)
    cover = (r[:, None, None] + along * dr + 0.5 - distance).clip(0, 1)
    inside = (across >= 0) & (across < width) & (down >= 0) & (down < height) & (cover > 0)
    np.maximum.at(ink, (down * width + across)[inside].astype(int), cover[inside])
