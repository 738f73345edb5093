"""Redraw a 28×28 digit as a pen would: smooth strokes, of any width, at any size and place.

Guarantees:

- Strokes have crisp, smooth outlines at every size: nothing shows the 28×28 grid.
- A stroke width that is asked for is reached within a tenth (below 1/30 of the digit, lines come
  out up to a third wider), unless it would close a loop of the digit, make a new one or run strokes
  together to a blot; it is then the next finer width that does none of that.
- A fine pen never skips: strokes that hang together stay so.
- ``can_be_redrawn`` tells of which digits another pen leaves the shape.

A digit is kept as a *field*: the signed distance to the nearest outline, in pixels of the 28×28
image, positive inside strokes. A field can be enlarged and turned like a picture, and only then
becomes ink, so that edges stay one pixel wide. Another stroke width is a distance to the medial
axis, which is found by the thinning of Zhang and Suen, "A fast parallel algorithm for thinning
digital patterns" (Communications of the ACM 27, 1984).
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Mask = NDArray[np.uint8]

# Points of a field for each pixel of the image, and the pixels of paper around that image, which
# must hold half the thickest pen.
_FINE = 4
_MARGIN = 5
# A blur that takes away the pixel grid and leaves strokes of one pixel whole.
_SMOOTHING = 1.6
# MNIST's edges rise from paper to ink over about this many pixels.
_EDGE = 1.75
_OUTLINE = 0.42
# A blur of the distance to the medial axis, against the axis' own staircase.
_AXIS_SMOOTHING = 2.8
# Strokes this many times deeper than usual are blots, not lines or crossings of lines.
_BLOT = 1.65
# A broad pen that makes them this much deeper has filled an angle; lines that cross do not.
_FILLED = 1.5
# Pixels of paper around the digit in its window: blur spreads ink that far.
_PAPER_AROUND = 8
# Written ink that lies farther than this beside its line is part of the digit, in image pixels.
_BESIDE = 1.25
# Holes and blots smaller than this (in field points) are specks, not loops of a digit.
_SMALLEST_LOOP = 32


@dataclass(frozen=True, eq=False)
class Drawing:
    """A digit as a field, and the box that its strokes fill.

    Attributes:
        field: float32 (152, 152), signed distance in image pixels, positive inside strokes.
        centre: x and y of the middle of the box, in points of the field.
        width: of the box, in image pixels.
        height: of the box, in image pixels.
        stroke: width of the pen, in image pixels; None for strokes as they were written.
    """

    field: Float
    centre: tuple[float, float]
    width: float
    height: float
    stroke: float | None = None

    @property
    def side(self) -> float:
        """The longer side of the box, in image pixels."""
        return max(self.width, self.height)


def draw(image: NDArray[np.uint8], stroke: float | None = None) -> Drawing:
    """Return ``image`` (uint8 (28, 28), light on dark) as a drawing.

    Args:
        image: the digit; a blank one gives a drawing without strokes.
        stroke: width of the pen as a part of the drawing's longer side (0.03 is a fine pen, 0.25 a
            thick marker); None keeps the strokes as they were written.
    """
    written = _as_written(image)
    if stroke is None or not (written > 0).any():
        return _drawing(written)
    return _redrawn(_Lines(written), stroke)


def write(image: NDArray[np.uint8], stroke: float | None) -> Drawing:
    """Return ``draw(image, stroke)``, or in its own strokes a digit that cannot be redrawn."""
    written = _as_written(image)
    if stroke is None or not (written > 0).any():
        return _drawing(written)
    lines = _Lines(written)
    return _redrawn(lines, stroke) if lines.hold_all() else _drawing(written)


def can_be_redrawn(image: NDArray[np.uint8]) -> bool:
    """Tell whether another pen shows the same digit as ``image``; a blank one counts as such."""
    written = _as_written(image)
    return not (written > 0).any() or _Lines(written).hold_all()


class _Lines:
    """The lines of written strokes, which are not blank.

    Attributes:
        axis: where the middle line is.
        away: how far each point is from it, in image pixels.
        depth: how far inside the strokes each point is, in image pixels.
        usual: width of the strokes.
    """

    def __init__(self, written: Float) -> None:
        self.axis = thin((written > 0).astype(np.uint8)) > 0
        self.away = _distance_to_line(self.axis)
        self.depth = _distance_to(written <= 0)
        self.usual = 2 * float(np.median(self.depth[self.axis]))

    def hold_all(self) -> bool:
        """Tell whether the lines show all that the strokes do.

        Those of a digit with blots show too little of what was a loop or a doubled stroke before
        ink ran into it: half of such digits can no longer be told by anybody. A bold 3 may have no
        blot and yet lose its bar, which does not reach far enough out of the strokes to have a
        line.
        """
        lost = (self.depth > 0) & (self.away - np.float32(self.usual / 2) > _BESIDE)
        return not _has_blots(self.depth, self.usual) and not lost.any()


def _as_written(image: NDArray[np.uint8]) -> Float:
    """Return the field of the strokes as they were written."""
    padded = np.pad(image.astype(np.float32) / max(int(image.max()), 1), _MARGIN)
    light = _float(cv2.resize(padded, None, fx=_FINE, fy=_FINE, interpolation=cv2.INTER_CUBIC))
    return _float((_float(cv2.GaussianBlur(light, (0, 0), _SMOOTHING)) - _OUTLINE) * _EDGE)


def _redrawn(lines: _Lines, stroke: float) -> Drawing:
    """Return the drawing with a pen of ``stroke`` of its longer side."""
    depth, usual = lines.depth, lines.usual
    # Lines as the pen draws them, once the width of the pen is added.
    line = _float(np.maximum(-lines.away, _blots(depth, usual)))
    # The box of the strokes is the box of the axis and half a pen more on each side.
    pen = stroke * _drawing(lines.axis - np.float32(0.5)).side / (1 - stroke)
    # A line of 0.6 of the written width shows the loops that ink has nearly closed.
    finest = 0.6 * usual
    loops = _count_loops(line + np.float32(finest / 2))
    blotted = _has_blots(depth, usual, _FILLED)
    while pen > finest and _runs_together(line + np.float32(pen / 2), pen, loops, blotted):
        pen = max(0.93 * pen, finest)
    return _drawing(line + np.float32(pen / 2), pen)


def _runs_together(field: Float, pen: float, loops: int, blotted: bool) -> bool:
    """Tell whether strokes of the width ``pen`` have other loops or, unlike before, blots."""
    if _count_loops(field) != loops:
        return True
    return not blotted and _has_blots(_distance_to(field <= 0), pen, _FILLED)


def _has_blots(depth: Float, usual: float, times: float = _BLOT) -> bool:
    """Tell whether there are places ``times`` as deep as lines that are ``usual`` wide."""
    return int((depth > times * usual / 2).sum()) >= _SMALLEST_LOOP


def _blots(depth: Float, usual: float) -> Float:
    """Return the signed distance to places that are too thick for lines, less the width of a pen.

    A loop that ink has filled has no medial axis of a loop: without its blot a 6 would become an L.

    Args:
        depth: how far inside the strokes each point is, in image pixels.
        usual: width of the written strokes.
    """
    reach = _BLOT * usual / 2
    deep = depth > reach
    if not _has_blots(depth, usual):
        return np.full_like(depth, -np.inf)
    return _float(reach - usual / 2 - _distance_to(deep))


def _distance_to(places: NDArray[np.bool_]) -> Float:
    """Return the distance of each point to the nearest of ``places``, in image pixels."""
    points = cv2.distanceTransform((~places).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return _float(points) / np.float32(_FINE)


def _distance_to_line(axis: NDArray[np.bool_]) -> Float:
    """Return the distance to ``axis`` as if it were a smooth line without steps."""
    squared = _float(cv2.GaussianBlur(_distance_to(axis) ** 2, (0, 0), _AXIS_SMOOTHING))
    # Blurring a squared distance adds a constant, the blur's variance less what the steps are
    # nearer than the line. On most of the line nothing may be left: a fine pen must not skip.
    return _float(np.sqrt(np.maximum(squared - np.float32(np.quantile(squared[axis], 0.8)), 0)))


def _drawing(field: Float, stroke: float | None = None) -> Drawing:
    """Return the field with the box of what is inside its strokes (all of it, if nothing is)."""
    inside = field > 0
    spans = []
    for axis in (0, 1):
        places = np.flatnonzero(inside.any(axis=axis))
        spans.append((places[0], places[-1] + 1) if len(places) else (0, field.shape[1 - axis]))
    (left, right), (top, bottom) = spans
    centre = (float(left + right - 1) / 2, float(top + bottom - 1) / 2)
    return Drawing(field, centre, (right - left) / _FINE, (bottom - top) / _FINE, stroke)


def _count_loops(field: Float) -> int:
    """Return how many pieces of paper the strokes enclose."""
    paper = np.pad((field <= 0).astype(np.uint8), 1, constant_values=1)
    count, _, statistics, _ = cv2.connectedComponentsWithStats(paper, connectivity=4)
    # Component 0 is the ink; the largest of the others is the page around it.
    return int((statistics[1:count, cv2.CC_STAT_AREA] >= _SMALLEST_LOOP).sum()) - 1


def thin(mask: Mask) -> Mask:
    """Return the medial axis of ``mask`` (uint8 (H, W) of 0 and 1) by Zhang–Suen thinning."""
    weights = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)
    left, top, width, height = cv2.boundingRect(mask)
    window = (slice(top, top + height), slice(left, left + width))
    axis = np.pad(mask[window], 1)
    tables = _thinning_tables()
    while True:
        before = int(axis.sum())
        for table in tables:
            code = cv2.filter2D(axis, cv2.CV_8U, weights, borderType=cv2.BORDER_CONSTANT)
            axis = np.asarray(cv2.bitwise_and(axis, cv2.LUT(code, table)), np.uint8)
        if int(axis.sum()) == before:
            break
    thinned = np.zeros_like(mask)
    thinned[window] = axis[1:-1, 1:-1]
    return thinned


@functools.cache
def _thinning_tables() -> tuple[Mask, Mask]:
    """Return, for both half steps and each of 256 neighbourhoods, whether a point stays (1).

    Bit i of a neighbourhood is the i-th of the eight neighbours, clockwise from the one above.
    """
    first, second = np.ones(256, np.uint8), np.ones(256, np.uint8)
    for code, bits in enumerate(itertools.product((0, 1), repeat=8)):
        up, up_right, right, down_right, down, down_left, left, up_left = bits[::-1]
        ring = (up, up_right, right, down_right, down, down_left, left, up_left)
        starts = sum(a == 0 and b == 1 for a, b in zip(ring, ring[1:] + ring[:1], strict=True))
        if starts != 1 or not 2 <= sum(ring) <= 6:
            continue
        first[code] = bool(up and right and down) or bool(right and down and left)
        second[code] = bool(up and right and left) or bool(up and down and left)
    return first, second


def put_ink(
    drawing: Drawing, shape: tuple[int, int], centre: tuple[float, float], side: float, tilt: float
) -> tuple[tuple[slice, slice], Float]:
    """Return the ink that ``drawing`` leaves on a page, and where.

    Args:
        drawing: the digit.
        shape: height and width of the page, in pixels.
        centre: x and y of the middle of the digit's box, in edge coordinates of the page.
        side: the longer side of the digit's box before it is tilted, in pixels.
        tilt: clockwise, in degrees.

    Returns:
        The rows and columns of a window of the page with some paper around the digit, and float32
        of the window's shape in [0, 1]: the part of each of its pixels that ink covers.
    """
    # The window holds the box however it is turned.
    reach = 0.5 * math.hypot(drawing.width, drawing.height) / drawing.side * side + _PAPER_AROUND
    left, top = (max(math.floor(place - reach), 0) for place in centre)
    right, bottom = (min(math.ceil(c + reach), n) for c, n in zip(centre, shape[::-1], strict=True))
    place = (centre[0] - left, centre[1] - top)
    ink = _rasterise(drawing, (bottom - top, right - left), place, side, tilt)
    return (slice(top, bottom), slice(left, right)), ink


def _rasterise(
    drawing: Drawing, shape: tuple[int, int], centre: tuple[float, float], side: float, tilt: float
) -> Float:
    """Draw into a window: at several points a pixel where the digit is small, then averaged."""
    scale = side / drawing.side
    fold = math.ceil(_FINE / scale)
    field = _turned(drawing, shape, centre, scale, tilt, fold)
    covered = np.clip(field * np.float32(scale * fold) + np.float32(0.5), 0, 1)
    if fold == 1:
        return _float(covered)
    return _float(cv2.resize(covered, shape[::-1], interpolation=cv2.INTER_AREA))


def _turned(
    drawing: Drawing,
    shape: tuple[int, int],
    centre: tuple[float, float],
    scale: float,
    tilt: float,
    fold: int,
) -> Float:
    """Return the field in a window of ``shape``, with ``fold`` points a pixel each way."""
    # A field is smooth: a large one is turned small and enlarged after, which is much faster.
    enlarge = max(int(scale / _FINE), 1)
    density = fold / enlarge
    angle = math.radians(tilt)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turn *= scale * density / _FINE
    # Pixel i covers [i, i + 1], and cv2 counts from the middle of pixel 0.
    shift = np.array(centre) * density - 0.5 - turn @ np.array(drawing.centre)
    height, width = (math.ceil(length * density) for length in shape)
    field = cv2.warpAffine(
        drawing.field,
        np.column_stack([turn, shift]),
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if enlarge > 1:
        field = cv2.resize(field, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC)
    return _float(field[: shape[0] * fold, : shape[1] * fold])


def _float(array: object) -> Float:
    """Name the type that cv2's stubs leave open."""
    return np.asarray(array, np.float32)
