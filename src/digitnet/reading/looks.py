"""Several looks at one picture, and what they agree on.

Guarantees:

- A text that the first look is sure of is read once; so is a page of many lines, and a blank one.
  A sign is judged once if it is plainly a digit, one of several, or none at all.
- Else the text counts to which all looks together give most; its confidence is what they give it,
  so a text that one look alone sees is doubtful. A sign is a digit if most looks take it for one.
- Each look is taken once, whatever is asked of it.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.line_texts import LIKELY
from digitnet.reading.prediction import Prediction, Reading, Reason
from digitnet.reading.writing import Writing

# What is in doubt is looked at again, on pages so many times as large.
LOOKS = (0.6, 0.8, 1.25)
# A text is in doubt if it is less likely right than this.
DOUBTED = 0.7
# Pages of more lines are seldom all right, and take long.
MOST_LINES = 3
# What the confidences of all looks are divided by: fewer than there are looks, because those who
# agree confirm each other. Chosen on simulated pages.
_ALL = 2.6
# A sign is in doubt unless it is so likely the digit that is named, and its strangeness so far
# within the threshold. It is a digit if so many of the looks say so; one that refuses it counts
# for less in what it would be.
PLAIN, FAMILIAR = 0.95, 4.0
_ENOUGH, _REFUSED = 3, 0.3

_Key = TypeVar("_Key", bound=Hashable)


class Looks:
    """A picture, and what is seen on its pages of several sizes.

    Args:
        pixels: uint8 (H, W).
        look: returns what is written there, on a page so many times as large as usual.
    """

    def __init__(self, pixels: NDArray[np.uint8], look: Callable[[float], Writing]) -> None:
        self.pixels = pixels
        self.writing = functools.cache(look)
        """As ``look``; each look is taken once."""


def agreed_text(read: Callable[[float], Reading]) -> Reading:
    """Return what is read in a picture, at the first look or at several.

    Args:
        read: returns what is read on a page so many times as large as usual.
    """
    first = read(1.0)
    if first.confidence >= DOUBTED or not 1 <= len(first.lines) <= MOST_LINES:
        return first
    readings = [first, *map(read, LOOKS)]
    text, given = _most((_texts(one), one.confidence) for one in readings)
    if not given:
        return first
    surest = max((one for one in readings if _texts(one) == text), key=lambda one: one.confidence)
    return _believed(surest, min(1.0, given / _ALL))


def agreed_sign(judge: Callable[[float], Prediction], ood_threshold: float) -> Prediction:
    """Return what the sign of a picture is, by the first look or by several.

    Its ``ood_score`` is that of the look by which it is a digit or is none.

    Args:
        judge: returns what it is on a page so many times as large as usual.
        ood_threshold: of the recogniser.
    """
    first = judge(1.0)
    familiar = first.ood_score <= ood_threshold - FAMILIAR
    plain = first.reason is None and first.confidence >= PLAIN and familiar
    if plain or first.reason in ("blank", "several"):
        return first
    looks = sorted((first, *map(judge, LOOKS)), key=lambda one: (not one.is_digit, one.ood_score))
    last = looks[_ENOUGH - 1]
    voters = [one for one in looks if one.digit is not None and (one.is_digit or not last.is_digit)]
    weight = (1.0 if one.is_digit else _REFUSED for one in voters)
    digit, _ = _most(
        (one.digit, each * one.confidence) for one, each in zip(voters, weight, strict=True)
    )
    surest = next(one for one in voters if one.digit == digit)
    refused: Reason = "several" if last.reason == "several" else "not_a_digit"
    return replace(
        surest,
        is_digit=last.is_digit,
        ood_score=last.ood_score,
        reason=surest.reason if last.is_digit else refused,
    )


def _most(given: Iterable[tuple[_Key, float]]) -> tuple[_Key, float]:
    """Return what is given most, the first of equals, and how much."""
    totals: defaultdict[_Key, float] = defaultdict(float)
    for key, amount in given:
        totals[key] += amount
    return max(totals.items(), key=lambda each: each[1])


def _texts(reading: Reading) -> tuple[str, ...]:
    """Return the text of each line, also of a reading that is refused."""
    return tuple(line.text for line in reading.lines)


def _believed(reading: Reading, confidence: float) -> Reading:
    """Return a reading with another confidence."""
    lines, reason = reading.lines, reading.reason
    if len(lines) == 1:
        lines = (replace(lines[0], confidence=confidence),)
    if reason in (None, "uncertain"):
        reason = None if confidence >= LIKELY else "uncertain"
    return replace(reading, lines=lines, confidence=confidence, reason=reason)
