"""Curves that a pen draws, each a little otherwise: what digits are made of.

Guarantees: paths are float64 (M, 2), x and y with y down, about as large as a digit of height 1;
their corners are moved by the given generator only.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis.page_strokes import rounded

Points = NDArray[np.float64]
Strokes = list[Points]

# Standard deviation of each corner's place, as a fraction of the digit's height.
_JITTER = 0.035


def boxed(strokes: Strokes) -> Strokes:
    """Move the box of the strokes to 0, 0 and scale its longer side to 1."""
    points = np.concatenate(strokes)
    low, side = points.min(0), np.ptp(points, axis=0).max()
    return [(stroke - low) / side for stroke in strokes]


def curve(
    rng: Generator, *corners: Points | tuple[float, float], jitter: float = _JITTER
) -> Points:
    """Return a smooth path by way of ``corners``, each moved a little."""
    return rounded(np.array(corners) + rng.normal(0, jitter, (len(corners), 2)))


def line(rng: Generator, start: Points, end: Points, bend: float = 0.02) -> Points:
    """Return an almost straight stroke."""
    middle = (start + end) / 2 + rng.normal(0, bend, 2)
    t = np.linspace(0, 1, 9)[:, None]
    path = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    return np.asarray(path)


def dash(rng: Generator, at: Points, tilt: float) -> Points:
    """Return a short stroke to both sides of ``at``."""
    left, right = rng.uniform(0.13, 0.4, 2)
    return line(rng, at + np.array((-left, tilt)), at + np.array((right, -tilt)))


def oval(rng: Generator) -> Points:
    """Return a ring, from narrow to wider than high, that may overrun where it began."""
    first = rng.uniform(0, 2 * np.pi)
    turn = first + np.linspace(0, 2 * np.pi * rng.uniform(0.97, 1.08), 40)
    width = rng.uniform(0.45, 1.15)
    drift = np.linspace(0, rng.normal(0, 0.04), 40)[:, None]
    wave = 1 + rng.normal(0, 0.03) * np.cos(2 * turn + rng.uniform(0, 6.3))
    ring = np.stack([np.cos(turn) * width, np.sin(turn)], 1) * wave[:, None] / 2
    return np.asarray(ring + drift)
