"""From the lines of signs to what is written there, as both the reader and the line reader see it.

Guarantees:

- A line is read twice: sign by sign, and as a whole by the line reader, which cuts nothing apart.
  The text that is likeliest to both is taken, whoever proposed it.
- A line too long for the line reader is read by its signs alone.
- Digits that the finder missed get a box and an image like the others.
- Everything that was fitted to make the two agree and the confidence true stands here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.checks import Wanted, fits
from digitnet.reading.line_strips import Strip, strip_of
from digitnet.reading.line_texts import (
    BEAMS,
    LIKELY,
    FoundLine,
    SignChances,
    likeliest_texts,
    of_columns,
    places_of,
)
from digitnet.reading.prediction import (
    INK_SIDE,
    Ink,
    Line,
    Prediction,
    Reading,
    ReadingReason,
)
from digitnet.reading.writing import LEAST_FIT, Writing, as_picked

# How much the line reader counts, and the signs, and what is added to the latter where they touch;
# and the logarithm of how often one was missed. Fitted on pages of validation writers, as is what
# comes next.
BY_COLUMNS, BY_SIGNS, WHERE_CLOSE, MISSED = 0.828, 0.550, -0.384, -4.0
# Minus the logarithm of the confidence is the sum, over lines, of these times: the share of all
# other texts; what speaks against the text in the columns; and in the signs; and one for each line.
DOUBTS = (1.3675, 0.1031, 0.0091, 0.0010)
# Texts that are followed where a number must fit; and of all lines together.
_MORE_BEAMS, _MOST = 24, 2000
_NEVER, _LARGEST = -60.0, 700.0
# What stands out less than this share of the strongest is paper.
_PAPER = 0.35

_Columns = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
_Look = Callable[[Ink], Prediction]


@dataclass(frozen=True, eq=False)
class _Option:
    """A text that a line may say."""

    text: str
    share: float
    """Logarithm of its part of all texts that were thought of."""
    doubt: float
    """Minus the logarithm of how likely it is right."""


@dataclass(frozen=True, eq=False)
class _Line:
    """A line, what it may say, likeliest first, and what that was found by."""

    found: FoundLine
    options: list[_Option]
    chances: SignChances
    strip: Strip | None
    columns: NDArray[np.float64] | None

    @property
    def odds(self) -> float:
        """Logarithm of how many times likelier the first text is than the next, or any other."""
        first, *others = (option.share for option in self.options)
        if others:
            return first - others[0]
        return first - math.log(-math.expm1(first)) if first < 0 else math.inf


_See = Callable[[_Line, str], tuple[Prediction, ...]]


def read_lines(
    writing: Writing, pixels: NDArray[np.uint8], columns: _Columns, look: _Look, goal: Wanted
) -> Reading:
    """Return what is written in a picture.

    Args:
        writing: what was found there.
        pixels: uint8 (H, W), the picture.
        columns: the line reader, see ``line_file``.
        look: returns the digit that an ink shows.
        goal: what the text must be like.
    """
    beams = BEAMS if goal.fewest is None else _MORE_BEAMS
    lines = [_line(found, pixels, columns, beams) for found in writing.found_lines()]
    if not lines:
        return writing.reading(goal)

    def see(line: _Line, text: str) -> tuple[Prediction, ...]:
        return _signs(writing, line, text, pixels, look)

    if goal.fewest is None:
        return _reading(lines, [line.options[0] for line in lines], see)
    # By its signs alone a line has one text, with which no other that fits could be compared.
    if any(line.strip is None for line in lines):
        return writing.reading(goal)
    return _fitting(writing, lines, see, goal)


def _line(found: FoundLine, pixels: NDArray[np.uint8], columns: _Columns, beams: int) -> _Line:
    """Return a line and what it may say."""
    strip, chances = strip_of(pixels, found.boxes[found.there]), SignChances(found, MISSED)
    if strip is None:
        share = chances.of(found.text)
        return _Line(found, [_Option(found.text, share, -share)], chances, None, None)
    seen = columns(strip.pixels)
    heard = evidence_of(found, chances, seen, beams)
    shares = heard.scores @ weights(found)
    shares -= np.logaddexp.reduce(shares)
    doubts = heard.doubts(shares) @ DOUBTS
    order = np.argsort(-shares, kind="stable").tolist()
    options = [_Option(heard.texts[i], float(shares[i]), float(doubts[i])) for i in order]
    return _Line(found, options, chances, strip, seen)


class Evidence(NamedTuple):
    """Texts that a line may say, N of them, and what speaks for each."""

    texts: list[str]
    scores: NDArray[np.float64]
    """(N, 2): the logarithms of how likely each is by the columns, and by the signs."""

    def doubts(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what ``DOUBTS`` are the factors of, (N, 4), none negative.

        Args:
            shares: (N,), logarithms of each text's part of all.
        """
        columns, signs = -self.scores.T
        return np.stack([-np.expm1(shares), columns, signs, np.ones(len(shares))], axis=1)


def evidence_of(
    found: FoundLine, chances: SignChances, seen: NDArray[np.float64], beams: int = BEAMS
) -> Evidence:
    """Return what a line may say.

    Args:
        found: its signs.
        chances: of texts by them.
        seen: (T, 12), the columns of its strip.
        beams: how many texts the line reader proposes.
    """
    by_columns = likeliest_texts(seen, beams)
    by_columns.pop("", None)
    if found.text not in by_columns:
        by_columns[found.text] = of_columns(seen, found.text)
    texts = list(by_columns)
    scores = np.array([[max(by_columns[text], _NEVER), chances.of(text)] for text in texts])
    return Evidence(texts, scores)


def weights(found: FoundLine) -> NDArray[np.float64]:
    """Return how much columns and signs count in a line, (2,)."""
    return np.array([BY_COLUMNS, BY_SIGNS + WHERE_CLOSE * found.closeness])


def _reading(lines: Sequence[_Line], chosen: Sequence[_Option], see: _See) -> Reading:
    written = tuple(
        Line(see(line, option.text), math.exp(-option.doubt))
        for line, option in zip(lines, chosen, strict=True)
    )
    confidence = math.exp(-sum(option.doubt for option in chosen))
    odds = _times(min(line.odds for line in lines))
    reason: ReadingReason | None = None if confidence >= LIKELY else "uncertain"
    if not any(one.is_digit for line in written for one in line.digits):
        reason = "no_digits"
    return Reading(written, confidence, odds, reason)


def _fitting(writing: Writing, lines: Sequence[_Line], see: _See, goal: Wanted) -> Reading:
    """Return the likeliest number that fits ``goal``."""
    found: dict[str, float] = {}
    first: dict[str, Sequence[_Option]] = {}
    for options in itertools.islice(_together(lines), _MOST):
        text = "".join(option.text for option in options).replace("?", "")
        if fits(text, goal):
            share = sum(option.share for option in options)
            found[text] = float(np.logaddexp(found.get(text, -math.inf), share))
            first.setdefault(text, options)
    total = float(np.logaddexp.reduce(list(found.values()))) if found else -math.inf
    # Signs that are left out or taken in may fit where no text that was thought of does.
    if total < math.log(LEAST_FIT):
        return writing.reading(goal)
    best, *others = sorted(found, key=lambda text: -found[text])[:2]
    reading = _reading(lines, first[best], see)
    share = math.exp(found[best] - total)
    odds = _times(found[best] - found[others[0]]) if others else math.inf
    kept = tuple(
        replace(line, digits=tuple(one for one in line.digits if one.is_digit))
        for line in reading.lines
    )
    kept = tuple(line for line in kept if line.digits)
    if len(kept) == 1:
        kept = (replace(kept[0], confidence=share),)
    return Reading(kept, share, odds, None if share >= LIKELY else "uncertain")


def _together(lines: Sequence[_Line]) -> Iterator[tuple[_Option, ...]]:
    """Yield what all lines may say together, roughly the likeliest first."""
    most = max(2, round(_MOST ** (1 / len(lines))))
    yield from itertools.product(*(line.options[:most] for line in lines))


def _signs(
    writing: Writing, line: _Line, text: str, pixels: NDArray[np.uint8], look: _Look
) -> tuple[Prediction, ...]:
    """Return the signs of a line of which the text is known."""
    places = line.chances.aligned(text)
    if line.strip is None or line.columns is None or None not in places:
        return tuple(
            writing.as_picked(int(line.found.signs[place]), _pick(sign))
            for sign, place in zip(text, places, strict=True)
            if place is not None
        )
    signs = []
    parts = _parts(line.columns, text) if len(text) > 1 else [_extent(line.strip, line.found)]
    for sign, place, part in zip(text, places, parts, strict=True):
        left, top, right, bottom = line.strip.box(*part)
        height, width = pixels.shape
        box = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
        if place is None:
            seen = look(rough_ink(pixels, box))
            signs.append(replace(as_picked(seen, _pick(sign)), box=writing.in_original(box)))
        else:
            picked = writing.as_picked(int(line.found.signs[place]), _pick(sign))
            signs.append(replace(picked, box=writing.in_original(box)))
    return tuple(signs)


def _extent(strip: Strip, found: FoundLine) -> tuple[float, float]:
    """Return where the signs that were found begin and end, in parts of the strip."""
    boxes, width = found.boxes[found.there], strip.right - strip.left
    left, right = float(boxes[:, 0].min()), float(boxes[:, 2].max())
    return (left - strip.left) / width, (right - strip.left) / width


def _parts(columns: NDArray[np.float64], text: str) -> list[tuple[float, float]]:
    """Return where each of two or more signs begins and ends, in parts of the strip.

    Between two it is in their middle; at both ends as far as on the other side.
    """
    middles = [(place + 0.5) / len(columns) for place in places_of(columns, text)]
    between = [(a + b) / 2 for a, b in itertools.pairwise(middles)]
    first, last = 2 * middles[0] - between[0], 2 * middles[-1] - between[-1]
    ends = [max(first, 0.0), *between, min(last, 1.0)]
    return list(itertools.pairwise(ends))


def rough_ink(pixels: NDArray[np.uint8], box: tuple[float, float, float, float]) -> Ink:
    """Return what stands out in a part of a picture, whatever it belongs to."""
    height, width = pixels.shape
    left, right = (int(np.clip(round(at), 0, width)) for at in (box[0], box[2]))
    top, bottom = (int(np.clip(round(at), 0, height)) for at in (box[1], box[3]))
    part = pixels[top : max(bottom, top + 1), left : max(right, left + 1)].astype(np.float32)
    if not part.size:
        return Ink.blank()
    step = -(-max(part.shape) // INK_SIDE)
    off = np.abs(part[::step, ::step] - np.median(part))
    ink = (off / max(float(np.percentile(off, 98)), 1.0) - _PAPER) / (1 - _PAPER)
    return Ink(ink.clip(0, 1).astype(np.float32), None)


def _times(logarithm: float) -> float:
    """Return how many times likelier that is; of what no float can hold, the most it can."""
    return math.exp(min(logarithm, _LARGEST)) if logarithm < math.inf else math.inf


def _pick(sign: str) -> int:
    return -2 if sign == "?" else int(sign)
