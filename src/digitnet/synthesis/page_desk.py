"""A desk: a sheet, somebody who writes, one pen; and texts written with it.

Guarantees:

- Everything that is written on a page goes through a ``Desk``.
- ``spell`` and ``fit`` keep the signs of a text in order, however closely they stand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from digitnet.synthesis.page_marks import MARKS, mark, scrawl
from digitnet.synthesis.page_sheet import Sheet
from digitnet.synthesis.page_signs import CLUTTER, Glyph, Penman
from digitnet.synthesis.page_strokes import Bounds, Path, Pen, chance, pick, rounded
from digitnet.synthesis.pens import Float
from digitnet.synthesis.scene_choices import log_uniform

SMALLEST = 8.0
"""The least size of a digit, in pixels."""
MOST_SIGNS = 30
"""The most signs on a page."""

# The heights of a glyph where its left and right edges are measured, from above to below.
_HIGHEST, _BANDS, _BAND = -0.4, 24, 0.085


@dataclass(eq=False)
class Desk:
    """A sheet, whoever writes on it, and the pen.

    Attributes:
        sheet: what is written on.
        penman: who writes.
        rng: source of every choice.
        size: of the first digits that were written, in pixels.
        strength: how much of the paper the ink hides.
    """

    sheet: Sheet
    penman: Penman
    rng: Generator
    size: float = 0.0
    strength: float = 1.0
    _pen: Pen | None = field(default=None, init=False)

    @property
    def room(self) -> int:
        """How many more signs the sheet should bear."""
        return MOST_SIGNS - len(self.sheet.labels)

    @property
    def height(self) -> int:
        """Of the sheet, in pixels."""
        return self.sheet.shape[0]

    @property
    def width(self) -> int:
        """Of the sheet, in pixels."""
        return self.sheet.shape[1]

    def pen(self, size: float) -> Pen:
        """Return the pen for signs of ``size`` pixels: the same for all of the page."""
        if self._pen is None or self._pen.width > 0.25 * size:
            least = self.rng.uniform(0.8, 1.5)
            width = max(self.penman.pen * size, min(least, 0.2 * size))
            self.size = self.size or size
            self._pen = Pen(width, self.strength, self.penman.contrast)
        return self._pen

    def place(self, glyph: Glyph, middle: tuple[float, float], size: float, row: int = -1) -> bool:
        """Write a sign whose longer side is ``size`` pixels around ``middle``."""
        scaled = glyph.scaled(size / max(glyph.side, 1e-6))
        left, top, right, bottom = scaled.box
        shift = (middle[0] - (left + right) / 2, middle[1] - (top + bottom) / 2)
        return self.sheet.write(scaled.scaled(1, shift), self.pen(size), row)

    def some_size(self, low: float, high: float) -> float:
        """Return a size in pixels between two fractions of the frame's shorter side."""
        side = min(self.height, self.width)
        least = max(low * side, SMALLEST)
        return log_uniform(self.rng, least, max(high * side, least))

    def any_digit(self) -> int:
        """Return a digit; ones, which are seldom enough as bare stems, a little oftener."""
        return 1 if chance(self.rng, 0.05) else int(self.rng.integers(10))


@dataclass(frozen=True)
class Spacing:
    """How closely somebody writes.

    Attributes:
        gap: between the ink of neighbours, in heights of a digit; negative ones overlap.
        spread: of the gaps.
        jump: how far digits leave the base line, likewise.
        joined: whether the pen draws on from one digit to the next.
    """

    gap: float
    spread: float
    jump: float
    joined: bool = False


def any_spacing(rng: Generator, *, closely: bool = False) -> Spacing:
    """Return wide, usual or narrow gaps; digits that touch, overlap, or do as they like."""
    kind = pick(rng, (0.0 if closely else 0.11, 0.28, 0.22, 0.25, 0.07, 0.07))
    low, high = ((0.4, 1.4), (0.12, 0.4), (0.03, 0.13), (-0.05, 0.02), (-0.22, -0.06), (0, 0.3))[
        kind
    ]
    spread = (0.2, 0.06, 0.03, 0.02, 0.05, 0.3)[kind]
    jump, joined = rng.uniform(0, 0.1) ** 1.3, low < 0.1 and chance(rng, 0.25)
    return Spacing(rng.uniform(low, high), spread, jump, joined=joined)


def spell(desk: Desk, text: str, spacing: Spacing) -> list[tuple[Glyph, bool]]:
    """Write a text in the air, digits 1 high on the base line y = 1.

    Args:
        desk: its person and pen.
        text: digits, letters, marks and spaces; "~" is a trailing scrawl; behind "^" digits are
            small and raised.
        spacing: between the signs.

    Returns:
        Glyphs from left to right, and whether each is a sign.
    """
    rng, written = desk.rng, list[tuple[Glyph, bool]]()
    right = np.full(_BANDS, -np.inf)
    room, raised = 0.0, False
    for character in text:
        if character == " ":
            room += rng.uniform(0.25, 0.8)
        raised = raised or character == "^"
        glyph, is_sign = _sign(desk, character, spacing)
        if glyph is None:
            continue
        if raised:
            glyph = glyph.scaled(0.6, (0, rng.normal(-0.1, 0.05)))
        left_edge, right_edge = _edges(glyph)
        gap = spacing.gap + spacing.spread * rng.normal() + desk.penman.pen + room
        near = float((right - left_edge).max()) + gap
        reach = float(right.max())
        if math.isfinite(reach):
            # Slanted signs may reach over each other, and even 17 stays in order.
            least = reach - 0.55 * min(glyph.box[2], 0.8)
            x = max(near, least) if math.isfinite(near) else reach + gap
        else:
            x = 0.0
        glyph = glyph.scaled(1, (x, 0))
        right = np.maximum(right, right_edge + x)
        if spacing.joined and is_sign and written and written[-1][1]:
            written[-1] = (_joined(written[-1][0], glyph, rng), True)
        written.append((glyph, is_sign))
        room = 0.0
    return written


def _joined(glyph: Glyph, following: Glyph, rng: Generator) -> Glyph:
    """Return the glyph with a stroke from its end to the start of the next, if they are near."""
    if glyph.image is not None or following.image is not None:
        return glyph
    start, end = glyph.paths[-1][-1], following.paths[0][0]
    if np.hypot(*(end - start)) > 0.7:
        return glyph
    bend = (start + end) / 2 + rng.normal(0, 0.06, 2)
    return replace(glyph, paths=(*glyph.paths, rounded([start, bend, end])))


def _sign(desk: Desk, character: str, spacing: Spacing) -> tuple[Glyph | None, bool]:
    """Return a sign on the base line, its box beginning at x = 0, and whether it is a sign."""
    rng = desk.rng
    if character in " ^":
        return None, False
    if character == "~":
        tail = Glyph(CLUTTER, tuple(scrawl(rng)))
        return tail.scaled(1, (-tail.box[0], 0)), False
    if character in MARKS or character in "€£":
        return mark(desk.penman, character, rng), False
    if character.isdigit():
        glyph = desk.penman.digit(int(character)).scaled(desk.penman.high.get(character, 1.0))
        if desk.penman.old_style:
            return _old_style(glyph, character, rng), True
    else:
        letter = desk.penman.letter(character)
        if letter is None:
            return None, False
        glyph = letter.scaled(0.75 if character.islower() else 1)
    glyph = glyph.scaled(math.exp(rng.normal(0, 0.3) * desk.penman.steady))
    base = 1 + rng.normal(0, 1) * spacing.jump
    return glyph.scaled(1, (0, base - glyph.box[3])), True


def _old_style(glyph: Glyph, digit: str, rng: Generator) -> Glyph:
    """Return the digit as long ago: 0, 1 and 2 are low, 6 and 8 high, the others hang down."""
    size = (0.72 if digit in "012" else 1.0) * math.exp(rng.normal(0, 0.05))
    base = (1.3 if digit in "34579" else 1.0) + rng.normal(0, 0.05)
    return glyph.scaled(size, (0, base - size * glyph.box[3]))


def _edges(glyph: Glyph) -> tuple[Float, Float]:
    """Return the leftmost and rightmost x in each band of heights; ±inf where there is nothing."""
    points = np.concatenate([_dense(path) for path in glyph.paths])
    bands = np.clip((points[:, 1] - _HIGHEST) / _BAND, 1, _BANDS - 2).astype(int)
    left, right = np.full(_BANDS, np.inf), np.full(_BANDS, -np.inf)
    for band in (bands - 1, bands, bands + 1):
        np.minimum.at(left, band, points[:, 0])
        np.maximum.at(right, band, points[:, 0])
    return left, right


def _dense(path: Path) -> Path:
    """Return the path with points at most a band apart."""
    longest = np.abs(np.diff(path, axis=0)).max() if len(path) > 1 else 0
    if longest <= _BAND:
        return path
    index = np.arange(len(path))
    t = np.arange(0, len(path) - 1 + 1e-9, 1 / math.ceil(longest / _BAND))
    return np.stack([np.interp(t, index, path[:, axis]) for axis in (0, 1)], 1)


def whole_box(written: Sequence[tuple[Glyph, bool]]) -> Bounds:
    """Return left, top, right and bottom of a text."""
    boxes = np.array([glyph.box for glyph, _ in written])
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def turned(written: Sequence[tuple[Glyph, bool]], degrees: float) -> list[tuple[Glyph, bool]]:
    """Return a text whose base line slopes."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[cos, -sin], [sin, cos]])
    return [(glyph.moved(turn), is_sign) for glyph, is_sign in written]


def put(
    desk: Desk,
    written: Sequence[tuple[Glyph, bool]],
    size: float,
    at: tuple[float, float],
    row: int,
) -> None:
    """Write a text of ``spell`` on the sheet: digits ``size`` pixels high, its 0, 0 ``at``."""
    pen = desk.pen(size)
    for glyph, is_sign in written:
        placed = glyph.scaled(size, at)
        if is_sign:
            desk.sheet.write(placed, pen, row)
        else:
            desk.sheet.draw(placed, pen)


def fit(
    desk: Desk,
    text: str,
    spacing: Spacing,
    box: Bounds,
    row: int,
    *,
    fill: float = 1.0,
    most: float = math.inf,
    slope: float = 0.0,
) -> float:
    """Write as much of a text as fits into a box, and return the height of its digits in pixels.

    0 if nothing legible fits.

    Args:
        desk: where.
        text: what, see ``spell``.
        spacing: how closely.
        box: left, top, right, bottom in pixels.
        row: number of the line.
        fill: how much of the box it fills, as far as digits stay legible, 0 to 1.
        most: the greatest height of its digits, in pixels.
        slope: of the base line, in degrees.
    """
    written = turned(spell(desk, text[: desk.room], spacing), slope)
    room = (box[2] - box[0], box[3] - box[1])
    while written:
        left, top, right, bottom = whole_box(written)
        pen = desk.penman.pen
        largest = min(room[0] / (right - left + pen), room[1] / (bottom - top + pen))
        if largest >= SMALLEST or len(written) == 1:
            break
        written = written[: min(int(len(written) * largest / SMALLEST) + 1, len(written) - 1)]
    if not written or largest < SMALLEST:
        return 0.0
    size = min(max(largest * fill, SMALLEST), max(most, SMALLEST))
    spare = [room[0] - (right - left + pen) * size, room[1] - (bottom - top + pen) * size]
    part = desk.rng.random(2)
    x = box[0] + part[0] * spare[0] + (pen / 2 - left) * size
    y = box[1] + part[1] * spare[1] + (pen / 2 - top) * size
    put(desk, written, size, (x, y), row)
    return size
