"""Where digits stand on a page: alone, in rows and columns, in dates and amounts, scattered.

Guarantees:

- Everything that is written goes through a ``Desk``, which holds the sheet, the person and the pen.
- The signs of a line are written from left to right, lines from top to bottom; the number of the
  line is -1 only where no order is meant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from digitnet.synthesis.page_marks import MARKS, mark, scrawl
from digitnet.synthesis.page_sheet import Sheet
from digitnet.synthesis.page_signs import Glyph, Penman
from digitnet.synthesis.page_strokes import Bounds, Path, Pen, chance, pick, rounded
from digitnet.synthesis.pens import Float
from digitnet.synthesis.scene_choices import log_uniform

SMALLEST = 8.0
"""The least size of a digit, in pixels."""

# Letters that nobody can take for a digit.
LETTERS = "AaCcdEeFfHhKkLMmNnPpRrtUuVvWwXx"
_MARK_LETTERS = "xkmNARHhn"
# Notes as people write them: any digit for a 0, any letter for an L.
_NOTES = (
    "00.00.0000", "00.00.00", "0.0.00", "00/00/0000", "0/00/00", "00-00-0000", "0000-00-00",
    "00 00 00", "0.000", "00.000", "000.000", "0,000", "0.000.000", "0 000", "0'000", "0.00",
    "00,00", "000,00", "0.000,00", "0,000.00", "$000", "$ 00.00", "€ 000", "000 €", "£00.00",
    "000.-", "0000,-", "00,--", "#000#", "#0.000,00#", "*000*", "**0000", "=000=", "=0.000",
    "00:00", "0:00", "00+00=00", "0+0=", "00-0=0", "0L0=00", "L=0", "L = 00", "00 L", "0/0",
    "00/000", "00%", "(00)", "-00", "000 000", "00 00 00 00", "+00 000 000", "0000", "00000", "L00",
    "00L", "0;00",
)  # fmt: skip

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
    kind = pick(rng, (0.0 if closely else 0.13, 0.33, 0.24, 0.18, 0.06, 0.06))
    low, high = ((0.4, 1.4), (0.12, 0.4), (0.03, 0.13), (-0.05, 0.02), (-0.22, -0.06), (0, 0.3))[
        kind
    ]
    spread = (0.2, 0.06, 0.03, 0.02, 0.05, 0.3)[kind]
    jump, joined = rng.uniform(0, 0.1) ** 1.3, low < 0.1 and chance(rng, 0.15)
    return Spacing(rng.uniform(low, high), spread, jump, joined=joined)


def spell(desk: Desk, text: str, spacing: Spacing) -> list[tuple[Glyph, bool]]:
    """Write a text in the air, digits 1 high on the base line y = 1.

    Args:
        desk: its person and pen.
        text: digits, letters, marks and spaces; "~" is a trailing scrawl.
        spacing: between the signs.

    Returns:
        Glyphs from left to right, and whether each is a sign.
    """
    rng, written = desk.rng, list[tuple[Glyph, bool]]()
    right = np.full(_BANDS, -np.inf)
    room = 0.0
    for character in text:
        if character == " ":
            room += rng.uniform(0.25, 0.8)
            continue
        glyph, is_sign = _sign(desk, character, spacing)
        if glyph is None:
            continue
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
    if character == "~":
        tail = Glyph(-1, tuple(scrawl(rng)))
        return tail.scaled(1, (-tail.box[0], 0)), False
    if character in MARKS or character in "€£":
        return mark(desk.penman, character, rng), False
    if character.isdigit():
        glyph = desk.penman.digit(int(character))
    else:
        letter = desk.penman.letter(character)
        if letter is None:
            return None, False
        glyph = letter.scaled(0.75 if character.islower() else 1)
    glyph = glyph.scaled(math.exp(rng.normal(0, 0.3) * desk.penman.steady))
    base = 1 + rng.normal(0, 1) * spacing.jump
    return glyph.scaled(1, (0, base - glyph.box[3])), True


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
    desk: Desk, text: str, spacing: Spacing, box: Bounds, fill: float, row: int, slope: float = 0.0
) -> float:
    """Write as much of a text as fits into a box, and return the height of its digits in pixels.

    Args:
        desk: where.
        text: what, see ``spell``.
        spacing: how closely.
        box: left, top, right, bottom in pixels.
        fill: how much of the box it fills, as far as digits stay legible, 0 to 1.
        row: number of the line.
        slope: of the base line, in degrees.
    """
    written = turned(spell(desk, text, spacing), slope)
    room = (box[2] - box[0], box[3] - box[1])
    while written:
        left, top, right, bottom = whole_box(written)
        pen = desk.penman.pen
        largest = min(room[0] / (right - left + pen), room[1] / (bottom - top + pen))
        if largest >= SMALLEST or len(written) == 1:
            break
        written = written[: min(int(len(written) * largest / SMALLEST) + 1, len(written) - 1)]
    if not written:
        return 0.0
    size = max(largest * fill, min(largest, SMALLEST))
    spare = [room[0] - (right - left + pen) * size, room[1] - (bottom - top + pen) * size]
    part = desk.rng.random(2)
    x = box[0] + part[0] * spare[0] + (pen / 2 - left) * size
    y = box[1] + part[1] * spare[1] + (pen / 2 - top) * size
    put(desk, written, size, (x, y), row)
    return size


def one_anywhere(desk: Desk) -> None:
    """One digit of any size, whole in the frame."""
    glyph = desk.penman.digit(desk.any_digit())
    _in_frame(desk, glyph, desk.some_size(0.06, 0.75))


def one_tight(desk: Desk) -> None:
    """One digit that nearly fills the frame, touches it, or is cut a little by it."""
    rng = desk.rng
    glyph = desk.penman.digit(1 if chance(rng, 0.12) else desk.any_digit())
    left, top, right, bottom = glyph.box
    pen = desk.penman.pen
    across, down = desk.width / (right - left + pen), desk.height / (bottom - top + pen)
    size = min(across, down) * (rng.uniform(0.7, 1.0) if chance(rng, 0.8) else rng.uniform(1, 1.1))
    if chance(rng, 0.25):  # squeezed or stretched to the frame, as post codes are
        squeeze = float(
            np.clip(rng.uniform(0.85, 1.02) * desk.width / ((right - left + pen) * size), 0.6, 2.5)
        )
        glyph = glyph.moved(np.diag([squeeze, 1.0]))
    _in_frame(desk, glyph, max(size * glyph.side, SMALLEST), loose=0.02)
    if chance(rng, 0.3):
        neighbours(desk)


def _in_frame(desk: Desk, glyph: Glyph, size: float, loose: float = 0.0) -> None:
    """Write a digit anywhere in the frame; it may reach ``loose`` of its size over the edge."""
    scaled = glyph.scaled(size / glyph.side)
    over = size * loose - desk.penman.pen * size / 2
    spare = [
        length - extent + 2 * over
        for length, extent in zip(
            (desk.width, desk.height),
            (scaled.box[2] - scaled.box[0], scaled.box[3] - scaled.box[1]),
            strict=True,
        )
    ]
    x, y = (
        (part * room if room > 0 else room / 2) - over
        for part, room in zip(desk.rng.random(2), spare, strict=True)
    )
    scaled = scaled.scaled(1, (x - scaled.box[0], y - scaled.box[1]))
    desk.sheet.write(scaled, desk.pen(size), 0)


def neighbours(desk: Desk) -> None:
    """Parts of other digits that the frame cuts off, beside what is there."""
    rng = desk.rng
    for side in np.flatnonzero(rng.random(4) < (0.5, 0.2, 0.5, 0.2)):
        size = (desk.size or 0.5 * desk.height) * rng.uniform(0.7, 1.2)
        inside = rng.uniform(0.05, 0.35) * size
        x, y = rng.uniform(0, desk.width), rng.uniform(0.3, 0.7) * desk.height
        glyph = desk.penman.digit(desk.any_digit()).scaled(size)
        left, top, right, bottom = glyph.box
        middle = ((left + right) / 2, (top + bottom) / 2)
        place = [
            (inside - right, y - middle[1]),
            (x - middle[0], inside - bottom),
            (desk.width - inside - left, y - middle[1]),
            (x - middle[0], desk.height - inside - top),
        ][side]
        placed = glyph.scaled(1, place)
        if desk.sheet.is_free(placed.box):
            desk.sheet.draw(placed, desk.pen(size))


def one_row(desk: Desk) -> None:
    """A number in one row."""
    rng = desk.rng
    length = int(rng.integers(2, 13)) if chance(rng, 0.5) else int(rng.integers(2, 6))
    text = "".join(str(desk.any_digit()) for _ in range(length))
    if chance(rng, 0.08):
        text = text[0] * 2 + text[1:] if chance(rng, 0.5) else text[:1] + "00000"[: length - 1]
    _write_row(desk, text)


def one_note(desk: Desk) -> None:
    """A date, an amount, a sum or a code."""
    _write_row(desk, any_note(desk.rng))


def _write_row(desk: Desk, text: str) -> None:
    rng = desk.rng
    slope = rng.normal(0, 2.5) if chance(rng, 0.9) else rng.uniform(-25, 25)
    margin = rng.uniform(-0.005, 0.06) * min(desk.width, desk.height)
    box = (margin, margin, desk.width - margin, desk.height - margin)
    fill = rng.uniform(0.75, 1.0) if chance(rng, 0.5) else rng.uniform(0.3, 0.9)
    if chance(rng, 0.08):  # the frame cuts both ends off
        over = rng.uniform(0.1, 0.8) * desk.width
        box = (-over * rng.random(), margin, desk.width + over * rng.random(), box[3])
    fit(desk, text, any_spacing(rng), box, fill, 0, slope)
    if chance(rng, 0.08):
        neighbours(desk)


def any_note(rng: Generator) -> str:
    """Return a date, an amount, a time, a sum or a code, perhaps with a scrawl behind it."""
    form = _NOTES[rng.integers(len(_NOTES))]
    digits = iter(rng.integers(0, 10, len(form)).tolist())
    letter = _MARK_LETTERS[rng.integers(len(_MARK_LETTERS))]
    text = "".join(str(next(digits)) if sign == "0" else sign for sign in form)
    return text.replace("L", letter) + ("~" if chance(rng, 0.3) else "")


def several_rows(desk: Desk) -> None:
    """Numbers below each other, aligned or not, in one to four columns."""
    rng = desk.rng
    rows, columns = int(rng.integers(2, 7)), 1 + pick(rng, (0.6, 0.2, 0.12, 0.08))
    digits = max(1, min(int(rng.integers(1, 7)), 30 // (rows * columns)))
    spacing, fill = any_spacing(rng, closely=columns > 1), rng.uniform(0.7, 1.0)
    pitch, lane = desk.height / rows, desk.width / columns
    inset = rng.uniform(0.04, 0.22)
    pen_room, notes = desk.penman.pen, chance(rng, 0.15)
    for row in range(rows):
        for column in range(columns):
            count = digits if chance(rng, 0.7) else int(rng.integers(1, digits + 1))
            text = (
                any_note(rng)[:7] if notes else "".join(str(desk.any_digit()) for _ in range(count))
            )
            box = (
                (column + inset / 2) * lane,
                (row + inset + pen_room / 2) * pitch,
                (column + 1 - inset / 2) * lane,
                (row + 1 - inset / 2) * pitch,
            )
            if not chance(rng, 0.06):
                fit(desk, text, spacing, box, fill, row)


def scattered(desk: Desk) -> None:
    """Digits anywhere that do not lie on each other, of one size or of many."""
    rng = desk.rng
    usual = desk.some_size(0.06, 0.4)
    varied = chance(rng, 0.4)
    turn = rng.uniform(0, 0.15)
    for _ in range(int(rng.integers(2, 20))):
        size = max(usual * (math.exp(rng.normal(0, 0.4)) if varied else 1), SMALLEST)
        glyph = desk.penman.digit(desk.any_digit())
        angle = rng.normal(0, turn)
        cos, sin = math.cos(angle), math.sin(angle)
        glyph = glyph.moved(np.array([[cos, -sin], [sin, cos]]))
        x = rng.uniform(size / 2, max(desk.width - size / 2, size))
        y = rng.uniform(size / 2, max(desk.height - size / 2, size))
        if desk.sheet.is_free((x - size / 2, y - size / 2, x + size / 2, y + size / 2)):
            desk.place(glyph, (x, y), size)
