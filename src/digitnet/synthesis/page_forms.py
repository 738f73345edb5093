"""Printed boxes, cells, combs, grids and tables, with digits in some of them.

Guarantees: lines are clutter, whatever digits do to them; cells are filled row by row, from left to
right.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from digitnet.synthesis.page_desk import SMALLEST, Desk, any_spacing, fit
from digitnet.synthesis.page_layouts import any_note, any_sign
from digitnet.synthesis.page_marks import cursive, dashed, print_word, wavering
from digitnet.synthesis.page_strokes import Bounds, Path, Pen, arc, chance, line, pick
from digitnet.synthesis.scene_choices import log_uniform

_CAPTION = "ABCDEFGHIKLMNOPRSTUVWYabcdefghiklmnoprstuvwy"


@dataclass(frozen=True)
class Rule:
    """How lines of a form are drawn.

    Attributes:
        pen: its width and how dark it prints.
        kind: 0 solid, 1 dashed, 2 dotted, 3 drawn by hand.
        unit: length of a dash or of what a hand wavers by, in pixels.
    """

    pen: Pen
    kind: int
    unit: float


def any_rule(rng: Generator, cell: float) -> Rule:
    """Return lines for cells of this size: thin to thick, black to as pale as red or blue print."""
    width = float(np.clip(log_uniform(rng, 0.008, 0.07) * cell, 0.6, 14))
    strength = rng.uniform(0.6, 1.0) if chance(rng, 0.5) else rng.uniform(0.2, 0.65)
    kind = pick(rng, (0.7, 0.07, 0.08, 0.15))
    return Rule(Pen(width, strength), kind, log_uniform(rng, 2, 8) if kind < 3 else 0.012 * cell)


def draw_rule(desk: Desk, path: Path, rule: Rule) -> None:
    """Draw one straight line of a form."""
    if rule.kind in (1, 2):
        dash = 0.0 if rule.kind == 2 else rule.unit
        desk.sheet.draw(dashed(path, dash, rule.unit + rule.pen.width), rule.pen)
    elif rule.kind == 3:
        desk.sheet.draw([wavering(path, rule.unit, desk.rng)], rule.pen)
    else:
        desk.sheet.draw([path], rule.pen)


def draw_box(desk: Desk, box: Bounds, rule: Rule, sides: str = "ltrb") -> None:
    """Draw a box, or only its left, top, right or bottom."""
    left, top, right, bottom = box
    over = rule.unit if rule.kind == 3 else 0.0
    lines = {
        "l": line(left, top - over, left, bottom + over),
        "t": line(left - over, top, right + over, top),
        "r": line(right, top - over, right, bottom + over),
        "b": line(left - over, bottom, right + over, bottom),
    }
    for side in sides:
        draw_rule(desk, lines[side], rule)


def _fill_cell(desk: Desk, cell: Bounds, row: int, size: float | None = None) -> None:
    """Write a sign into a cell, mostly inside, sometimes across its lines."""
    rng = desk.rng
    width, height = cell[2] - cell[0], cell[3] - cell[1]
    glyph = any_sign(desk, one=0.06)
    left, top, right, bottom = glyph.box
    largest = min(width / max(right - left, 0.3), height / max(bottom - top, 0.3))
    fill = rng.uniform(0.45, 0.85) if chance(rng, 0.75) else rng.uniform(0.85, 1.15)
    if size is not None:
        fill = float(np.clip(size * rng.uniform(0.9, 1.1) / largest, 0.2, 1.1))
    extent = max(largest * fill * glyph.side, SMALLEST)
    slack = [
        max(length - extent * part / glyph.side, 0) / 2
        for length, part in ((width, right - left), (height, bottom - top))
    ]
    x = (cell[0] + cell[2]) / 2 + rng.uniform(-1.1, 1.1) * slack[0]
    y = (cell[1] + cell[3]) / 2 + rng.uniform(-1.1, 1.1) * slack[1]
    desk.place(glyph, (x, y), extent, row)


def one_cell(desk: Desk) -> None:
    """One sign in one box, or an empty one; see ``_draw_cell``."""
    cell, ring = _draw_cell(desk)
    if ring or not chance(desk.rng, 0.15):  # an empty ring would be a zero
        _fill_cell(desk, cell, 0)


def one_field(desk: Desk) -> None:
    """A number in one box."""
    rng = desk.rng
    cell, ring = _draw_cell(desk, rng.uniform(1.2, 4))
    if chance(rng, 0.05) and not ring:  # An empty ring is a zero.
        return
    inset = rng.uniform(-0.02, 0.1) * (cell[3] - cell[1])
    box = (
        max(cell[0] + inset, 0), max(cell[1] + inset, 0), min(cell[2] - inset, desk.width),
        min(cell[3] - inset, desk.height),
    )  # fmt: skip
    count = int(rng.integers(2, 7))
    text = "".join(str(desk.any_digit()) for _ in range(count))
    text = any_note(rng) if chance(rng, 0.2) else text
    if box[2] - box[0] > SMALLEST < box[3] - box[1]:
        fit(
            desk, text, any_spacing(rng), box, 0, fill=rng.uniform(0.4, 1.0), slope=rng.normal(0, 2)
        )


def _draw_cell(desk: Desk, ratio: float = 1.0) -> tuple[Bounds, bool]:
    """Draw one box, ``ratio`` wider than high, and return it, and whether it is a ring.

    Of the box the frame shows all, some or only pieces of its lines.
    """
    rng = desk.rng
    height, width = desk.sheet.shape
    side = min(height, width)
    whole = chance(rng, 0.35)
    if whole:
        size = min(rng.uniform(0.25, 0.95) * side, 0.97 * width / ratio)
        tall, wide = size * rng.uniform(0.9, 1.3), size * ratio
        x, y = rng.uniform(0, width - wide), rng.uniform(0, max(height - tall, 1))
        cell = (x, y, x + wide, min(y + tall, height + 2))
    else:  # cut out of a form, a little inside or outside the lines
        offsets = rng.normal(0.05, 0.06, 4) * side
        cell = (offsets[0], offsets[1], width - offsets[2], height - offsets[3])
    rule = any_rule(rng, side if not whole else size)
    sides = "".join(each for each in "ltrb" if chance(rng, 0.93 if whole else 0.75))
    ring = whole and rule.kind == 0 and chance(rng, 0.15)
    if ring:
        _round_box(desk, cell, rule)
    elif whole or chance(rng, 0.4):
        draw_box(desk, cell, rule, sides)
    else:  # its lines run on to the neighbouring cells
        far = (-5.0, -5.0, width + 5.0, height + 5.0)
        for each in sides:
            stretched = list(cell)
            for other in "tb" if each in "lr" else "lr":
                stretched["ltrb".index(other)] = far["ltrb".index(other)]
            draw_box(desk, (stretched[0], stretched[1], stretched[2], stretched[3]), rule, each)
    if chance(rng, 0.15):
        inset = rng.uniform(0.03, 0.1) * side
        inner = (cell[0] + inset, cell[1] + inset, cell[2] - inset, cell[3] - inset)
        draw_box(desk, inner, any_rule(rng, side / 3))
    return cell, ring


def _round_box(desk: Desk, box: Bounds, rule: Rule) -> None:
    left, top, right, bottom = box
    if chance(desk.rng, 0.4):
        middle, radii = (
            ((left + right) / 2, (top + bottom) / 2),
            ((right - left) / 2, (bottom - top) / 2),
        )
        desk.sheet.draw([arc(middle, radii, 0, 360)], rule.pen)
        return
    r = 0.2 * min(right - left, bottom - top)
    corners = [
        (right - r, bottom - r, 0),
        (left + r, bottom - r, 90),
        (left + r, top + r, 180),
        (right - r, top + r, 270),
    ]
    path = np.concatenate([arc((x, y), (r, r), turn, turn + 90) for x, y, turn in corners])
    desk.sheet.draw([np.concatenate([path, path[:1]])], rule.pen)


def comb(desk: Desk, share: float | None = None) -> None:
    """A field with a box or only ticks for each digit, of which ``share`` are filled."""
    rng = desk.rng
    height, width = desk.sheet.shape
    count = int(rng.integers(2, 13))
    cell = min(rng.uniform(0.7, 1.0) * width / count, 0.8 * height)
    if cell < 1.3 * SMALLEST:
        count = max(int(0.95 * width / (1.4 * SMALLEST)), 1)
        cell = 0.95 * width / count
    tall = min(cell * rng.uniform(0.9, 1.6), 0.95 * height)
    gap = cell * rng.uniform(0.05, 0.3) if chance(rng, 0.35) else 0.0
    x, y = rng.uniform(0, max(width - count * cell, 1)), rng.uniform(0, max(height - tall, 1))
    rule, kind = any_rule(rng, cell), pick(rng, (0.6, 0.2, 0.2))
    cells = [(x + i * cell, y, x + (i + 1) * cell - gap, y + tall) for i in range(count)]
    for each in cells:
        if kind == 0:
            draw_box(desk, each, rule)
        elif kind == 1:  # a base line with ticks
            low = each[1] + tall * 0.6
            draw_box(desk, each, rule, "b")
            draw_box(desk, (each[0], low, each[2], each[3]), rule, "lr")
        else:
            draw_box(desk, each, rule, "b")
    if share is None:
        share = 1.0 if chance(rng, 0.5) else 0.6
    filled = rng.random(count) < share
    size = tall * rng.uniform(0.55, 0.85)
    for each in (each for each, full in zip(cells, filled, strict=True) if full):
        _fill_cell(desk, each, 0, size)
    _caption(desk, (x, y - 0.5 * tall, x + 0.5 * count * cell, y))


def grid(desk: Desk, share: float | None = None) -> None:
    """A sudoku or a table of digits, of which ``share`` are there, perhaps only a piece of it."""
    rng = desk.rng
    height, width = desk.sheet.shape
    least = 1.7 * SMALLEST
    cell = log_uniform(rng, least, max(0.5 * min(height, width), least + 1))
    tall = cell * (1 if chance(rng, 0.6) else rng.uniform(0.7, 1.3))
    x0, y0 = rng.uniform(-0.7, 0.6) * cell, rng.uniform(-0.7, 0.6) * tall
    columns = int(np.clip((width - x0) / cell + 0.3, 1, 10))
    rows = int(np.clip((height - y0) / tall + 0.3, 1, 10))
    rule = any_rule(rng, cell)
    heavy = Rule(
        Pen(min(2.2 * rule.pen.width, 0.12 * cell), rule.pen.strength), rule.kind, rule.unit
    )
    every, phase = (3 if chance(rng, 0.5) else 99), int(rng.integers(3))
    for i in range(columns + 1):
        chosen = heavy if (i + phase) % every == 0 else rule
        draw_rule(desk, line(x0 + i * cell, y0, x0 + i * cell, y0 + rows * tall), chosen)
    for i in range(rows + 1):
        chosen = heavy if (i + phase) % every == 0 else rule
        draw_rule(desk, line(x0, y0 + i * tall, x0 + columns * cell, y0 + i * tall), chosen)
    share = min(rng.uniform(0.1, 1.0) if share is None else share, 30 / (rows * columns))
    size = rng.uniform(0.45, 0.8) * min(cell, tall)
    for row in range(rows):
        for column in range(columns):
            if chance(rng, share) and desk.room > 0:
                box = (
                    x0 + column * cell,
                    y0 + row * tall,
                    x0 + (column + 1) * cell,
                    y0 + (row + 1) * tall,
                )
                _fill_cell(desk, box, row, size)


def table(desk: Desk) -> None:
    """Rows of a form: words, and numbers of several digits in cells or on lines."""
    rng = desk.rng
    height, width = desk.sheet.shape
    tall = max(height / rng.uniform(1.2, 6), 2.5 * SMALLEST)
    edges = np.cumsum(rng.uniform(0.3, 1.0, int(rng.integers(1, 5))))
    edges = np.concatenate([[0], edges]) / edges[-1] * width * rng.uniform(0.9, 1.3)
    edges -= rng.uniform(0, 0.12) * width
    y0 = rng.uniform(-0.6, 0.5) * tall
    rows = int(np.clip((height - y0) / tall + 0.4, 1, 7))
    rule, upright, left = any_rule(rng, tall), chance(rng, 0.8), 26
    for row in range(rows + 1):
        draw_rule(desk, line(edges[0], y0 + row * tall, edges[-1], y0 + row * tall), rule)
    for edge in edges if upright else ():
        draw_rule(desk, line(edge, y0, edge, y0 + rows * tall), rule)
    spacing, fill = any_spacing(rng, closely=True), rng.uniform(0.55, 0.95)
    most = math.inf
    for row in range(rows):
        for near, far in itertools.pairwise(edges):
            inset = 0.06 * tall
            box = (
                max(near, 0) + inset,
                y0 + row * tall + inset,
                min(far, width) - inset,
                y0 + (row + 1) * tall - inset,
            )
            if box[1] < 0 or box[3] > height or box[2] - box[0] < SMALLEST or left < 6:
                continue
            kind = pick(rng, (0.6, 0.2, 0.2))
            if kind == 0:
                count = int(rng.integers(1, 6))
                left -= count
                text = "".join(str(desk.any_digit()) for _ in range(count))
                size = fit(desk, text, spacing, box, row, fill=fill, most=most)
                most = min(most, 1.1 * size or math.inf)
            elif kind == 1:
                write_word(desk, box)


def write_word(desk: Desk, box: Bounds) -> None:
    """Write a word as clutter into a box: printed, or in joined letters."""
    rng = desk.rng
    width, height = box[2] - box[0], box[3] - box[1]
    if chance(rng, 0.5):
        printed = print_word(rng, _CAPTION)
        if printed is not None:
            wide, high = printed.box[2], printed.box[3]
            size = min(width / wide, rng.uniform(0.3, 0.8) * height / high)
            strength = rng.uniform(0.4, 1.0)
            desk.sheet.draw(
                printed.scaled(size, (box[0], box[1] + rng.random() * (height - high * size))),
                Pen(1, strength),
            )
        return
    paths = cursive(rng)
    low, high = min(path[:, 1].min() for path in paths), max(path[:, 1].max() for path in paths)
    long = max(path[:, 0].max() for path in paths)
    size = min(width / long, height / (high - low))
    paths = [path * size + (box[0], box[1] - low * size) for path in paths]
    pen = desk.pen(max(size, SMALLEST))
    desk.sheet.draw(paths, Pen(min(pen.width, 0.2 * size), pen.strength, pen.contrast))


def _caption(desk: Desk, box: Bounds) -> None:
    if chance(desk.rng, 0.3) and box[3] - box[1] > 4:
        write_word(desk, box)
