"""Digits redrawn with another pen: the path of each stroke is kept, its width is chosen.

Guarantees:

- ``stroke_distances`` and ``draw_with_pen`` redraw whole batches for training, at the size of the
  images, with soft edges: broad strokes become thin without breaking; blots and pressure vanish.
- ``draw`` and ``put_ink`` redraw one digit for a picture of any size: outlines are crisp and
  smooth, and nothing shows the 28×28 grid. The stroke width asked for is reached within a tenth
  (below 1/30 of the digit, lines come out up to a third wider), unless it would close a loop, open
  a new one or run strokes together into a blot; then the next finer width that does not is used.
  A fine pen never skips: strokes that are connected stay connected.
- ``can_be_redrawn`` says of which digits another pen keeps the shape.

Both ways follow the medial axis by thinning (Zhang and Suen, "A fast parallel algorithm for
thinning digital patterns", CACM 1984). For pictures, a digit is kept as a
*field*: the signed distance to the nearest outline, in pixels of the 28×28 image, positive inside
strokes. A field can be enlarged and turned like a picture and only then becomes ink, so edges stay
one pixel wide.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from digitnet.errors import importing_extras

if TYPE_CHECKING:
    from torch import Tensor

Mask = NDArray[np.bool_]
Float = NDArray[np.float32]
Point = tuple[float, float]

# Thinning works on pixels that are on or off; this much finer, it follows the grey edges.
_ZOOM = 3
# Distances are stored in these parts of a pixel.
STEPS_PER_PIXEL = 16

# The bit of each neighbour in the code of a neighbourhood: clockwise from the one above.
_NEIGHBOURS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)
# Points of a field for each pixel of the image, and the pixels of paper around that image, which
# must hold half the thickest pen.
_FINE = 4
_MARGIN = 5
# A blur that removes the pixel grid and leaves strokes of one pixel whole.
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
# Written ink farther than this from the edge of its line is part of the digit, in image pixels.
_BESIDE = 1.25
# Holes and blots smaller than this (in field points) are specks, not loops of a digit.
_SMALLEST_LOOP = 32


def stroke_distances(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return each pixel's distance to the middle line of the nearest stroke.

    Args:
        images: uint8 (N, H, W), light strokes on black.

    Returns:
        uint8 (N, H, W) in sixteenths of a pixel, at most 255; a blank image is 255 throughout.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    with importing_extras():
        from skimage.morphology import skeletonize
    distances = np.full_like(images, 255)
    for image, out in zip(images, distances, strict=True):
        large = cv2.resize(image, None, fx=_ZOOM, fy=_ZOOM, interpolation=cv2.INTER_CUBIC)
        line = skeletonize(np.asarray(large) > 127)  # type: ignore[no-untyped-call]
        if line.any():
            exact = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, 5) / _ZOOM
            # The middle of each block of pixels: a mean would blunt the sharp valley at the line.
            middle = exact[_ZOOM // 2 :: _ZOOM, _ZOOM // 2 :: _ZOOM]
            out[:] = np.minimum(middle * STEPS_PER_PIXEL, 255).astype(np.uint8)
    return distances


def draw_with_pen(distances: Tensor, width: Tensor) -> Tensor:
    """Return images drawn along the middle lines.

    Args:
        distances: uint8 (N, H, W) of ``stroke_distances``.
        width: pen width in pixels, float (N,).

    Returns:
        float32 (N, 1, H, W) in [0, 1]; edges are one pixel soft.
    """
    pixels = distances.unsqueeze(1).float() / STEPS_PER_PIXEL
    return (width.view(-1, 1, 1, 1) / 2 - pixels + 0.5).clamp(0.0, 1.0)


@dataclass(frozen=True, eq=False)
class DigitField:
    """A digit as a field, and the box that its strokes fill.

    Attributes:
        field: float32 (152, 152), signed distance in image pixels, positive inside strokes.
        centre: x and y of the middle of the box, in points of the field.
        width: of the box, in image pixels.
        height: of the box, in image pixels.
        stroke: width of the pen, in image pixels; None for strokes as they were written.
    """

    field: Float
    centre: Point
    width: float
    height: float
    stroke: float | None = None

    @property
    def side(self) -> float:
        """The longer side of the box, in image pixels."""
        return max(self.width, self.height)


def draw(
    image: NDArray[np.uint8], stroke: float | None = None, *, always: bool = False
) -> DigitField:
    """Return ``image`` (uint8 (28, 28), light on dark) as a field, drawn with a pen.

    Args:
        image: the digit; a blank one gives a field without strokes.
        stroke: width of the pen as a fraction of the digit's longer side (0.03 is a fine pen, 0.25
            a thick marker); None keeps the strokes as they were written.
        always: use this pen even if it changes the shape; otherwise a digit of which
            ``can_be_redrawn`` is false keeps the strokes as they were written.
    """
    written = _as_written(image)
    if stroke is None or not (written > 0).any():
        return _with_box(written)
    lines = _MiddleLines(written)
    return _redrawn(lines, stroke) if always or lines.show_all() else _with_box(written)


def can_be_redrawn(image: NDArray[np.uint8]) -> bool:
    """Return whether another pen shows the same digit as ``image``; true of a blank image."""
    written = _as_written(image)
    return not (written > 0).any() or _MiddleLines(written).show_all()


class _MiddleLines:
    """The middle lines of written strokes, which are not blank.

    Attributes:
        axis: where the medial axis is.
        away: how far each point is from it, in image pixels.
        depth: how far inside the strokes each point is, in image pixels.
        usual: width of the strokes, in image pixels.
    """

    def __init__(self, written: Float) -> None:
        self.axis = thin(written > 0)
        self.away = _distance_to_line(self.axis)
        self.depth = _distance_to(written <= 0)
        self.usual = 2 * float(np.median(self.depth[self.axis]))

    def show_all(self) -> bool:
        """Return whether the lines show everything that the strokes do.

        Those of a digit with blots show too little of what was a loop or a doubled stroke before
        ink ran into it: half of such digits become illegible. A bold 3 may have no blot and yet
        lose its bar, which does not reach far enough out of the strokes to have a line.
        """
        lost = (self.depth > 0) & (self.away - np.float32(self.usual / 2) > _BESIDE)
        return not _has_blots(self.depth, self.usual) and not lost.any()


def _as_written(image: NDArray[np.uint8]) -> Float:
    """Return the field of the strokes as they were written."""
    padded = np.pad(image.astype(np.float32) / max(int(image.max()), 1), _MARGIN)
    light = cv2.resize(padded, None, fx=_FINE, fy=_FINE, interpolation=cv2.INTER_CUBIC)
    return (as_float32(cv2.GaussianBlur(light, (0, 0), _SMOOTHING)) - _OUTLINE) * _EDGE


def _redrawn(lines: _MiddleLines, stroke: float) -> DigitField:
    """Return the field drawn with a pen of ``stroke`` of its longer side."""
    depth, usual = lines.depth, lines.usual
    # Lines as the pen draws them, once the width of the pen is added.
    line = np.maximum(-lines.away, _blots(depth, usual))
    # The box of the strokes is the box of the axis and half a pen more on each side.
    pen = stroke * _with_box(lines.axis - np.float32(0.5)).side / (1 - stroke)
    # A line of 0.6 of the written width shows the loops that ink has nearly closed.
    finest = 0.6 * usual
    loops = _count_loops(line + np.float32(finest / 2))
    blotted = _has_blots(depth, usual, _FILLED)
    while pen > finest and _runs_together(line + np.float32(pen / 2), pen, loops, blotted):
        pen = max(0.93 * pen, finest)
    return _with_box(line + np.float32(pen / 2), pen)


def _runs_together(field: Float, pen: float, loops: int, blotted: bool) -> bool:
    """Return whether strokes of the width ``pen`` have other loops or, unlike before, blots."""
    if _count_loops(field) != loops:
        return True
    return not blotted and _has_blots(_distance_to(field <= 0), pen, _FILLED)


def _has_blots(depth: Float, usual: float, times: float = _BLOT) -> bool:
    """Return whether some ink is ``times`` as deep as lines that are ``usual`` wide."""
    return int((depth > times * usual / 2).sum()) >= _SMALLEST_LOOP


def _blots(depth: Float, usual: float) -> Float:
    """Return the signed distance to ink that is too thick for lines, less the width of a pen.

    The medial axis of a loop that ink has filled is no loop: without its blot a 6 would become
    an L.

    Args:
        depth: how far inside the strokes each point is, in image pixels.
        usual: width of the written strokes.
    """
    if not _has_blots(depth, usual):
        return np.full_like(depth, -np.inf)
    reach = _BLOT * usual / 2
    return as_float32(reach - usual / 2 - _distance_to(depth > reach))


def thin(mask: Mask) -> Mask:
    """Return the medial axis of ``mask``, bool (H, W), in lines of one pixel.

    scikit-image also clears the inner corners of staircases, which moves the axis of every digit a
    little: measured pictures would change.
    """
    axis = mask.astype(np.uint8)
    while True:
        before = int(axis.sum())
        for stays in _thinning_tables():
            code = cv2.filter2D(axis, cv2.CV_8U, _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
            axis = np.asarray(cv2.bitwise_and(axis, cv2.LUT(code, stays)), np.uint8)
        if int(axis.sum()) == before:
            return axis > 0


@functools.cache
def _thinning_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return, for both half steps and each of 256 neighbourhoods, whether a point stays (1)."""
    ring = (np.arange(256)[:, None] >> np.arange(8) & 1).astype(bool)
    up, right, down, left = ring.T[::2]
    starts = (~ring & np.roll(ring, -1, axis=1)).sum(axis=1)
    kept = (starts != 1) | (ring.sum(axis=1) < 2) | (ring.sum(axis=1) > 6)
    first = kept | (right & down & (up | left))
    second = kept | (up & left & (right | down))
    return first.astype(np.uint8), second.astype(np.uint8)


def _distance_to(points: Mask) -> Float:
    """Return the distance of each point of a field to the nearest of ``points``, image pixels."""
    others = (~points).astype(np.uint8)
    distances = cv2.distanceTransform(others, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return as_float32(distances) / np.float32(_FINE)


def _distance_to_line(axis: Mask) -> Float:
    """Return the distance to ``axis`` as if it were a smooth line without steps."""
    squared = as_float32(cv2.GaussianBlur(_distance_to(axis) ** 2, (0, 0), _AXIS_SMOOTHING))
    # Blurring a squared distance adds a constant, the blur's variance less what the steps are
    # nearer than the line. On most of the line nothing may be left: a fine pen must not skip.
    constant = np.float32(np.quantile(squared[axis], 0.8))
    return as_float32(np.sqrt(np.maximum(squared - constant, 0)))


def _with_box(field: Float, stroke: float | None = None) -> DigitField:
    """Return the field with the box of what is inside its strokes (all of it, if nothing is)."""
    inside = (field > 0).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(inside if inside.any() else np.ones_like(inside))
    centre = (left + (width - 1) / 2, top + (height - 1) / 2)
    return DigitField(field, centre, width / _FINE, height / _FINE, stroke)


def _count_loops(field: Float) -> int:
    """Return how many pieces of paper the strokes enclose."""
    paper = np.pad((field <= 0).astype(np.uint8), 1, constant_values=1)
    count, _, statistics, _ = cv2.connectedComponentsWithStats(paper, connectivity=4)
    # Component 0 is the ink; the largest of the others is the page around it.
    return int((statistics[1:count, cv2.CC_STAT_AREA] >= _SMALLEST_LOOP).sum()) - 1


def put_ink(
    digit: DigitField, shape: tuple[int, int], centre: Point, side: float, tilt: float
) -> tuple[tuple[slice, slice], Float]:
    """Return the ink that ``digit`` leaves on a page, and where.

    Args:
        digit: what is written.
        shape: height and width of the page, in pixels.
        centre: x and y of the middle of the digit's box, in edge coordinates of the page.
        side: the longer side of the digit's box before it is tilted, in pixels.
        tilt: clockwise, in degrees.

    Returns:
        The rows and columns of a window of the page with some paper around the digit, and float32
        of the window's shape in [0, 1]: the fraction of each of its pixels that ink covers.
    """
    # The window holds the box however it is turned.
    reach = 0.5 * math.hypot(digit.width, digit.height) / digit.side * side + _PAPER_AROUND
    left, top = (max(math.floor(c - reach), 0) for c in centre)
    right, bottom = (min(math.ceil(c + reach), n) for c, n in zip(centre, shape[::-1], strict=True))
    window, inside = (bottom - top, right - left), (centre[0] - left, centre[1] - top)
    scale = side / digit.side
    # A small digit is drawn at several points a pixel, then averaged.
    fold = math.ceil(_FINE / scale)
    field = _turned(digit, window, inside, scale, tilt, fold)
    ink = np.clip(field * np.float32(scale * fold) + np.float32(0.5), 0, 1)
    if fold > 1:
        ink = as_float32(cv2.resize(ink, window[::-1], interpolation=cv2.INTER_AREA))
    return (slice(top, bottom), slice(left, right)), ink


def _turned(
    digit: DigitField, shape: tuple[int, int], centre: Point, scale: float, tilt: float, fold: int
) -> Float:
    """Return the field in a window of ``shape``, with ``fold`` points a pixel each way."""
    # A field is smooth: a large one is turned small and enlarged after, which is much faster.
    enlarge = max(int(scale / _FINE), 1)
    density = fold / enlarge
    cos, sin = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    turn = np.array([[cos, -sin], [sin, cos]]) * (scale * density / _FINE)
    # Pixel i covers [i, i + 1], and cv2 counts from the middle of pixel 0.
    shift = np.array(centre) * density - 0.5 - turn @ np.array(digit.centre)
    height, width = (math.ceil(length * density) for length in shape)
    field = cv2.warpAffine(
        digit.field,
        np.column_stack([turn, shift]),
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if enlarge > 1:
        field = cv2.resize(field, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC)
    return as_float32(field[: shape[0] * fold, : shape[1] * fold])


def as_float32(array: object) -> Float:
    """Return ``array`` with the element type that cv2's stubs leave open."""
    return np.asarray(array, np.float32)
