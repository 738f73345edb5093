"""What is written or printed beside digits: punctuation, rules, scrawl, scribbles, words, specks.

Guarantees: whatever is drawn here is clutter and never a sign; it depends on the generator alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from digitnet.synthesis.page_signs import CLUTTER, Glyph, Penman, glyph_of_image, printed_text
from digitnet.synthesis.page_strokes import Path, arc, chance, line, pick, rounded, through
from digitnet.synthesis.scene_choices import log_uniform

# Height of a mark, and of its middle above the base line, in heights of a digit.
_PLACES = {
    ".": (0.04, 0.02), ",": (0.22, -0.05), "'": (0.2, 0.95), "-": (0.03, 0.45), "_": (0.03, -0.05),
    "/": (1.15, 0.5), "\\": (1.15, 0.5), ":": (0.45, 0.35), ";": (0.5, 0.3), "=": (0.25, 0.45),
    "+": (0.55, 0.45), "*": (0.4, 0.6), "#": (0.9, 0.5), "$": (1.2, 0.5), "%": (0.9, 0.5),
    "(": (1.3, 0.5), ")": (1.3, 0.5), "!": (1.0, 0.5), "?": (1.0, 0.5), "&": (0.9, 0.5),
    '"': (0.25, 0.95), "<": (0.5, 0.45), ">": (0.5, 0.45), "|": (1.3, 0.5), "~": (0.2, 0.45),
}  # fmt: skip
MARKS = frozenset(_PLACES)

# Marks as anyone draws them, in heights of a digit; "€" and "£" no writer of ours wrote.
_DRAWN: dict[str, Callable[[Generator], list[Path]]] = {
    ".": lambda rng: [rng.normal(0, 0.01, (2, 2))],
    ",": lambda rng: [line(0.06, 0, rng.uniform(-0.06, 0.06), rng.uniform(0.1, 0.3))],
    "'": lambda rng: [line(0.06, 0, rng.uniform(-0.04, 0.06), rng.uniform(0.1, 0.3))],
    "-": lambda rng: [line(0, rng.normal(0, 0.03), rng.uniform(0.2, 0.6), 0)],
    "_": lambda rng: [line(0, rng.normal(0, 0.03), rng.uniform(0.4, 0.8), 0)],
    "/": lambda rng: [line(rng.uniform(0.1, 0.7), 0, 0, 1.15)],
    ":": lambda rng: [rng.normal(0, 0.01, (2, 2)), rng.normal((0, 0.4), 0.02, (2, 2))],
    "=": lambda rng: [line(0, 0, 0.45, rng.normal(0, 0.03)), line(0, 0.22, 0.45, 0.22)],
    "+": lambda _: [line(0, 0.27, 0.5, 0.27), line(0.25, 0, 0.25, 0.52)],
    "*": lambda _: [line(0, 0.1, 0.35, 0.3), line(0.35, 0.1, 0, 0.3), line(0.18, 0, 0.17, 0.4)],
    "#": lambda _: [
        line(0.25, 0, 0.1, 0.9), line(0.55, 0, 0.4, 0.9), line(0, 0.3, 0.7, 0.3),
        line(0, 0.6, 0.65, 0.6),
    ],
    "$": lambda _: [
        rounded([(0.5, 0.2), (0.2, 0.1), (0, 0.35), (0.5, 0.6), (0.5, 0.95), (0, 0.9)]),
        line(0.27, -0.1, 0.25, 1.1),
    ],
    "€": lambda _: [
        arc((0.35, 0.5), (0.35, 0.5), -45, -315), line(-0.1, 0.4, 0.4, 0.4),
        line(-0.1, 0.6, 0.4, 0.6),
    ],
    "£": lambda _: [
        rounded([(0.6, 0.2), (0.4, -0.1), (0.2, 0.2), (0.25, 0.7), (0, 1)]),
        line(0, 1, 0.65, 0.97), line(0.05, 0.5, 0.45, 0.5),
    ],
    "|": lambda _: [line(0, 0, 0, 1.3)],
}  # fmt: skip


def mark(penman: Penman, sign: str, rng: Generator) -> Glyph | None:
    """Return a mark beside digits that are 1 high and stand on y = 1; None if nobody wrote it."""
    if sign in _DRAWN and (sign in "€£" or chance(rng, 0.4)):
        paths = [path * math.exp(rng.normal(0, 0.12)) for path in _DRAWN[sign](rng)]
        return _on_line(Glyph(CLUTTER, tuple(paths)).at_origin(), sign, rng)
    glyph = penman.mark(sign)
    if glyph is None:
        return None
    height = _PLACES[sign][0]
    if sign in "/\\$#%()&?!|+*=":
        tall = glyph.box[3]
        glyph = glyph.scaled(height * math.exp(rng.normal(0, 0.15)) / max(tall, 0.3))
    return _on_line(glyph, sign, rng)


def _on_line(glyph: Glyph, sign: str, rng: Generator) -> Glyph:
    middle = _PLACES.get(sign, (1.0, 0.5))[1] + rng.normal(0, 0.05)
    return glyph.scaled(1, (0, 1 - middle - glyph.box[3] / 2))


def dashed(path: Path, dash: float, gap: float) -> list[Path]:
    """Return a straight path in pieces; a dash of length 0 is a dot."""
    start, way = path[0], path[-1] - path[0]
    length = float(np.hypot(*way))
    count = int(min(length / max(dash + gap, 0.5), 400))
    places = np.arange(count) * (dash + gap) / max(length, 1e-6)
    long = dash / max(length, 1e-6)
    return [np.array([start + way * at, start + way * min(at + long, 1)]) for at in places]


def wavering(path: Path, amount: float, rng: Generator) -> Path:
    """Return a straight path as a hand draws it; ``amount`` in pixels."""
    count = 6
    t = np.linspace(0, 1, count)[:, None]
    knots = path[0] * (1 - t) + path[-1] * t
    return through(knots + rng.normal(0, amount, knots.shape), 5)


def scrawl(rng: Generator) -> list[Path]:
    """Return what ends an amount on a cheque: a wave, a dash, two dashes, a flourish; 1 high."""
    kind, long = pick(rng, (0.35, 0.3, 0.15, 0.2)), rng.uniform(0.6, 3.5)
    if kind == 0:
        count = int(rng.integers(3, 12))
        x = np.linspace(0, long, count)
        y = 0.55 + np.where(np.arange(count) % 2, 0.5, -0.5) * rng.uniform(0.1, 0.5, count)
        return [through(np.stack([x, y], 1), 6)]
    if kind == 1:
        return [line(0, rng.uniform(0.4, 0.9), long, rng.uniform(0.4, 0.9))]
    if kind == 2:
        high = rng.uniform(0.3, 0.6)
        low = high + rng.uniform(0.15, 0.3)
        return [line(0, high, long, high), line(0, low - 0.03, long, low)]
    knots = np.cumsum(rng.normal((0.15, 0), (0.25, 0.35), (int(rng.integers(4, 9)), 2)), axis=0)
    return [through(knots + np.array((0.2, 0.5)), 6)]


def scribble(rng: Generator) -> list[Path]:
    """Return a scribble about 1 wide: a tangle, zigzags, a coil, hatching, an arrow, a tick."""
    return _SCRIBBLES[pick(rng, (0.32, 0.25, 0.1, 0.15, 0.1, 0.08))](rng)


def _tangle(rng: Generator) -> list[Path]:
    return [through(rng.uniform(0, 1, (int(rng.integers(7, 18)), 2)), 7)]


def _zigzag(rng: Generator) -> list[Path]:
    count = int(rng.integers(7, 18))
    y = np.where(np.arange(count) % 2, 0.9, 0.1) + rng.normal(0, 0.1, count)
    path = np.stack([np.linspace(0, 1, count), y * rng.uniform(0.2, 0.8)], 1)
    return [through(path, 6) if chance(rng, 0.5) else path]


def _coil(rng: Generator) -> list[Path]:
    turns = rng.uniform(2.5, 5)
    t = np.linspace(0, 2 * np.pi * turns, int(14 * turns))
    r = 0.5 * np.linspace(rng.uniform(0.05, 0.4), 1, len(t))
    return [np.stack([0.5 + r * np.cos(t), 0.5 + r * np.sin(t) * rng.uniform(0.5, 1)], 1)]


def _hatching(rng: Generator) -> list[Path]:
    lean, count = rng.uniform(-0.5, 0.5), int(rng.integers(7, 16))
    return [line(x + lean, 0, x, rng.uniform(0.6, 1)) for x in np.linspace(0, 1, count)]


def _arrow(rng: Generator) -> list[Path]:
    end = rng.uniform(0.4, 0.6)
    head = np.array([(0.8, end - 0.15), (1.0, end), (0.8, end + 0.15)])
    return [line(0, rng.uniform(0.2, 0.8), 1.0, end), head]


def _tick(rng: Generator) -> list[Path]:
    return [np.array([(0, 0.6), (0.25, 0.9), (rng.uniform(0.5, 1), 0)])]


_SCRIBBLES = (_tangle, _zigzag, _coil, _hatching, _arrow, _tick)


def cursive(rng: Generator) -> list[Path]:
    """Return a word in joined loops and humps; its short letters are about 0.6 high, base 1."""
    x, knots = 0.0, []
    for _ in range(int(rng.integers(5, 22))):
        kind, step = pick(rng, (0.5, 0.25, 0.15, 0.1)), rng.uniform(0.12, 0.3)
        top = (0.45, 0.4, -0.1, 0.45)[kind] + rng.normal(0, 0.06)
        low = (1.0, 1.0, 1.0, 1.5)[kind] + rng.normal(0, 0.04)
        knots += [(x + step * 0.6, top), (x + step * rng.uniform(0.1, 0.6), (top + low) / 2)]
        knots += [(x + step * 0.5, low), (x + step, low - 0.1 - rng.uniform(0, 0.2))]
        x += step
    path = through(np.array(knots), 4)
    return (
        [path]
        if len(knots) < 40 or chance(rng, 0.5)
        else [path[: len(path) // 2], path[len(path) // 2 + 6 :]]
    )


def print_word(rng: Generator, letters: str) -> Glyph | None:
    """Return a printed word as an image; its longer side is 1."""
    text = "".join(letters[rng.integers(len(letters))] for _ in range(int(rng.integers(3, 10))))
    if chance(rng, 0.3):
        text = text[:1] + text[1:].lower()
    ink = printed_text(text + (":" if chance(rng, 0.3) else ""), int(rng.integers(10)))
    return None if ink is None else glyph_of_image(np.pad(ink, 2), -1)


def specks(rng: Generator, shape: tuple[int, int], largest: float) -> list[tuple[Path, float]]:
    """Return dots, dust and short hairs anywhere: each a path and its width."""
    found = []
    for _ in range(int(rng.integers(1, 12))):
        place = rng.uniform(0, 1, (1, 2)) * shape[::-1]
        size = log_uniform(rng, 0.8, max(largest, 1.0))
        hair = rng.normal(0, size if chance(rng, 0.3) else 0.1, (2, 2)).cumsum(0)
        found.append((place + hair, size))
    return found
