"""From the signs found on a picture to what is written there, and how likely that is right.

Guarantees:

- Every sign is there or is not, and is a digit or another sign, ``?``. The confidence of a text is
  the product, over all signs, of the probabilities of what was decided.
- Of a number that must have a certain length or check digit, it is the part that this text has of
  the probability of all texts that fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.checks import ANYTHING, LEFT_OUT, Wanted, likeliest
from digitnet.reading.finding import Signs
from digitnet.reading.line_texts import LIKELY, FoundLine
from digitnet.reading.lines import in_lines
from digitnet.reading.prediction import Box, Line, Prediction, Reading, ReadingReason, Reason

# Of a picture of one digit, what is surest to be there counts from the first on, and is accepted as
# a digit from the second on.
DOUBTFUL, SURE = 0.15, 0.55
# It must be a digit rather by the reader than by the finder, which has seen fewer letters: the
# least share of being one; and how far within the threshold its score must be, which is set on ink
# that a pen drew.
LEAST_SHARE, WITHIN = 0.15, 0.3
# The logarithm of the odds that a sign is a digit: the finder's, by which the first is multiplied;
# how far the reader's score is above its threshold, by the second; and the third. A line is mostly
# digits or mostly letters: to these odds come those of the other signs of the line, on average and
# at most so much each, multiplied by ``COMPANY``. Fitted on pages of validation writers.
LIKENESS = (2.2, -0.287, -0.09)
COMPANY, _AT_MOST = 0.35, 5.0
# What is less sure to be there is not even taken in where a number needs more digits.
FAINTEST = 0.05
# Where all texts that fit have a smaller probability together, none fits.
LEAST_FIT = 0.01
# A second digit must be so likely, and so large beside the best, that it plainly is one.
_PLAINLY, _AS_LARGE = 0.5, 0.4
# How much a sign at the edge of the picture is less likely meant than one in the middle.
_MIDDLE = 0.8
# Where so many signs are so surely there, smaller ones must be the surer, the smaller they are.
_WITNESSES, _PLAIN = 3, 0.95
_TINY, _ROUNDING = 1e-6, 1e-9

_Floats = NDArray[np.float64]


class Writing:
    """The signs of a picture, in reading order, with what is likely of each.

    Args:
        signs: as they were found.
        ood_threshold: of the model.
        class_names: of the model.
        scale: how many pixels of the original one pixel of the signs' boxes spans.
    """

    def __init__(
        self,
        signs: Signs,
        ood_threshold: float,
        class_names: tuple[str, ...],
        scale: float = 1.0,
    ) -> None:
        seen = np.flatnonzero(signs.presence >= _least_presence(signs))
        self._lines = in_lines(signs.boxes[seen])
        self._order = seen[[place for line in self._lines for place in line]].astype(int)
        self._signs, self._class_names = signs, class_names
        self._scale = scale
        self._threshold = ood_threshold
        self._like = self._likeness()
        chances = (self._presence, self._like, self._of_order(signs.probabilities))
        there, digit, classes = (each.clip(_TINY, 1 - _TINY) for each in chances)
        # Of each sign, minus logarithms: there, not there, a digit, no digit, each class.
        self._doubts = (-np.log(there), -np.log1p(-there), -np.log(digit), -np.log1p(-digit))
        self._of_class = -np.log(classes)
        self._there = self._presence >= LIKELY
        self._is_digit = self._like >= LIKELY

    def reading(self, goal: Wanted = ANYTHING) -> Reading:
        """Return what is written, or the likeliest number that fits ``goal``."""
        plain = self._plain()
        return plain if goal.fewest is None else self._fitting(goal, plain)

    def best(
        self, middle: tuple[float, float], *, crops: bool = False
    ) -> tuple[int | None, Reason | None]:
        """Return the one digit of a picture, its place among the signs, and what to beware of.

        Where there is no digit, it is the surest other sign; None where there is no sign.

        Args:
            middle: of the picture, x and y.
            crops: whether it was cut from a row of writing: what is nearest to the middle counts,
                and neighbours are no second digit.
        """
        if not len(self._order) or self._presence.max() < DOUBTFUL:
            return None, "blank"
        boxes = self._of_order(self._signs.boxes)
        size = self._signs.sides[self._order]
        away = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - middle)
        # Of halves of the picture, and in a crop of the sign's own sides.
        far = (away.max(axis=1) / size) if crops else (away / middle).max(axis=1) * _MIDDLE
        weight = self._presence * np.exp(-(far**2))
        # A lone digit is refused more readily than one of a number, which others vouch for.
        accepted = (
            (self._presence >= DOUBTFUL)
            & (self._of_order(self._signs.digit_share) >= LEAST_SHARE)
            & (self._of_order(self._signs.ood_score) <= self._threshold - WITHIN)
        )
        if crops:  # What is in the middle does not depend on what the reader makes of it.
            accepted &= np.arange(len(weight)) == weight.argmax()
        surest = np.where(accepted, weight, 0).argmax() if accepted.any() else weight.argmax()
        digits = np.flatnonzero(accepted & (self._presence >= SURE))
        if not len(digits):
            return int(self._order[surest]), "not_a_digit"
        # The square root of the likeliest class, since which digit it is matters less than whether.
        half = np.exp(-self._of_class.min(axis=1) / 2)
        weight = weight * self._like * half
        surely = weight * half * np.sqrt(size)
        chosen = int(digits[surely[digits].argmax()])
        # A second one counts even if it would be refused alone.
        plain = (weight >= _PLAINLY) & (size >= _AS_LARGE * size[chosen])
        several = not crops and bool(plain[np.arange(len(plain)) != chosen].any())
        unsure = bool(self._signs.probabilities[self._order[chosen]].max() < LIKELY)
        return int(self._order[chosen]), "several" if several else "ambiguous" if unsure else None

    def found_lines(self) -> list[FoundLine]:
        """Return the lines with at least one sign that is there, from top to bottom."""
        start, lines = 0, []
        for line in self._lines:
            here = slice(start, start + len(line))
            start += len(line)
            order = self._order[here]
            classes = np.exp(-self._of_class[here])
            found = (self._signs.boxes[order], self._presence[here], self._like[here], classes)
            if self._there[here].any():
                lines.append(FoundLine(order, *found))
        return lines

    def in_original(self, box: tuple[float, float, float, float]) -> Box:
        """Return the pixels of the original that a box touches, given where the signs' are."""
        left, top, right, bottom = (np.array(box) * self._scale).tolist()
        return whole_box(max(left, 0.0), max(top, 0.0), right, bottom)

    @property
    def _presence(self) -> _Floats:
        return self._of_order(self._signs.presence)

    def _likeness(self) -> _Floats:
        """Return how likely each sign is a digit, as both finder and reader see it."""
        share = self._of_order(self._signs.digit_share).clip(_TINY, 1 - _TINY)
        beyond = self._of_order(self._signs.ood_score) - self._threshold
        odds = LIKENESS[0] * np.log(share / (1 - share)) + LIKENESS[1] * beyond + LIKENESS[2]
        odds = odds + COMPANY * self._company(odds.clip(-_AT_MOST, _AT_MOST))
        likeness: _Floats = 1 / (1 + np.exp(-odds.clip(-50, 50)))
        return likeness

    def _company(self, odds: _Floats) -> _Floats:
        """Return for each sign the mean odds of the others of its line, 0 if it is alone."""
        sizes = np.array([len(line) for line in self._lines], int)
        line = np.repeat(np.arange(len(sizes)), sizes)
        there = odds * (self._presence >= LIKELY)
        others = np.bincount(line, self._presence >= LIKELY, len(sizes))[line]
        others -= self._presence >= LIKELY
        total = np.bincount(line, there, len(sizes))[line] - there
        company: _Floats = total / others.clip(min=1)
        return company

    def _of_order(self, array: NDArray[np.float32]) -> _Floats:
        values: _Floats = array[self._order].astype(np.float64)
        return values

    def _plain(self) -> Reading:
        picks = np.where(self._is_digit, self._of_class.argmin(axis=1), -2)
        picks[~self._there] = LEFT_OUT
        confidence = math.exp(float(self._chances(picks, -self._doubts[1]).sum()))
        lines = self._written(picks.tolist())
        digits = sum(one.is_digit for line in lines for one in line.digits)
        reason: ReadingReason | None = None if confidence >= LIKELY else "uncertain"
        if not digits:
            reason = "no_digits" if lines else "blank"
        return Reading(lines, confidence, self._odds(picks), reason)

    def _fitting(self, goal: Wanted, plain: Reading) -> Reading:
        taken, left = self._logarithms()
        fit = likeliest(taken, left, goal)
        if fit is None or fit.mass < LEAST_FIT:
            return replace(plain.refused(f"no {goal} fits"), confidence=0.0, odds=0.0)
        lines = self._written(fit.picks, left)
        if len(lines) == 1:
            lines = (replace(lines[0], confidence=fit.share),)
        return Reading(lines, fit.share, fit.odds, None if fit.share >= LIKELY else "uncertain")

    def _logarithms(self) -> tuple[_Floats, _Floats]:
        """Return of each sign the logarithms of being each digit, and of being no digit."""
        there, _, digit, _ = self._doubts
        taken = -(there + digit)[:, None] - self._of_class
        return taken, np.log1p(-np.exp(taken).sum(axis=1).clip(0, 1 - _TINY))

    def _odds(self, picks: NDArray[np.intp]) -> float:
        """Return how many times likelier a text is than any that differs in one sign."""
        if not len(picks):
            return math.inf
        taken, _ = self._logarithms()
        there, absent, _, other = self._doubts
        options = np.column_stack([-(there + other), -absent, taken])
        rows = np.arange(len(picks))
        chosen = options[rows, picks + 2].copy()
        options[rows, picks + 2] = -np.inf
        return math.exp(float((chosen - options.max(axis=1)).min()))

    def _written(self, picks: Sequence[int], left: _Floats | None = None) -> tuple[Line, ...]:
        """Return the lines of what was picked; a digit, -2 for another sign, or ``LEFT_OUT``.

        Args:
            picks: of each sign.
            left: (K,), logarithm of how likely each is rightly left out; by default, not there.
        """
        rows: Iterator[tuple[int, int]] = iter(zip(self._order.tolist(), picks, strict=True))
        left = -self._doubts[1] if left is None else left
        chances = iter(self._chances(np.array(picks, int), left).tolist())
        lines = []
        for line in self._lines:
            found = [(sign, pick) for sign, pick in (next(rows) for _ in line) if pick != LEFT_OUT]
            confidence = math.exp(sum(next(chances) for _ in line))
            if found:
                signs = tuple(self.as_picked(sign, pick) for sign, pick in found)
                lines.append(Line(signs, confidence))
        return tuple(lines)

    def _chances(self, picks: NDArray[np.intp], left: _Floats) -> _Floats:
        """Return the logarithm of how likely what was picked of each sign is right, (K,)."""
        there, _, digit, other = self._doubts
        rows = np.arange(len(picks))
        classes = self._of_class[rows, picks.clip(min=0)]
        taken = there + np.where(picks >= 0, digit + classes, other)
        return np.where(picks == LEFT_OUT, left, -taken)

    def as_picked(self, sign: int, pick: int) -> Prediction:
        """Return a sign, by its place among those that were found, as this digit; -2 is none."""
        return as_picked(self.prediction(sign, None), pick)

    def prediction(self, sign: int, reason: Reason | None) -> Prediction:
        """Return a sign, by its place among those that were found, as a prediction."""
        probabilities = self._signs.probabilities[sign].copy()
        image = (self._signs.images[sign].clip(0, 1) * 255 + 0.5).astype(np.uint8)
        for array in (probabilities, image):
            array.setflags(write=False)
        return Prediction(
            digit=int(probabilities.argmax()),
            confidence=float(probabilities.max()),
            probabilities=probabilities,
            ood_score=float(self._signs.ood_score[sign]),
            is_digit=reason in (None, "ambiguous"),
            reason=reason,
            image=image,
            box=self.in_original(tuple(self._signs.boxes[sign].tolist())),
            class_names=self._class_names,
        )


def as_picked(sign: Prediction, pick: int) -> Prediction:
    """Return a sign as this digit; -2 makes it another sign."""
    digit = pick if pick >= 0 else int(sign.probabilities.argmax())
    confidence = float(sign.probabilities[digit])
    reason: Reason | None = "ambiguous" if confidence < LIKELY else None
    if pick < 0:
        reason = "not_a_digit"
    return replace(sign, digit=digit, confidence=confidence, is_digit=pick >= 0, reason=reason)


def lone_digit(reading: Reading) -> Prediction | None:
    """Return the digit that is all that a reading has."""
    signs = [one for line in reading.lines for one in line.digits]
    return signs[0] if len(signs) == 1 and signs[0].is_digit else None


def familiar(reading: Reading, ood_threshold: float, ood_score: float) -> Reading:
    """Return a reading, refused if its only sign is a digit as strange as ``Writing.best`` refuses.

    Args:
        reading: of a picture or drawing.
        ood_threshold: of the model.
        ood_score: of that digit, judged for itself.
    """
    digit = lone_digit(reading)
    if digit is None or ood_score <= ood_threshold - WITHIN:
        return reading
    refused = replace(digit, is_digit=False, reason="not_a_digit", ood_score=ood_score)
    return of_one(reading, refused, 1 - reading.confidence, "no_digits")


def of_one(
    reading: Reading, sign: Prediction, confidence: float, reason: ReadingReason | None
) -> Reading:
    """Return a reading of one sign in place of another reading."""
    odds = confidence / (1 - confidence) if confidence < 1 else math.inf
    line = Line((sign,), confidence)
    return replace(reading, lines=(line,), confidence=confidence, odds=odds, reason=reason)


def _least_presence(signs: Signs) -> NDArray[np.float64]:
    """Return how surely each sign must be there, (K,): the more so the smaller it is beside others.

    Specks of paper and crumbs look like digits when a large page is looked at in parts.
    """
    plain = signs.sides[signs.presence >= _PLAIN]
    usual = float(np.median(plain)) if len(plain) >= _WITNESSES else 0.0
    missing = (usual - signs.sides) / max(usual, 1.0)
    return np.asarray(np.sqrt(missing.clip(0)).clip(FAINTEST), np.float64)


def whole_box(left: float, top: float, right: float, bottom: float) -> Box:
    """Return the pixels that a box touches, at least one."""
    x, y = math.floor(left), math.floor(top)
    # Rounding may not add a pixel.
    ends = math.ceil(right - _ROUNDING), math.ceil(bottom - _ROUNDING)
    return Box(x, y, max(x + 1, ends[0]), max(y + 1, ends[1]))
