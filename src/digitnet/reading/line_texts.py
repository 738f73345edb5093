"""What a line may say: the likeliest texts by the columns of the line reader, and by its signs.

Guarantees:

- ``likeliest_texts`` finds texts by prefix beam search (Hannun et al., "First-pass large vocabulary
  continuous speech recognition using bi-directional recurrent DNNs", 2014); the probability of a
  text is the sum over all ways to write it in the columns (Graves et al., ICML 2006).
- ``SignChances`` says how likely a text is by the signs that were found, each of which may be left
  out, and between which digits may have been missed.
- A text is digits and ``?``. All numbers are natural logarithms.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# A sign is there, or a digit, where that is likelier than not.
LIKELY = 0.5
SIGNS = "0123456789?"
BLANK = 11
# Texts that are followed at a time; and what is less likely is no next sign.
BEAMS, _LEAST = 8, -6.0
# Columns in which surely nothing begins need no search.
_EMPTY = -1e-4
# Gaps between signs that are surely none of touching ones, and of those; in their height.
_APART, _TOUCHING = 0.12, -0.04
# No sign is surer than this, found or not.
_SUREST = -7.0
# Ways that differ by less are as likely: no processor's rounding chooses between them.
_EQUAL = 1e-9

_Floats = NDArray[np.float64]


def likeliest_texts(columns: _Floats, beams: int = BEAMS) -> dict[str, float]:
    """Return the likeliest texts, likeliest first, and their logarithms.

    Args:
        columns: (T, 12), logarithms of the probabilities of each column.
        beams: how many texts are followed.
    """
    # Of each text so far: ending with a blank column, and with its last sign.
    kept: dict[str, tuple[float, float]] = {"": (0.0, -math.inf)}
    certain = columns[:, BLANK] > _EMPTY
    for empty, column in zip(certain.tolist(), columns.tolist(), strict=True):
        if empty:
            kept = {text: (_sum(*ways) + column[BLANK], -math.inf) for text, ways in kept.items()}
            continue
        likely = [k for k in range(len(SIGNS)) if column[k] > _LEAST]
        grown: dict[str, tuple[float, float]] = {}
        for text, (after_blank, after_sign) in kept.items():
            total = _sum(after_blank, after_sign)
            last = SIGNS.find(text[-1]) if text else -1
            blank, sign = grown.get(text, (-math.inf, -math.inf))
            stays = after_sign + column[last] if text else -math.inf
            grown[text] = _sum(blank, total + column[BLANK]), _sum(sign, stays)
            for k in likely:
                longer = text + SIGNS[k]
                blank, sign = grown.get(longer, (-math.inf, -math.inf))
                before = after_blank if k == last else total
                grown[longer] = blank, _sum(sign, before + column[k])
        best = sorted(grown.items(), key=lambda each: -_sum(*each[1]))[:beams]
        kept = dict(best)
    found = {text: _sum(*ways) for text, ways in kept.items()}
    return {text: score for text, score in found.items() if score > -math.inf}


def of_columns(columns: _Floats, text: str) -> float:
    """Return the logarithm of the probability of a text; minus infinity where it has no room."""
    states, skips = _states(text)
    chances = np.full(len(states), -np.inf)
    chances[:2] = columns[0, states[:2]]
    for column in columns[1:]:
        one, two = _shifted(chances, 1), _shifted(chances, 2) + skips
        chances = np.logaddexp(np.logaddexp(chances, one), two) + column[states]
    return float(np.logaddexp.reduce(chances[-2:]))


class FoundLine(NamedTuple):
    """The signs of a line from left to right, K of them, and what is likely of each."""

    signs: NDArray[np.intp]
    """(K,), their places among all signs of the picture."""
    boxes: NDArray[np.float32]
    """(K, 4), left, top, right and bottom in the picture."""
    presence: _Floats
    """(K,), how likely each is there."""
    likeness: _Floats
    """(K,), how likely it is a digit."""
    classes: _Floats
    """(K, 10), which."""

    @property
    def there(self) -> NDArray[np.bool_]:
        """Which are rather there than not, (K,)."""
        there: NDArray[np.bool_] = self.presence >= LIKELY
        return there

    @property
    def text(self) -> str:
        """What they are, each by itself."""
        picks = np.where(self.likeness >= LIKELY, self.classes.argmax(1), len(SIGNS) - 1)
        return "".join(SIGNS[pick] for pick in picks[self.there].tolist())

    @property
    def closeness(self) -> float:
        """How closely its signs stand, from 0, apart, to 1, touching: what cuts them may err."""
        boxes = self.boxes[self.there].astype(np.float64)
        if len(boxes) < 2:
            return 0.0
        boxes = boxes[np.argsort(boxes[:, 0] + boxes[:, 2], kind="stable")]
        height = max(float(np.median(boxes[:, 3] - boxes[:, 1])), 1e-6)
        gaps = (boxes[1:, 0] - boxes[:-1, 2]) / height
        return float(np.clip((_APART - gaps) / (_APART - _TOUCHING), 0, 1).mean())


class SignChances:
    """How likely texts are by the signs of a line.

    Args:
        line: the signs.
        missed: logarithm of how often a digit was not found.
    """

    def __init__(self, line: FoundLine, missed: float) -> None:
        floor = math.exp(_SUREST)
        there, digit = line.presence.clip(floor, 1 - floor), line.likeness.clip(floor, 1 - floor)
        taken = np.log(there * digit)[:, None] + np.log(line.classes.clip(floor))
        options = np.column_stack([taken, np.log(there * (1 - digit))])
        self._options: list[list[float]] = options.clip(_SUREST).tolist()
        self._left_out: list[float] = np.log(1 - there).tolist()
        self._missed = missed

    def of(self, text: str) -> float:
        """Return the logarithm of how likely a text is, at best."""
        return self._table(text)[-1][-1]

    def aligned(self, text: str) -> list[int | None]:
        """Return which sign each of a text's is, None for one that was missed."""
        table, found = self._table(text), list[int | None]()
        row, place = len(self._options), len(text)
        while place:
            here, missed = table[row][place], table[row][place - 1] + self._missed
            if here - missed < _EQUAL or not row:
                found.append(None)
                place -= 1
                continue
            row -= 1
            if here - table[row][place] - self._left_out[row] >= _EQUAL:
                found.append(row)
                place -= 1
        return found[::-1]

    def _table(self, text: str) -> list[list[float]]:
        """Return the best way for each number of signs to each number of the text's."""
        signs = [SIGNS.index(sign) for sign in text]
        table = [[self._missed * place for place in range(len(signs) + 1)]]
        for option, none in zip(self._options, self._left_out, strict=True):
            last = table[-1]
            row = [last[0] + none]
            for place, sign in enumerate(signs):
                taken = last[place] + option[sign]
                row.append(max(taken, last[place + 1] + none, row[place] + self._missed))
            table.append(row)
        return table


def places_of(columns: _Floats, text: str) -> list[float]:
    """Return where each sign of a text stands, in columns, in the likeliest way to write it.

    Args:
        columns: (T, 12).
        text: one that has room in them.
    """
    states, skips = _states(text)
    score = np.full(len(states), -np.inf)
    score[:2] = columns[0, states[:2]]
    steps = []
    for column in columns[1:]:
        options = np.stack([score, _shifted(score, 1), _shifted(score, 2) + skips])
        steps.append(options.argmax(0))
        score = options.max(0) + column[states]
    state = len(states) - 1
    if text and score[-2] > score[-1]:
        state -= 1
    path = [state]
    for step in reversed(steps):
        state -= int(step[state])
        path.append(state)
    found = np.array(path[::-1])
    return [float(np.flatnonzero(found == 2 * place + 1).mean()) for place in range(len(text))]


def _states(text: str) -> tuple[NDArray[np.intp], _Floats]:
    """Return a blank, then each sign and a blank; and 0 where a blank may be left out before."""
    states = np.full(2 * len(text) + 1, BLANK)
    states[1::2] = [SIGNS.index(sign) for sign in text]
    skips = np.full(len(states), -np.inf)
    # Between the same sign twice it must be there.
    skips[3::2] = np.where(states[3::2] == states[1:-2:2], -np.inf, 0.0)
    return states, skips


def _shifted(chances: _Floats, by: int) -> _Floats:
    """Return chances, (S,), moved on by so many states."""
    return np.concatenate([np.full(by, -np.inf), chances])[: len(chances)]


def _sum(one: float, other: float) -> float:
    """Return log(exp(one) + exp(other))."""
    if one < other:
        one, other = other, one
    return one if other == -math.inf else one + math.log1p(math.exp(other - one))
