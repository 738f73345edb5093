"""Strips of one line each, as the finder's boxes cut them out, and what is written in them.

Guarantees:

- ``LineMaker.lines`` is a pure function of the collection and the seed.
- Digits touch or overlap in half of the lines. What is cut off, marks, scrawl, rules and other
  lines are not part of the text; letters as large as a digit are ``OTHER``.
"""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.data.pen_signs import Hands
from digitnet.reading.line_strips import LEAST_WIDTH, MOST_WIDTH, strip_of
from digitnet.synthesis.page_desk import Desk, Spacing, put, spell, turned, whole_box
from digitnet.synthesis.page_forms import Rule, any_rule, draw_box, draw_rule
from digitnet.synthesis.page_layouts import any_note
from digitnet.synthesis.page_paper import develop
from digitnet.synthesis.page_sheet import Sheet
from digitnet.synthesis.page_signs import Collection, Glyph, Penman
from digitnet.synthesis.page_strokes import chance, line, pick
from digitnet.synthesis.pens import as_float32
from digitnet.synthesis.scene_choices import log_uniform

# Who writes: see ``page_signs``.
_KINDS, _SHARES = ("hand", None), (0.3, 0.7)
# The height of digits in pixels, and the most pixels that a sheet is wide.
_SIZES, _WIDEST = (11, 56), 760
# Amounts as they stand on cheques.
_AMOUNTS = (
    "000", "0000", "00000", "0.000", "00.000", "000.000", "0.000-", "00.000-", "000-", "0000-",
    "000.-", "0000.-", "00.000.-", "0.000.-", "00.000=", "000=", "=000", "=0.000=", "0.000=",
    "#000#", "#00.000#", "$000", "$0.000", "$ 00.000", "00,000", "0,000", "$00000", "000,00",
    "0.000,00", "$00.00", "0'000", "00'000",
)  # fmt: skip

# Room beside a digit, in its size, in which a border stands apart from it.
_ROOMY = 0.25
# How many strips are made of one sheet.
_LOOKS = 2

_Text = list[tuple[Glyph, bool]]
Labelled = tuple[NDArray[np.uint8], list[int]]


class LineMaker:
    """Makes lines.

    Args:
        images: uint8 (N, 28, 28), digits, light on black.
        labels: int (N,), 0 to 9.
        hands: strokes of many people.
        items: which of them to use.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.integer],
        hands: Hands,
        items: NDArray[np.intp],
    ) -> None:
        self._collection = Collection(images, labels, hands, items)

    def lines(self, seed: int) -> list[Labelled]:
        """Return strips of the same writing, on other paper and cut out otherwise.

        Each is uint8 (32, W), with the labels of its signs from left to right.
        """
        rng = np.random.default_rng(seed)
        while True:
            made = self._lines(rng)
            if made:
                return made

    def _lines(self, rng: Generator) -> list[Labelled]:
        penman = Penman(self._collection, rng, _KINDS[pick(rng, _SHARES)])
        desk = Desk(Sheet((1, 1)), penman, rng, strength=rng.uniform(0.8, 1))
        if chance(rng, 0.4):
            penman.flags = rng.uniform(0.5, 1)
        if chance(rng, 0.55):
            penman.take(log_uniform(rng, 0.025, 0.12))
        slope = rng.normal(0, 2) if chance(rng, 0.93) else rng.uniform(-20, 20)
        written = turned(spell(desk, _any_text(desk), _any_spacing(rng)), slope)
        if not any(is_sign for _, is_sign in written):
            return []
        left, top, right, bottom = whole_box(written)
        size = log_uniform(rng, *_SIZES)
        size = min(size, _WIDEST / (right - left + 1))
        if size < 8:
            return []
        room = _margins(rng) * size
        shape = (
            max(math.ceil((bottom - top + penman.pen) * size + room[1] + room[3]), 12),
            max(math.ceil((right - left + penman.pen) * size + room[0] + room[2]), 12),
        )
        desk.sheet = Sheet(shape, crisp=rng.random() if chance(rng, 0.7) else 0.0)
        at = (
            room[0] + (penman.pen / 2 - left) * size,
            room[1] + (penman.pen / 2 - top) * size,
        )
        desk.pen(size)
        _rules(desk, written, size, at, math.tan(math.radians(slope)))
        put(desk, written, size, at, 0)
        if chance(rng, 0.12):
            _other_lines(desk, size, room, bottom - top)
        if chance(rng, 0.08):
            _specks(desk, size)
        sheet = desk.sheet
        sheet.forget_hidden()
        looks = [self._look(desk, size) for _ in range(_LOOKS if sheet.labels else 0)]
        return [look for look in looks if look is not None]

    def _look(self, desk: Desk, size: float) -> Labelled | None:
        rng, sheet = desk.rng, desk.sheet
        grey = develop(sheet, desk.pen(size).width, size, rng)
        if chance(rng, 0.3):
            grey = np.asarray(255 - grey, np.uint8)
        return _cut_out(sheet, grey, size, rng)


def _any_spacing(rng: Generator) -> Spacing:
    """Return how closely somebody writes; digits touch or overlap in half of all cases."""
    kind = pick(rng, (0.06, 0.16, 0.16, 0.4, 0.13, 0.09))
    low, high = ((0.4, 1.4), (0.12, 0.45), (0.03, 0.13), (-0.07, 0.02), (-0.16, -0.05), (0, 0.3))[
        kind
    ]
    spread = (0.2, 0.06, 0.03, 0.02, 0.04, 0.25)[kind]
    jump, joined = rng.uniform(0, 0.1) ** 1.3, low < 0.1 and chance(rng, 0.35)
    return Spacing(rng.uniform(low, high), spread, jump, joined=joined)


def _any_text(desk: Desk) -> str:
    rng = desk.rng
    kind = pick(rng, (0.48, 0.22, 0.2, 0.06, 0.04))
    if kind == 0:
        return _any_number(desk, 10)
    if kind == 1:  # short ones, and those with many zeros or repeated digits
        text = _any_number(desk, 5)
        part = rng.random()
        if part < 0.3:
            return text[:1] + "000000"[: rng.integers(1, 7)]
        return text[0] * int(rng.integers(2, 4)) + text[1:] if part < 0.5 else text
    if kind == 2:
        form = _AMOUNTS[rng.integers(len(_AMOUNTS))]
        text = "".join(str(desk.any_digit()) if sign == "0" else sign for sign in form)
        return text + ("~" if chance(rng, 0.25) else "")
    if kind == 3:
        return any_note(rng)
    letters = "AaCcdEeFfHhKkLMmNnRrtUuVvWwXx"
    length = int(rng.integers(1, 7))
    signs = [
        letters[rng.integers(len(letters))] if chance(rng, 0.5) else str(desk.any_digit())
        for _ in range(length)
    ]
    return "".join(signs)


def _any_number(desk: Desk, longest: int) -> str:
    """Return a number; in half of all cases as often small in front as what is counted (Benford).

    F. Benford, "The law of anomalous numbers", Proc. American Philosophical Society 78 (1938).
    """
    rng = desk.rng
    length = int(rng.integers(1, longest + 1))
    text = "".join(str(desk.any_digit()) for _ in range(length))
    return str(int(10 ** rng.random())) + text[1:] if chance(rng, 0.5) else text


def _margins(rng: Generator) -> NDArray[np.float64]:
    """Return the room at the left, top, right and bottom of a line, in its size."""
    beside: NDArray[np.float64] = rng.uniform(0.02, 1, 4) * np.array([1.8, 0.85, 1.8, 0.85])
    if chance(rng, 0.25):
        beside *= 0.2
    if chance(rng, 0.1):  # the frame cuts something off; of whole lines, what leaves them legible
        side = int(rng.integers(4))
        beside[side] = rng.uniform(-0.1 if side % 2 else -0.3, 0)
    return beside


def _rules(desk: Desk, written: _Text, size: float, at: tuple[float, float], slope: float) -> None:
    """Draw what may be printed around a number: a base line, a box, borders of cells, ticks."""
    rng = desk.rng
    kind = pick(rng, (0.58, 0.12, 0.16, 0.06, 0.04, 0.04))
    if kind == 0:
        return
    rule, slope, low = any_rule(rng, size), slope + rng.normal(0, 0.01), at[1] + size
    if kind == 1:
        y = low + rng.uniform(-0.08, 0.3) * size
        _across(desk, at[0], y, slope, rule)
        if chance(rng, 0.3):
            _across(desk, at[0], y - rng.uniform(1.2, 1.6) * size, slope, rule)
    elif kind == 2:
        inset = rng.normal(0.08, 0.1, 4) * size
        box = (inset[0], inset[1], desk.width - inset[2], desk.height - inset[3])
        draw_box(desk, box, rule, "".join(each for each in "ltrb" if chance(rng, 0.75)))
    elif kind == 5:  # of a table, whose rows hold several numbers
        for place in _gaps(written):
            x = at[0] + place * size
            if chance(rng, 0.6):
                draw_rule(desk, line(x, -5, x, desk.height + 5), rule)
    else:  # of a form with a cell for each digit
        top, bottom = low - (1.2 if kind == 3 else 0.3) * size, low + 0.15 * size
        boxes = [glyph.box for glyph, is_sign in written if is_sign]
        for place in (*(box[0] - 0.12 for box in boxes), boxes[-1][2] + 0.12):
            x, down = at[0] + place * size, slope * place * size
            draw_rule(desk, line(x, top + down, x, bottom + down), rule)
        _across(desk, at[0], bottom, slope, rule)


def _across(desk: Desk, x: float, y: float, slope: float, rule: Rule) -> None:
    """Draw a rule through a point, from edge to edge."""
    left, right = -5.0, desk.width + 5.0
    draw_rule(desk, line(left, y + slope * (left - x), right, y + slope * (right - x)), rule)


def _gaps(written: _Text) -> list[float]:
    """Return where something upright fits: before, behind, and where signs leave room."""
    boxes = [glyph.box for glyph, _ in written]
    between = [
        (one[2] + other[0]) / 2
        for one, other in itertools.pairwise(boxes)
        if other[0] - one[2] > _ROOMY
    ]
    return [boxes[0][0] - _ROOMY, *between, boxes[-1][2] + _ROOMY]


def _other_lines(desk: Desk, size: float, room: NDArray[np.float64], height: float) -> None:
    """Write pieces of lines above or below, which belong to other strips."""
    rng = desk.rng
    for below in (False, True):
        if chance(rng, 0.6):
            text = "".join(str(desk.any_digit()) for _ in range(int(rng.integers(1, 8))))
            other = spell(desk, text, _any_spacing(rng))
            gap = rng.uniform(0.06, 0.35) * size
            y = room[1] + height * size + gap if below else room[1] - gap - size
            x = rng.uniform(-0.5 * size, 0.5 * desk.width)
            for glyph, _ in other:
                desk.sheet.draw(glyph.scaled(size, (x, y)), desk.pen(size))


def _specks(desk: Desk, size: float) -> None:
    rng = desk.rng
    for _ in range(int(rng.integers(1, 6))):
        place = rng.uniform(0, 1, (1, 2)) * desk.sheet.shape[::-1]
        desk.sheet.draw([place + rng.normal(0, 0.05 * size, (2, 2)).cumsum(0)], desk.pen(size))


def _cut_out(sheet: Sheet, grey: NDArray[np.uint8], size: float, rng: Generator) -> Labelled | None:
    """Return the strip that boxes give which are as wrong as the finder's."""
    boxes = np.array(sheet.boxes, np.float64)
    kept = np.ones(len(boxes), bool)
    if len(boxes) > 1:  # the finder missed some
        missed = rng.random(len(boxes)) < (0.25 if chance(rng, 0.2) else 0.02)
        kept = ~missed if not missed.all() else kept
    used = boxes[kept]
    used = used + rng.normal(0, 0.03 if chance(rng, 0.8) else 0.1, used.shape) * size
    used[:, 2:] = np.maximum(used[:, 2:], used[:, :2] + 2)
    if chance(rng, 0.06):  # and took something else for one
        x = rng.uniform(boxes[:, 0].min() - size, boxes[:, 2].max() + size)
        y = boxes[:, 1].min() + rng.random() * 0.5 * size
        extra = np.array([[x, y, x + rng.uniform(0.2, 0.8) * size, y + 0.6 * size]])
        used = np.concatenate([used, extra])
    used[:, 0::2] = used[:, 0::2].clip(0, grey.shape[1])
    used[:, 1::2] = used[:, 1::2].clip(0, grey.shape[0])
    strip = strip_of(grey, used)
    if strip is None:
        return None
    # What the strip leaves out is not read in it; of what it cuts in two nobody knows.
    inside = (np.minimum(boxes[:, 2], strip.right) - np.maximum(boxes[:, 0], strip.left)) / (
        boxes[:, 2] - boxes[:, 0]
    )
    if ((inside > 0.25) & (inside < 0.75)).any():
        return None
    return strip.pixels, [
        label for label, part in zip(sheet.labels, inside, strict=True) if part > 0.5
    ]


def changed(strip: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Return another look at a strip: squeezed, shifted, leaning, in another light, blurred."""
    height, width = strip.shape
    across, down = math.exp(rng.normal(0, 0.1)), math.exp(rng.normal(0, 0.05))
    wide = int(np.clip(round(width * across), LEAST_WIDTH, MOST_WIDTH))
    lean, middle = rng.normal(0, 0.08), height / 2
    move = np.array(
        [[wide / width, lean, -lean * middle], [0, down, middle * (1 - down) + rng.normal(0, 1)]]
    )
    moved = cv2.warpAffine(strip, move, (wide, height), borderMode=cv2.BORDER_REPLICATE)
    grey = as_float32(moved)
    if chance(rng, 0.3):
        grey = as_float32(255 * (grey / 255) ** math.exp(rng.normal(0, 0.4)))
    if chance(rng, 0.3):
        level = rng.uniform(0, 0.12) * (float(grey.std()) + 2)
        grey = as_float32(grey + level * rng.standard_normal(grey.shape, np.float32))
    if chance(rng, 0.2):
        grey = as_float32(cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, 1.0)))
    if chance(rng, 0.5):
        grey = 255 - grey
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)
