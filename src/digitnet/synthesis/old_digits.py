"""Digits as clerks wrote them with a nib: 2s with a ring, zigzag 3s, open 4s, 5s with a far flag.

So they stand in parish registers of the nineteenth century, and some people write them still. Most
lean to the right.

Guarantees: strokes are as in ``curves``; a digit is about 1 high before it leans.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from digitnet.synthesis.curves import Strokes, curve, line

# By how much they lean: the way to the right from the foot to the top, in heights.
_LEAST_LEAN, _MOST_LEAN = 0.0, 0.8


def ringed_two(rng: Generator) -> Strokes:
    """Write a ring like that of a 9, a stem to the left, and a wave or a small loop as foot."""
    wide, low = rng.uniform(0.4, 0.75), rng.uniform(0.3, 0.48)
    ring = [(0.95, 0.8), (0.5, 1.15), (0.0, 0.85), (0.05, 0.1), (0.6, -0.12), (1.1, 0.35)]
    corners = [(x * wide, y * low) for x, y in ring]
    corners += [(0.75 * wide, low + 0.1), (0.25 * wide, 0.85)]
    end = (wide * rng.uniform(0.7, 1.4), rng.uniform(0.88, 1.04))
    if rng.random() < 0.6:
        foot = [(-0.05, 1.0), (-0.05, 0.84), (0.4 * wide, 0.86), (0.55 * wide, 1.04), end]
    else:
        foot = [(0.0, 1.0), (0.05, 1.02), end]
    return _leaning(rng, [curve(rng, *corners, *foot, jitter=0.02)])


def zigzag_three(rng: Generator) -> Strokes:
    """Go up and down twice, as in an m, and end in a stem or a bow that runs far to the left."""
    wide, low = rng.uniform(0.45, 0.8), rng.uniform(0.22, 0.36)
    begin = (rng.uniform(-0.1, 0.15), rng.uniform(0.08, 0.28))
    first = (0.45 * wide, rng.uniform(-0.03, 0.08))
    valley = (rng.uniform(0.25, 0.5) * wide, low + rng.uniform(-0.03, 0.1))
    second = (wide, rng.uniform(0.08, 0.25))
    foot = (rng.uniform(-0.35, 0.3), rng.uniform(0.9, 1.04))
    if rng.random() < 0.5:  # a stem, straight or bent
        down = [(0.75 * wide, 0.55), (0.45 * wide, 1.0)]
    else:
        down = [(0.55 * wide, 0.45), (1.1 * wide, 0.55), (0.9 * wide, 0.98), (0.3 * wide, 1.05)]
    if rng.random() < 0.5:  # sharp corners
        up = line(rng, np.array(begin), np.array(first))
        zigzag = [up, line(rng, np.array(first), np.array(valley))]
        rest = curve(rng, valley, second, *down, foot, jitter=0.02)
        rest[0] = zigzag[-1][-1]
        return _leaning(rng, [np.concatenate([*zigzag, rest])])
    return _leaning(rng, [curve(rng, begin, first, valley, second, *down, foot, jitter=0.02)])


def open_four(rng: Generator) -> Strokes:
    """Write a slope down, a bar that rises, and a stem as steep as the slope, of any length."""
    wide, level = rng.uniform(0.4, 0.8), rng.uniform(0.5, 0.75)
    top, corner = np.array((0.25 * wide, rng.uniform(0.0, 0.25))), np.array((0.0, level))
    end = np.array((wide * rng.uniform(1.0, 1.5), level - rng.uniform(-0.05, 0.2)))
    slope = np.concatenate([line(rng, top, corner), line(rng, corner, end)])
    high = np.array((0.75 * wide, rng.uniform(-0.1, 0.45)))
    foot = np.array((wide * rng.uniform(0.55, 0.8), rng.uniform(0.9, 1.05)))
    return _leaning(rng, [slope, line(rng, high, foot, 0.03)])


def flagged_five(rng: Generator) -> Strokes:
    """Write a bow whose neck is free, and a long flag apart from it."""
    neck = (rng.uniform(0.25, 0.5), rng.uniform(-0.02, 0.2))
    wide = rng.uniform(0.45, 0.75)
    bow = [(neck[0] - 0.15, 0.42), (wide, 0.42), (wide, 0.98), (0.2, 1.05)]
    end = (rng.uniform(-0.2, 0.1), rng.uniform(0.82, 1.0))
    begin = np.array((neck[0] + rng.uniform(0.02, 0.3), rng.uniform(-0.1, 0.05)))
    flag = line(rng, begin, begin + rng.uniform((0.3, -0.12), (1.1, 0.06)), 0.04)
    return _leaning(rng, [curve(rng, neck, *bow, end, jitter=0.02), flag])


def _leaning(rng: Generator, strokes: Strokes) -> Strokes:
    """Return strokes whose upper parts are moved to the right."""
    lean = np.array([[1, -rng.uniform(_LEAST_LEAN, _MOST_LEAN)], [0, 1]])
    return [stroke @ lean.T for stroke in strokes]
