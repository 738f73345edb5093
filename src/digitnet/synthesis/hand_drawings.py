"""Digits of many hands, and what is none, drawn with any pen for a network to learn from.

Guarantees:

- Training drawings come from training writers only, and validation digits from writers whom
  ``split_writers`` sets aside; nobody fills a training set alone.
- Digits are drawn with pens of 1.5 to 17 % of their side, bare strokes with up to 30 %.
- Letters and symbols that may fairly be read as digits are never among the signs.
- A seed gives the same drawings each time.

What is no digit: letters and symbols, and what a finder may hand over by mistake: two or three
digits in one, pieces of a digit, a digit with the lines of its box.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.data.optdigits import load_bitmaps
from digitnet.data.pen_signs import DIGIT_LIKE, Hands, load_hands, split_writers
from digitnet.network.canonical import Canonical
from digitnet.synthesis.curves import Strokes, boxed
from digitnet.synthesis.drawn_digits import rare_digit
from digitnet.synthesis.greek_letters import greek_letter
from digitnet.synthesis.hands import draw
from digitnet.synthesis.nondigits import SIZE, Canvas

# What draws a digit, and the share of each: UNIPEN's strokes, optdigits' bitmaps, rare styles.
_UNIPEN, _BITMAPS = 0.68, 0.14
# The shares of letters and symbols and of Greek letters among signs; the rest are a finder's
# mistakes.
_LETTERS, _GREEK = 0.62, 0.14
# What is likeliest to be taken for a digit among them comes this many times as often.
_LOOK_ALIKE, _LOOK_ALIKE_TIMES = '":;=af', 3
# The longer side of a drawing in pixels of the 40-pixel canvas: room to be turned and stretched.
_SMALLEST, _LARGEST = 17, 28
# Pens, as a fraction of the longer side. Of validation digits the broadest is narrower.
_FINEST, _BROADEST, _BROADEST_STEM, _BROADEST_VAL = 0.015, 0.17, 0.3, 0.12
# Signs of one writer that count.
_MOST = 300
# Height of validation digits, in pixels, and how often each is drawn.
_VAL_SIDES, _VAL_TIMES = (20, 120), 2
# Digits of which a piece is a curve or a corner, and none is a ring.
_OPEN_DIGITS = "2357"


@dataclass(frozen=True, eq=False)
class _Pool:
    """Signs to choose from, some likelier than others."""

    hands: Hands
    rows: NDArray[np.intp]
    shares: NDArray[np.float64]

    def some(self, count: int, rng: Generator) -> NDArray[np.intp]:
        """Return ``count`` signs."""
        return rng.choice(self.rows, count, p=self.shares)

    def one(self, rng: Generator) -> Strokes:
        """Return the strokes of one sign."""
        chosen = np.searchsorted(self.shares.cumsum(), rng.random() * self.shares.sum())
        return self.hands.strokes(int(self.rows[min(chosen, len(self.rows) - 1)]))


def draw_digits(count: int, seed: int) -> tuple[Canvas, NDArray[np.int64]]:
    """Draw ``count`` digits of other hands than MNIST's.

    Args:
        count: how many.
        seed: of all randomness.

    Returns:
        Inks uint8 (count, 40, 40), bright on 0, and what they are, int64 (count,).
    """
    rng = np.random.default_rng(seed)
    hands = load_hands()
    train, _ = split_writers(hands)
    pool = _pool(hands, train[hands.is_digit[train]])
    unipen = iter(pool.some(count, rng).tolist())
    bitmaps = load_bitmaps()
    inks, labels = np.zeros((count, SIZE, SIZE), np.uint8), np.zeros(count, np.int64)
    for index, lot in enumerate(rng.random(count)):
        if lot < _UNIPEN:
            row = next(unipen)
            inks[index], labels[index] = _drawn(hands.strokes(row), rng), int(hands.label[row])
        elif lot < _UNIPEN + _BITMAPS:
            row = int(rng.integers(len(bitmaps.images)))
            inks[index], labels[index] = _unstretched(bitmaps.images[row], rng), bitmaps.labels[row]
        else:
            labels[index], strokes = rare_digit(rng)
            broadest = _BROADEST_STEM if len(strokes) == 1 and labels[index] == 1 else _BROADEST
            inks[index] = _drawn(strokes, rng, broadest)
    return inks, labels


def draw_signs(count: int, seed: int) -> Canvas:
    """Draw ``count`` signs that are no digit: letters, symbols, and what finders do wrong.

    Returns:
        Inks uint8 (count, 40, 40), bright on 0.
    """
    rng = np.random.default_rng(seed)
    hands = load_hands()
    train, _ = split_writers(hands)
    is_other = ~hands.is_digit & ~np.isin(hands.label, list(DIGIT_LIKE))
    letters = iter(_pool(hands, train[is_other[train]], _LOOK_ALIKE).some(count, rng).tolist())
    digits = _pool(hands, train[hands.is_digit[train]])
    pieces = _pool(hands, digits.rows[np.isin(hands.label[digits.rows], list(_OPEN_DIGITS))])
    inks = np.zeros((count, SIZE, SIZE), np.uint8)
    for index, lot in enumerate(rng.random(count)):
        if lot < _LETTERS:
            inks[index] = _drawn(hands.strokes(next(letters)), rng)
            continue
        if lot < _LETTERS + _GREEK:
            inks[index] = _drawn(boxed(greek_letter(rng)), rng)
            continue
        make, pool = _MISTAKES[rng.integers(len(_MISTAKES))], digits
        if make is _piece:
            pool = pieces
        inks[index] = _drawn(make(pool, rng), rng)
    return inks


def validation_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the digits of the writers set aside, each drawn with two pens.

    Returns:
        Canonical images uint8 (N, 28, 28), and labels int64 (N,).
    """
    images, labels = _validation_digits()
    return images.copy(), labels.copy()


# Kept, because it takes seconds, and a training validates and calibrates with them.
@functools.cache
def _validation_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    rng, hands = np.random.default_rng(0), load_hands()
    _, val = split_writers(hands)
    rows = val[hands.is_digit[val]]
    images, labels = [], []
    for row in np.repeat(rows, _VAL_TIMES).tolist():
        side = rng.uniform(*_VAL_SIDES)
        pen = side * _some_pen(rng, _BROADEST_VAL)
        images.append(canonical(draw(hands.strokes(row), side, pen)))
        labels.append(int(hands.label[row]))
    return np.array(images), np.array(labels, np.int64)


@torch.inference_mode()
def canonical(ink: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the canonical image of one ink (H, W), uint8 (28, 28)."""
    image = Canonical()(torch.from_numpy(ink)[None, None])[0, 0]
    return np.asarray((image * 255).round().to(torch.uint8).numpy())


def _pool(hands: Hands, rows: NDArray[np.intp], often: str = "") -> _Pool:
    """Return a choice of signs between all alike and all writers alike; ``often`` come more often.

    A writer counts as the root of how much he wrote: with hundreds of digits, more than one who
    wrote ten, but not thirty times as much.
    """
    _, writer, counts = np.unique(hands.writer[rows], return_inverse=True, return_counts=True)
    share = (np.sqrt(np.minimum(counts, _MOST)) / counts)[writer]
    share[np.isin(hands.label[rows], list(often))] *= _LOOK_ALIKE_TIMES
    return _Pool(hands, rows, share / share.sum())


def _some_pen(rng: Generator, broadest: float) -> float:
    """Return the width of a pen, even on a log scale."""
    return float(np.exp(rng.uniform(np.log(_FINEST), np.log(broadest))))


def _drawn(strokes: Strokes, rng: Generator, broadest: float = _BROADEST) -> Canvas:
    """Draw strokes with some pen in the middle of a canvas."""
    side = rng.uniform(_SMALLEST, _LARGEST)
    slant, stretch = rng.normal(0, 0.12), np.exp(rng.normal(0, 0.12))
    ink = draw(strokes, side, side * _some_pen(rng, broadest), slant, float(stretch))
    return _in_the_middle((ink * 255).astype(np.uint8))


def _in_the_middle(ink: Canvas) -> Canvas:
    canvas = np.zeros((SIZE, SIZE), np.uint8)
    ink = ink[:SIZE, :SIZE]
    top, left = ((SIZE - length) // 2 for length in ink.shape)
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvas


def _unstretched(bitmap: Canvas, rng: Generator) -> Canvas:
    """Make a bitmap that fills its square as wide, beside its height, as digits are."""
    height = rng.uniform(_SMALLEST, _LARGEST)
    size = (round(height * rng.uniform(0.5, 1.0)), round(height))
    return _in_the_middle(np.asarray(cv2.resize(bitmap, size, interpolation=cv2.INTER_AREA)))


def _several(pool: _Pool, rng: Generator) -> Strokes:
    """Write two or three digits beside each other, or, seldom, below each other."""
    strokes: Strokes = []
    end, upright = 0.0, rng.random() < 0.12
    for _ in range(rng.choice((2, 2, 2, 3))):
        height = rng.uniform(0.8, 1.0)
        digit = [stroke * height for stroke in pool.one(rng)]
        shift = np.array([end, rng.normal(0, 0.05)])
        strokes += [stroke + (shift[::-1] if upright else shift) for stroke in digit]
        end = float(np.concatenate(strokes).max(0)[int(upright)]) + rng.uniform(-0.05, 0.35)
    return boxed(strokes)


def _piece(pool: _Pool, rng: Generator) -> Strokes:
    """Take a piece of a digit that is not upright: that would be a one."""
    while True:
        longest = max(pool.one(rng), key=len)
        length = int(len(longest) * rng.uniform(0.12, 0.3))
        start = int(rng.integers(len(longest) - length))
        piece = longest[start : start + length]
        if length > 2:
            width, height = np.ptp(piece, axis=0)
            if width > 1.5 * height:
                return boxed([piece])


def _in_a_box(pool: _Pool, rng: Generator) -> Strokes:
    """Write a digit and two to four of the lines of its box."""
    strokes = pool.one(rng)
    points = np.concatenate(strokes)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    room = rng.uniform(-0.03, 0.35, 4)
    left, top, right, bottom = np.array([left, top, right, bottom]) + room * (-1, -1, 1, 1)
    over = rng.uniform(0.0, 0.25, 4) * (rng.random() < 0.5)
    lines = (
        ((left, top - over[0]), (left, bottom + over[1])),
        ((left - over[2], bottom), (right + over[3], bottom)),
        ((right, top - over[0]), (right, bottom + over[1])),
        ((left - over[2], top), (right + over[3], top)),
    )
    sides = _SIDES[rng.integers(len(_SIDES))]
    return boxed([*strokes, *(np.array(lines[side]) for side in sides)])


# Which lines of a box are there: left, bottom, right and top are 0 to 3.
_SIDES = ((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2), (0, 1), (1, 2), (2, 3), (3, 0), (0, 2))

_MISTAKES: tuple[Callable[[_Pool, Generator], Strokes], ...] = (
    _several,
    _several,
    _in_a_box,
    _piece,
)
