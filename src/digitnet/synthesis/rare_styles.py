"""Digits drawn from scratch, as people write them whom no data set of ours knows.

Bare straight ones, ones with a flag and a foot, sevens with a bar and a curl, round, slashed and
dotted zeros, nines like a P, fours like a φ, eights with tails, fives like an S, threes with a flat
top.

Guarantees: ``drawn_digit`` depends on the generator alone; y runs down, and the strokes fill about
the unit square.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from digitnet.synthesis.page_strokes import Path, arc, chance, line, rounded, through

Strokes = list[Path]


def drawn_digit(digit: int, rng: Generator) -> Strokes | None:
    """Return the strokes of a digit in one of the rare styles; None if we draw none of it."""
    return _DRAWN[digit](rng) if digit in _DRAWN else None


def bare_one(rng: Generator) -> Strokes:
    """Return a one that is a stem and nothing else, straight or a little bent."""
    lean, bend = rng.normal(0, 0.12), rng.normal(0, 0.03)
    knots = np.array([[lean, 0.0], [bend + lean / 2, 0.5], [0.0, 1.0]])
    return [through(knots, 6) if chance(rng, 0.6) else knots[::2]]


def _one(rng: Generator) -> Strokes:
    if chance(rng, 0.35):
        return bare_one(rng)
    lean = rng.normal(0.05, 0.08)
    reach, drop = rng.uniform(0.15, 0.55), rng.uniform(0.12, 0.75)
    flag = line(lean - reach, drop, lean, 0)
    if chance(rng, 0.4):
        flag = rounded([flag[0], flag.mean(0) + rng.normal(0, 0.07, 2), flag[1]], 2)
    strokes = [np.concatenate([flag, line(lean, 0, 0, 1)])]
    if chance(rng, 0.4):
        half, tilt = rng.uniform(0.12, 0.4), rng.normal(0, 0.03)
        strokes.append(line(-half, 1 + tilt, half * rng.uniform(0.7, 1.3), 1 - tilt))
    return strokes


def _zero(rng: Generator) -> Strokes:
    wide = rng.uniform(0.75, 1.1) if chance(rng, 0.6) else rng.uniform(0.45, 0.75)
    start, over = rng.uniform(200, 340), rng.uniform(-15, 35)
    strokes = [arc((wide / 2, 0.5), (wide / 2, 0.5), start, start + 360 + over)]
    kind = rng.random()
    if kind < 0.35:
        far = rng.uniform(-0.15, 0.25)
        strokes.append(line(wide * (1 - far), far, wide * far, 1 - far))
    elif kind < 0.42:
        strokes.append(np.array([[wide / 2, 0.5]]) + rng.normal(0, 0.03, 2))
    elif kind < 0.5:
        strokes.append(line(wide * 0.05, rng.uniform(0.3, 0.6), wide * 0.95, rng.uniform(0.3, 0.6)))
    return strokes


def _seven(rng: Generator) -> Strokes:
    wide, foot, high = rng.uniform(0.45, 0.75), rng.uniform(0.05, 0.4), rng.uniform(-0.05, 0.06)
    top = line(0.0, rng.uniform(0.0, 0.1), wide, high)
    if chance(rng, 0.45):  # begins with a curl or a short stroke down
        x, y = rng.uniform((-0.05, 0.12), (0.06, 0.3)).tolist()
        sag = (wide * 0.35, rng.uniform(0.0, 0.12))
        top = rounded([(x, y), (0.0, 0.02), sag, (wide, high)])
    bend = (wide * 0.7 + rng.normal(0, 0.06), rng.uniform(0.35, 0.5))
    stem = line(wide, high, foot, 1.0)
    if chance(rng, 0.6):
        stem = rounded([(wide, high), bend, (foot, 1.0)])
    strokes = [np.concatenate([top, stem[1:]])]
    if chance(rng, 0.7):
        y, tilt = rng.uniform(0.4, 0.6), rng.normal(0.02, 0.08)
        middle, half = (wide + foot) / 2 * rng.uniform(0.9, 1.2), rng.uniform(0.15, 0.35)
        strokes.append(line(middle - half, y + tilt, middle + half, y - tilt))
    return strokes


def _five(rng: Generator) -> Strokes:
    """An S, with or without a flag."""
    wide = rng.uniform(0.45, 0.7)
    knots = np.array(
        [
            [wide * rng.uniform(0.8, 1.2), rng.uniform(0.0, 0.12)],
            [0.5 * wide, 0.0],
            [rng.uniform(0.0, 0.15), rng.uniform(0.18, 0.3)],
            [0.45 * wide, 0.45],
            [wide, 0.68],
            [0.6 * wide, 0.97],
            [rng.uniform(-0.1, 0.1), rng.uniform(0.85, 0.97)],
        ]
    )
    strokes = [through(knots + rng.normal(0, 0.02, knots.shape))]
    if chance(rng, 0.4):
        x, y = strokes[0][0].tolist()
        strokes.append(line(x, y, x + rng.uniform(0.15, 0.5), y + rng.normal(0, 0.05)))
    return strokes


def _three(rng: Generator) -> Strokes:
    """A flat top, a slope to the middle, a bow."""
    wide, neck = rng.uniform(0.45, 0.7), rng.uniform(0.1, 0.35)
    top = line(0.0, rng.uniform(0.0, 0.08), wide * rng.uniform(0.85, 1.0), 0.0)
    middle = (neck, rng.uniform(0.36, 0.46))
    end = (rng.uniform(-0.1, 0.1), rng.uniform(0.85, 0.98))
    bow = rounded([middle, (wide, 0.38), (1.05 * wide, 0.98), (0.4 * wide, 1.02), end])
    return [np.concatenate([top, bow])]


def _nine(rng: Generator) -> Strokes:
    if chance(rng, 0.55):  # like a P: the stem first or last, the loop to its right
        y, wide = rng.uniform(0.3, 0.45), rng.uniform(0.35, 0.6)
        stem = np.array(
            [[0.3, rng.uniform(0.0, 0.12)], [0.32, 0.5], [0.25 + rng.normal(0, 0.08), 1.0]]
        )
        bow = through(
            np.array(
                [
                    [rng.uniform(0.0, 0.2), y + rng.uniform(-0.05, 0.08)],
                    [0.35, y + rng.normal(0, 0.03)],
                    [0.3 + wide * 0.85, y - 0.05],
                    [0.3 + wide, y * 0.45],
                    [0.3 + wide * 0.55, 0.0],
                    [0.3, 0.1],
                ]
            )
        )
        return (
            [np.concatenate([bow, through(stem)[1:]])] if chance(rng, 0.6) else [through(stem), bow]
        )
    wide, high = rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.55)
    start = rng.uniform(-60, 0)
    loop = arc((wide / 2, high / 2), (wide / 2, high / 2), start, start - 330)
    foot = rng.uniform(-0.3, 0.3)
    tail = [loop[-1], (wide, high), (wide * rng.uniform(0.85, 1.1), 0.85), (wide / 2, 1.0)]
    tail.append((foot, rng.uniform(0.8, 1.0)))
    return [np.concatenate([loop, rounded(tail)[1:]])]


def _four(rng: Generator) -> Strokes:
    """A φ: one line from above left, round to the right, and down through itself."""
    wide = rng.uniform(0.55, 0.85)
    knots = np.array(
        [
            [rng.uniform(0.05, 0.3), 0.0],
            [0.02, 0.3],
            [0.15, 0.55],
            [0.5 * wide, 0.62],
            [wide, 0.4],
            [0.85 * wide, 0.12],
            [0.6 * wide, 0.18],
            [0.5 * wide, 0.5],
            [0.42 * wide, 1.0],
        ]
    )
    return [through(knots + rng.normal(0, 0.03, knots.shape))]


def _eight(rng: Generator) -> Strokes:
    """Written in one line from above right, whose ends cross or stick out as tails."""
    tail, start = rng.uniform(0.0, 0.35), rng.uniform(0.0, 0.25)
    knots = np.array(
        [
            [0.55 + start, 0.08],
            [0.3, 0.0],
            [0.12, 0.2],
            [0.35, 0.45],
            [0.6, 0.7],
            [0.45, 0.97],
            [0.12, 0.92],
            [0.1, 0.7],
            [0.4, 0.45],
            [0.6 + tail, 0.22 - tail * rng.uniform(0.0, 0.6)],
        ]
    )
    return [through(knots + rng.normal(0, 0.025, knots.shape))]


_DRAWN: dict[int, Callable[[Generator], Strokes]] = {
    0: _zero,
    1: _one,
    3: _three,
    4: _four,
    5: _five,
    7: _seven,
    8: _eight,
    9: _nine,
}
