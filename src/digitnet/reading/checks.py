"""What a number must be like, how many digits and which check digit, and the text that fits best.

Guarantees:

- Of all texts that leave signs out or read them as another digit, the likeliest that fits is found,
  among the eight likeliest ways to each remainder. A function of the caller's is asked about the
  1,000 likeliest.
- What is asked for is checked before any picture is read.

``luhn`` is the check digit of payment cards; ``mod97`` that of ISO 7064, MOD 97-10: the number
leaves 1 when divided by 97; ``ean13`` that of the thirteen digits below a bar code. Each is a sum
over the digits, by their places from the right, modulo 10 or 97. So the search goes from the last
sign to the first and remembers, for every number of digits and every remainder so far, the eight
likeliest ways to arrive there (Viterbi's algorithm).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import UsageError, unknown_name

# How many digits: a number, or the least and the most.
Digits: TypeAlias = int | tuple[int, int]
Check: TypeAlias = Literal["luhn", "mod97", "ean13"] | Callable[[str], bool]

LEFT_OUT = -1
MAX_DIGITS = 100
# Ways to each remainder that are remembered, and texts that a function is asked about.
_WAYS, _TEXTS = 8, 1000

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Rule:
    """A check: what the digits contribute, by place from the right, sums to a remainder."""

    share: Callable[[int, int], int]
    modulus: int
    remainder: int
    fewest: int = 2
    most: int = MAX_DIGITS


_RULES = {
    "luhn": _Rule(lambda place, digit: sum(divmod(digit << place % 2, 10)), 10, 0),
    "mod97": _Rule(lambda place, digit: digit * pow(10, place, 97), 97, 1, fewest=3),
    "ean13": _Rule(lambda place, digit: digit * (1 + place % 2 * 2), 10, 0, fewest=13, most=13),
}
_NO_RULE = _Rule(lambda _place, _digit: 0, 1, 0, fewest=1)


@dataclass(frozen=True)
class Wanted:
    """What a text must be like to be accepted."""

    fewest: int | None = None
    """Digits, at least; None where the text may be anything."""
    most: int = MAX_DIGITS
    """Digits, at most."""
    check: Check | None = None
    min_confidence: float = 0.0
    """How likely it must be right."""

    def __str__(self) -> str:
        length = f" of {self.fewest} digit{'s' if self.fewest != 1 else ''}"
        if self.fewest != self.most:
            length = f" of {self.fewest} to {self.most} digits"
        if self.fewest != self.most == MAX_DIGITS:
            length = f" of at least {self.fewest} digits" if (self.fewest or 0) > 1 else ""
        check = f" that passes {self.check!r}" if isinstance(self.check, str) else ""
        return f"number{length}{' that passes the check' if callable(self.check) else check}"


ANYTHING = Wanted()


@dataclass(frozen=True)
class Fit:
    """The likeliest text that fits."""

    picks: tuple[int, ...]
    """For each sign its digit, or ``LEFT_OUT``."""
    share: float
    """Its part of the probability of all texts that fit."""
    odds: float
    """How many times likelier it is than the next text that fits; infinite if there is none."""
    mass: float
    """The probability of all texts that fit."""


def wanted(
    digits: Digits | None = None, check: Check | None = None, min_confidence: float = 0.0
) -> Wanted:
    """Return what a text must be like.

    Raises:
        UsageError: one of them cannot be, or they exclude each other.
    """
    if not isinstance(min_confidence, (int, float, np.number)) or not 0 <= min_confidence <= 1:
        raise UsageError(
            f"The least confidence cannot be {min_confidence!r}; it is a probability, 0 to 1."
        )
    if digits is None and check is None:
        return Wanted(min_confidence=min_confidence)
    least, most = _range(digits)
    known = check is None or callable(check) or (isinstance(check, str) and check in _RULES)
    if not known:
        raise unknown_name("check", str(check), _RULES)
    rule = _rule(check)
    fewest, largest = max(least, rule.fewest), min(most, rule.most)
    if fewest > largest:
        needs = f"{rule.fewest}" if rule.fewest == rule.most else f"at least {rule.fewest}"
        raise UsageError(
            f"The check {check!r} needs {needs} digits, which a number of {_in_words(digits)} "
            "cannot have."
        )
    return Wanted(fewest, largest, check, min_confidence)


def likeliest(taken: _Floats, left: _Floats, goal: Wanted) -> Fit | None:
    """Return the likeliest text that fits, None if no text does.

    Args:
        taken: (K, classes), for each sign, in reading order, the logarithm of the probability that
            it is there and is this digit.
        left: (K,), of that it is none.
        goal: what the text must be like; not ``ANYTHING``.
    """
    if len(taken) < (goal.fewest or 1):
        return None
    ways = _Ways(taken, left, goal)
    ended = ways.ended()
    if callable(goal.check):
        ended = [(score, picks) for score, picks in ended if goal.check(_text(picks))]
    scores: dict[str, float] = {}
    for score, picks in ended:
        text = _text(picks)
        scores[text] = float(np.logaddexp(scores.get(text, -math.inf), score))
    if not scores:
        return None
    best, *others = sorted(scores.values(), reverse=True)[:2]
    total = float(np.logaddexp.reduce([*scores.values()])) if callable(goal.check) else ways.total
    text = max(scores, key=lambda each: scores[each])
    picks = next(picks for _, picks in ended if _text(picks) == text)
    odds = math.exp(min(best - others[0], 700)) if others else math.inf
    return Fit(picks, min(1.0, math.exp(best - total)), odds, math.exp(min(total, 0.0)))


def fits(text: str, goal: Wanted) -> bool:
    """Return whether a text, of digits alone, is what was asked for."""
    if goal.fewest is None:
        return True
    if not goal.fewest <= len(text) <= goal.most:
        return False
    if callable(goal.check):
        return bool(goal.check(text))
    rule = _rule(goal.check)
    shares = (rule.share(place, int(digit)) for place, digit in enumerate(reversed(text)))
    return sum(shares) % rule.modulus == rule.remainder


class _Ways:
    """The likeliest ways to each number of digits and each remainder, sign by sign."""

    def __init__(self, taken: _Floats, left: _Floats, goal: Wanted) -> None:
        self._rule, self._kept = _rule(goal.check), _TEXTS if callable(goal.check) else _WAYS
        self._counts = range(goal.fewest or 1, min(goal.most, len(taken)) + 1)
        shape = self._counts.stop, self._rule.modulus
        self._before = self._sources(taken.shape[1])
        self._scores = np.full((*shape, self._kept), -np.inf)
        self._scores[0, 0, 0] = 0
        self._sums = self._scores[..., 0].copy()
        self._choices: list[NDArray[np.uint16]] = []
        for chances, none in zip(taken[::-1], left[::-1], strict=True):
            self._add(chances, none)
        ends = self._sums[self._counts.start :, self._rule.remainder]
        self.total = float(np.logaddexp.reduce(ends))
        """Logarithm of the probability of all texts of this length and remainder."""

    def ended(self) -> list[tuple[float, tuple[int, ...]]]:
        """Return the likeliest ways that fit, with the logarithms of their probabilities."""
        last = self._scores[:, self._rule.remainder]
        ends = [(float(last[c, w]), c, w) for c in self._counts for w in range(self._kept)]
        ends = sorted((end for end in ends if end[0] > -math.inf), reverse=True)[: self._kept]
        return [(score, self._back(count, way)) for score, count, way in ends]

    def _sources(self, classes: int) -> NDArray[np.intp]:
        """Return the remainder before a digit, by digits after it, digit, and remainder with it."""
        modulus, share = self._rule.modulus, self._rule.share
        places = range(self._counts.stop - 1)
        shares = np.array([[share(p, d) for d in range(classes)] for p in places], np.intp)
        return (np.arange(modulus) - shares.reshape(-1, classes, 1)) % modulus

    def _add(self, chances: _Floats, none: float) -> None:
        """Go on by one sign: it is left out, or is one of the digits."""
        counts = np.arange(len(self._before))[:, None, None]
        options = np.full((*self._scores.shape[:2], len(chances) + 1, self._kept), -np.inf)
        options[:, :, 0] = self._scores + none
        # By count, remainder, digit and way; one digit fewer before.
        came = self._scores[counts, self._before].swapaxes(1, 2)
        options[1:, :, 1:] = came + chances[:, None]
        flat = options.reshape(*options.shape[:2], -1)
        chosen = np.argpartition(flat, -self._kept, axis=-1)[..., -self._kept :]
        # A copy, and a small one: the whole array would be kept for each sign.
        self._choices.append(chosen.astype(np.uint16))
        self._scores = np.take_along_axis(flat, chosen, axis=-1)
        sums = self._sums + none
        with_it = (self._sums[counts, self._before] + chances[:, None]).swapaxes(1, 2)
        sums[1:] = np.logaddexp(sums[1:], np.logaddexp.reduce(with_it, axis=2))
        self._sums = sums

    def _back(self, count: int, way: int) -> tuple[int, ...]:
        """Return the way that led to an end, from the first sign to the last."""
        picks, remainder = [], self._rule.remainder
        for chosen in reversed(self._choices):
            option, way = divmod(int(chosen[count, remainder, way]), self._kept)
            picks.append(option - 1)
            if option:
                count -= 1
                remainder = int(self._before[count, option - 1, remainder])
        return tuple(picks)


def _rule(check: Check | None) -> _Rule:
    return _RULES[check] if isinstance(check, str) else _NO_RULE


def _text(picks: tuple[int, ...]) -> str:
    return "".join(str(pick) for pick in picks if pick != LEFT_OUT)


def _range(digits: Any) -> tuple[int, int]:
    if digits is None:
        return 1, MAX_DIGITS
    ends = tuple(digits) if isinstance(digits, (tuple, list)) else (digits, digits)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in ends)
    if not (len(ends) == 2 and whole and 1 <= ends[0] <= ends[1] <= MAX_DIGITS):
        raise UsageError(
            f"The number of digits cannot be {_in_words(digits)}; it is a whole number from 1 to "
            f"{MAX_DIGITS}, or the least and the most of them."
        )
    return int(ends[0]), int(ends[1])


def _in_words(digits: Any) -> str:
    """Return a number of digits as both the command line and Python understand it."""
    if isinstance(digits, (tuple, list)) and len(digits) == 2:
        return f"{digits[0]} to {digits[1]}"
    return repr(digits)
