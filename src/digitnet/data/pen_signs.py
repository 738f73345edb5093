"""Signs of many people as pen strokes: UNIPEN's isolated digits, letters and symbols.

Guarantees:

- The strokes are part of the package: no network, no cache, no folder.
- Strokes are smooth, whatever the tablet that recorded them; their points are about a fortieth of
  the sign apart.
- ``split_writers`` never divides a writer, and depends on the signs and the seed alone.

Recorded pens, not pictures: the strokes can be drawn with any pen at any size. What they are and
whom to cite stands in ``assets/README.md``.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.data.pins import packaged_arrays

STROKES_FILE = "unipen_strokes.npz"
STROKES_SHA256 = "3c8df2b0b4aead535d9324e766bd0762cb010943cfba449854e25c8cc57078eb"
# The longer side of a sign in the asset.
STEPS = 255

# What may fairly be read as a digit, or as a speck of one; the other signs may not.
DIGIT_LIKE = frozenset("lI|ijJoODQzZsSbGgqyYTB&?></\\!.,-_()[]{}'`")

# The share of the writers of a site that is for validation.
_VAL_SHARE = 0.2
# Writers that may be one hand.
_ONE_HAND = {"gmd-01": "gmd-00"}


@dataclass(frozen=True, eq=False)
class Hands:
    """Signs of many people as pen strokes; arrays of N signs, which cannot be written to.

    Attributes:
        label: one character each; the digits come first.
        writer: a site and a number there; nobody's name.
        contributor: which part of UNIPEN a sign comes from.
        country: of the writer, or of the site where that is all that is known.
        usual_side: the median longer side of the writer's letters and digits, in tablet steps.
        points: float32 (M, 2), x and y of all strokes, y down.
        stroke_start: int64 (S + 1,), where strokes begin in ``points``.
        sign_start: int64 (N + 1,), where signs begin in ``stroke_start``.
    """

    label: NDArray[np.str_]
    writer: NDArray[np.str_]
    contributor: NDArray[np.str_]
    country: NDArray[np.str_]
    usual_side: NDArray[np.float32]
    points: NDArray[np.float32]
    stroke_start: NDArray[np.int64]
    sign_start: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)

    @property
    def is_digit(self) -> NDArray[np.bool_]:
        """Which signs are digits, bool (N,)."""
        digits: NDArray[np.bool_] = np.char.isdigit(self.label)
        return digits

    def strokes(self, index: int) -> list[NDArray[np.float64]]:
        """Return the strokes of a sign, each float64 (P, 2), in the order written; new arrays.

        The sign's box begins at 0, 0 and its longer side is 1; of a sign that is smaller than a
        letter (a full stop, a comma, a dash) it is what it is beside its writer's letters.
        A single point is a dot.
        """
        first, after = self.sign_start[index : index + 2]
        edges = self.stroke_start[first : after + 1]
        return [
            self.points[begin:end].astype(np.float64) for begin, end in itertools.pairwise(edges)
        ]


@functools.cache
def load_hands() -> Hands:
    """Return the signs that are part of the package, always the same object.

    Raises:
        IntegrityError: the file is not the one that was shipped.
    """
    arrays = packaged_arrays(STROKES_FILE, STROKES_SHA256)
    bends, lengths, counts = (arrays.pop(k) for k in ("bends", "stroke_points", "sign_strokes"))
    steps = bends.cumsum(axis=1, dtype=np.uint8).cumsum(axis=1, dtype=np.uint8).T
    return _hands(steps, lengths, counts, arrays)


def hands_of(strokes: Sequence[Sequence[NDArray[np.uint8]]], **about: NDArray[Any]) -> Hands:
    """Return signs as strokes, each uint8 (P, 2): x and y in ``STEPS`` of a sign's longer side.

    Args:
        strokes: those of each sign, in the order written; its box begins at 0, 0.
        about: the arrays of ``Hands`` that say what the signs are.
    """
    flat = [stroke for sign in strokes for stroke in sign]
    lengths = np.array([len(stroke) for stroke in flat])
    counts = np.array([len(sign) for sign in strokes])
    return _hands(np.concatenate(flat), lengths, counts, about)


def _hands(
    steps: NDArray[np.uint8],
    lengths: NDArray[np.integer[Any]],
    counts: NDArray[np.integer[Any]],
    about: dict[str, NDArray[Any]],
) -> Hands:
    """Return ``Hands`` of all points, the lengths of strokes, and how many each sign has."""
    stroke_start, sign_start = (
        np.r_[0, np.cumsum(each, dtype=np.int64)] for each in (lengths, counts)
    )
    arrays = about | {
        "points": _placed(steps, stroke_start, stroke_start[sign_start]),
        "stroke_start": stroke_start,
        "sign_start": sign_start,
    }
    for array in arrays.values():
        array.flags.writeable = False
    return Hands(**arrays)


def split_writers(hands: Hands, seed: int = 0) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Divide the signs into those to train on and those to validate on, by whole writers.

    A fifth of the writers of each site, rounded up, is for validation, but no more than wrote half
    of what the site wrote; of a site's only writer nothing is. Writers of digits and writers of
    other signs alone are chosen apart.

    Returns:
        The indices of the training and of the validation signs: rising, disjoint, and together
        every index.
    """
    rng = np.random.default_rng(seed)
    hand = np.array([_ONE_HAND.get(writer, writer) for writer in hands.writer.tolist()])
    site = np.array([name.partition("-")[0] for name in hand.tolist()])
    wrote_digits = np.isin(hand, hand[hands.is_digit])
    chosen: list[str] = []
    for name in np.unique(site):
        for group in (wrote_digits, ~wrote_digits):
            own, signs = np.unique(hand[(site == name) & group], return_counts=True)
            chosen += _for_validation(own, signs, rng)
    val = np.isin(hand, chosen)
    return np.flatnonzero(~val), np.flatnonzero(val)


def _for_validation(
    writers: NDArray[np.str_], signs: NDArray[np.int64], rng: np.random.Generator
) -> list[str]:
    """Choose from the ``writers`` of a site, who wrote so many ``signs`` each."""
    wanted = math.ceil(_VAL_SHARE * len(writers)) if len(writers) > 1 else 0
    chosen: list[int] = []
    for writer in rng.permutation(len(writers)).tolist():
        if len(chosen) < wanted and 2 * signs[[*chosen, writer]].sum() <= signs.sum():
            chosen.append(writer)
    return [str(each) for each in writers[chosen]]


def _placed(
    steps: NDArray[np.uint8], stroke_start: NDArray[np.int64], first: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the points, float32 (M, 2), of the asset's ``steps``: smoothed, boxes from 0 to 1.

    Args:
        steps: uint8 (M, 2).
        stroke_start: where strokes begin.
        first: where signs begin.
    """
    points = steps.astype(np.float32)
    inside = np.ones(len(points), bool)
    inside[stroke_start[:-1]] = inside[stroke_start[1:] - 1] = False
    middle = np.flatnonzero(inside)
    points[middle] = (points[middle - 1] + 2 * points[middle] + points[middle + 1]) / 4
    sizes, begin = np.diff(first), first[:-1]
    is_whole = np.maximum.reduceat(steps, begin).max(axis=1) == STEPS
    low = np.minimum.reduceat(points, begin)
    side = (np.maximum.reduceat(points, begin) - low).max(axis=1)
    scale = np.where(is_whole, side, STEPS).astype(np.float32)
    placed: NDArray[np.float32] = (points - np.repeat(low, sizes, axis=0)) / np.repeat(
        scale, sizes
    )[:, None]
    return placed
