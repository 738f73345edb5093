"""What else lies on a page: letters, words, scribbles, rules, specks, pieces of digits, nothing.

Guarantees: only letters that stand alone are signs, and none of them may be read as a digit; all
else is clutter. What is drawn last leaves the signs that are there legible.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis.page_desk import SMALLEST, Desk
from digitnet.synthesis.page_forms import any_rule, comb, draw_rule, grid, write_word
from digitnet.synthesis.page_layouts import LETTERS, neighbours
from digitnet.synthesis.page_marks import dashed, mark, scribble, specks, wavering
from digitnet.synthesis.page_strokes import Bounds, Pen, chance, line, pick
from digitnet.synthesis.scene_choices import log_uniform

# Places that are tried for what needs room.
_TRIES = 8
_IN_WORDS = "aabcdeefghikmnnopqrrttuvwyABDGLRMN"


def nothing_but_clutter(desk: Desk) -> None:
    """A page without digits: letters, scribbles, empty boxes, words, or bare paper."""
    rng = desk.rng
    kind = pick(rng, (0.06, 0.24, 0.38, 0.1, 0.09, 0.13))
    if kind == 1:
        _letters(desk, int(rng.integers(1, 9)))
    elif kind == 2:
        _empty_form(desk)
    elif kind == 3:
        _page_of_words(desk)
    elif kind == 4:
        _scribble(desk, anywhere=True)
    elif kind == 5:
        for _ in range(int(rng.integers(1, 5))):
            distract(desk)


def distract(desk: Desk) -> None:
    """Add something beside what is written, where there is room for it."""
    _KINDS[pick(desk.rng, _SHARES)](desk)


def _usual(desk: Desk) -> float:
    return desk.size or desk.some_size(0.08, 0.6)


def _room(desk: Desk, width: float, height: float) -> Bounds | None:
    """Return a box of this size where no sign is; it may reach out of the frame a little."""
    rng = desk.rng
    for _ in range(_TRIES):
        x = rng.uniform(-0.15 * width, max(desk.width - 0.85 * width, 1))
        y = rng.uniform(-0.15 * height, max(desk.height - 0.85 * height, 1))
        box = (x, y, x + width, y + height)
        if desk.sheet.is_free(box):
            return box
    return None


def _scribble(desk: Desk, *, anywhere: bool = False) -> None:
    rng = desk.rng
    size = _usual(desk) * log_uniform(rng, 0.4, 2.5)
    tall = size * rng.uniform(0.5, 1.2)
    box = (0.0, 0.0, float(desk.width), float(desk.height)) if anywhere else _room(desk, size, tall)
    if box is None:
        return
    extent = np.array([box[2] - box[0], box[3] - box[1]])
    pen = desk.pen(_usual(desk))
    desk.sheet.draw([path * extent + box[:2] for path in scribble(rng)], pen)


def _letters(desk: Desk, count: int = 1) -> None:
    """Letters of a digit's size that stand alone: signs."""
    rng, size = desk.rng, _usual(desk)
    for _ in range(min(count, desk.room)):
        letter = desk.penman.letter(LETTERS)
        if letter is None:
            return
        side = max(size * rng.uniform(0.7, 1.3), SMALLEST)
        box = _room(desk, 1.3 * side, 1.3 * side)
        if box is not None:
            desk.place(letter, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), side)


def _one_letter(desk: Desk) -> None:
    _letters(desk, int(desk.rng.integers(1, 4)))


def _word(desk: Desk) -> None:
    """A word, printed, in joined letters, or of letters that stand close together."""
    rng = desk.rng
    size = max(_usual(desk) * log_uniform(rng, 0.3, 1.2), 5)
    box = _room(desk, size * rng.uniform(2.5, 6), size)
    if box is None:
        return
    if chance(rng, 0.6):
        write_word(desk, box)
        return
    x = box[0]
    pen = desk.pen(max(size, SMALLEST))
    pen = Pen(min(pen.width, 0.15 * size), pen.strength)
    while x < box[2]:
        glyph = desk.penman.letter(_IN_WORDS)
        if glyph is None:
            return
        part = size * rng.uniform(0.6, 0.9)
        glyph = glyph.scaled(part, (x, box[3] - part * glyph.box[3]))
        desk.sheet.draw(glyph, pen)
        x = glyph.box[2] + rng.uniform(-0.1, 0.08) * part


def _page_of_words(desk: Desk) -> None:
    rng = desk.rng
    tall = desk.height / rng.uniform(1.5, 9)
    y = rng.uniform(-0.3, 0.5) * tall
    while y < desk.height - 0.4 * tall:
        x = rng.uniform(-1, 1) * tall
        while x < desk.width:
            wide = tall * rng.uniform(1.5, 5)
            write_word(desk, (x, y, x + wide, y + 0.9 * tall))
            x += wide + rng.uniform(0.3, 0.8) * tall
        y += tall * rng.uniform(1.0, 1.3)


def _rules(desk: Desk) -> None:
    """Lines across the page, or under what is written, whatever they cross."""
    rng = desk.rng
    rule = any_rule(rng, _usual(desk))
    for _ in range(int(rng.integers(1, 4))):
        slope = rng.normal(0, 0.02)
        if chance(rng, 0.65):
            y = rng.uniform(0, desk.height)
            ends = (0.0, desk.width) if chance(rng, 0.6) else sorted(rng.uniform(0, desk.width, 2))
            path = line(ends[0], y - slope * desk.width, ends[1], y + slope * desk.width)
        else:
            x = rng.uniform(0, desk.width)
            path = line(x - slope * desk.height, -2, x + slope * desk.height, desk.height + 2)
        draw_rule(desk, path, rule)


def _underline(desk: Desk) -> None:
    """A stroke below the digits, drawn by hand."""
    inked = np.flatnonzero(desk.sheet.ink[0].max(1) > 0.3)
    if not inked.size:
        return
    columns = np.flatnonzero(desk.sheet.ink[0].max(0) > 0.3)
    size, rng = _usual(desk), desk.rng
    y = inked[-1] + rng.uniform(0.02, 0.3) * size
    path = line(
        columns[0] - 0.2 * size, y, columns[-1] + 0.2 * size, y + rng.normal(0, 0.05) * size
    )
    for _ in range(1 + chance(rng, 0.25)):
        desk.sheet.draw([wavering(path, 0.01 * size, rng)], desk.pen(size))
        path = path + np.array((0.0, 0.15 * size))


def _ring(desk: Desk) -> None:
    """A ring around what is written, as teachers draw it."""
    ys, xs = np.nonzero(desk.sheet.ink[0] > 0.3)
    if not xs.size:
        return
    rng = desk.rng
    room = 0.15 * _usual(desk)
    left, right = float(xs.min()) - room, float(xs.max()) + room
    top, bottom = float(ys.min()) - room, float(ys.max()) + room
    start, turns = rng.uniform(0, 6.3), rng.uniform(6.0, 7.0)
    t = np.linspace(start, start + turns, 40)
    grow = math.sqrt(2) + 0.1 * np.linspace(-1, 1, 40) * rng.normal()
    path = np.stack(
        [
            (left + right) / 2 + grow * (right - left) / 2 * np.cos(t),
            (top + bottom) / 2 + grow * (bottom - top) / 2 * np.sin(t),
        ],
        1,
    )
    desk.sheet.draw([path], desk.pen(_usual(desk)))


def _specks(desk: Desk) -> None:
    strength = desk.rng.uniform(0.3, 1)
    for path, width in specks(desk.rng, desk.sheet.shape, 0.07 * _usual(desk)):
        desk.sheet.draw([path], Pen(width, strength))


def _mark(desk: Desk) -> None:
    """A point, comma, dash or other mark somewhere."""
    rng, size = desk.rng, _usual(desk)
    for _ in range(int(rng.integers(1, 4))):
        glyph = mark(desk.penman, ".,-=+:*#$'"[rng.integers(10)], rng)
        box = _room(desk, 0.6 * size, size)
        if glyph is not None and box is not None:
            desk.sheet.draw(glyph.scaled(size, box[:2]), desk.pen(size))


def _empty_form(desk: Desk) -> None:
    """Boxes without digits."""
    kind = desk.rng.random()
    if kind < 0.7:
        _few_lines(desk)
        return
    (comb if kind < 0.82 else grid)(desk, share=0.0)


def _few_lines(desk: Desk) -> None:
    """Lines of boxes whose other lines are outside the frame: an upright one is no 1.

    It runs from edge to edge of the frame, or ends at a level one; inside, it would be a 1.
    """
    rng, size = desk.rng, (desk.width, desk.height)
    rule = any_rule(rng, rng.uniform(0.4, 1) * min(size))
    upright, level = (_places(rng, length) for length in size)
    if not len(upright) + len(level):
        level = rng.uniform(0, desk.height, 1)
    across = rng.uniform(0, desk.width, 2) if chance(rng, 0.2) else (-2, desk.width + 2)
    for y in level:
        draw_rule(desk, line(across[0], y, across[1], y + rng.normal(0, 2)), rule)
    for x in upright:
        ends = [-2.0, desk.height + 2.0]
        if len(level) and chance(rng, 0.4):
            end = int(rng.integers(2))
            ends[end] = level[-1 if end else 0] + rng.uniform(0, 0.1) * size[1] * (end - 0.5)
        draw_rule(desk, line(x, ends[0], x + rng.normal(0, 2), ends[1]), rule)


def _places(rng: Generator, length: float) -> NDArray[np.float64]:
    """Return where lines cross a length, in order: at random, or evenly as those of a table do."""
    if chance(rng, 0.4):
        return np.sort(rng.uniform(0, length, int(rng.integers(0, 4))))
    apart = rng.uniform(0.55, 1.8) * length
    return np.arange(float(rng.uniform(0, apart)), length, apart, dtype=np.float64)


def _dots(desk: Desk) -> None:
    """A dotted line to write on."""
    rng, size = desk.rng, _usual(desk)
    y = rng.uniform(0.1, 1) * desk.height
    path = line(rng.uniform(-0.1, 0.3) * desk.width, y, rng.uniform(0.6, 1.1) * desk.width, y)
    width = max(0.02 * size, 0.7)
    desk.sheet.draw(dashed(path, 0, rng.uniform(2, 5) * width), Pen(width, rng.uniform(0.4, 1)))


_KINDS: tuple[Callable[[Desk], None], ...] = (
    _scribble, _one_letter, _word, _rules, _underline, _ring, _specks, _mark, neighbours, _dots,
)  # fmt: skip
_SHARES = (0.13, 0.12, 0.15, 0.13, 0.08, 0.03, 0.1, 0.1, 0.1, 0.06)
