"""Where digits stand on a page: alone, in rows and columns, in dates and amounts, scattered.

Guarantees: the signs of a line are written from left to right, lines from top to bottom; the number
of the line is -1 only where no order is meant.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from digitnet.synthesis.page_desk import SMALLEST, Desk, any_spacing, fit
from digitnet.synthesis.page_signs import Glyph
from digitnet.synthesis.page_strokes import chance, pick

# What nobody can take for a digit; a P is how some write a 9.
LETTERS = "AaCcdEeFfHhKkLMmNnRrtUuVvWwXx@"
_MARK_LETTERS = "xkmNARHhn"
# Notes as people write them: any digit for a 0, any letter for an L.
_NOTES = (
    "00.00.0000", "00.00.00", "0.0.00", "00/00/0000", "0/00/00", "00-00-0000", "0000-00-00",
    "00 00 00", "0.000", "00.000", "000.000", "0,000", "0.000.000", "0 000", "0'000", "0.00",
    "00,00", "000,00", "0.000,00", "0,000.00", "$000", "$ 00.00", "€ 000", "000 €", "£00.00",
    "000.-", "0000,-", "00,--", "#000#", "#0.000,00#", "*000*", "**0000", "=000=", "=0.000",
    "00:00", "0:00", "00+00=00", "0+0=", "00-0=0", "0L0=00", "L=0", "L = 00", "00 L", "0/0",
    "00/000", "00%", "(00)", "-00", "000 000", "00 00 00 00", "+00 000 000", "0000", "00000", "L00",
    "00L", "0;00", "0^00", "00^00", "$00^00",
)  # fmt: skip


# How often a sign that stands alone is a letter.
_LETTER = 0.12


def any_sign(desk: Desk, one: float = 0.0) -> Glyph:
    """Return a sign to stand alone: a digit, in ``one`` of all cases a 1, or sometimes a letter."""
    rng = desk.rng
    letter = desk.penman.letter(LETTERS) if chance(rng, _LETTER) else None
    return letter or desk.penman.digit(1 if chance(rng, one) else desk.any_digit())


def one_anywhere(desk: Desk) -> None:
    """One sign of any size, whole in the frame."""
    _in_frame(desk, any_sign(desk), desk.some_size(0.06, 0.75))


def one_tight(desk: Desk) -> None:
    """One sign that nearly fills the frame, touches it, or is cut a little by it."""
    rng = desk.rng
    glyph = any_sign(desk, one=0.12)
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
        glyph = desk.penman.digit(desk.any_digit()).scaled(size)
        width, height = glyph.box[2], glyph.box[3]
        # A stem that the frame divides along its length would still be a whole one.
        if width < 0.3 * size and side % 2 == 0:
            continue
        part = rng.uniform(0.1, 0.6)
        x, y = rng.uniform(0, desk.width), rng.uniform(0.3, 0.7) * desk.height
        place = [
            (part * width - width, y - height / 2),
            (x - width / 2, part * height - height),
            (desk.width - part * width, y - height / 2),
            (x - width / 2, desk.height - part * height),
        ][side]
        placed = glyph.scaled(1, place)
        if desk.sheet.is_free(placed.box):
            desk.sheet.write(placed, desk.pen(size))


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
    fit(desk, text, any_spacing(rng), box, 0, fill=fill, slope=slope)
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
    most = math.inf
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
                size = fit(desk, text, spacing, box, row, fill=fill, most=most)
                most = min(most, 1.1 * size or math.inf)


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
