"""Several looks at one picture, and what they agree on.

Guarantees:

- A text that the first look is sure of is read once; so is a page of many lines, and a blank one.
- Else the text counts to which all looks together give most; its confidence is what they give it,
  so a text that one look alone sees is doubtful.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from digitnet.reading.line_texts import LIKELY
from digitnet.reading.prediction import Reading

# A text less likely right than this is read again on pages so many times as large.
DOUBTED, ZOOMS = 0.7, (0.8, 1.25)
# Pages of more lines are seldom all right, and take long.
MOST_LINES = 3
# What the confidences of all looks are divided by: fewer than there are looks, because those who
# agree confirm each other. Chosen on simulated pages, cells and amounts.
_ALL = 2.5


def agreed(first: Reading, look: Callable[[float], Reading]) -> Reading:
    """Return what is read in a picture, at the first look or at several.

    Args:
        first: reading of the usual page.
        look: returns that of a page so many times as large.
    """
    if first.confidence >= DOUBTED or not 1 <= len(first.lines) <= MOST_LINES:
        return first
    readings = [first, *(look(zoom) for zoom in ZOOMS)]
    given: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for reading in readings:
        given[_texts(reading)] += reading.confidence
    text = max(given, key=given.__getitem__)
    if not given[text]:
        return first
    surest = max((one for one in readings if _texts(one) == text), key=lambda one: one.confidence)
    return _believed(surest, min(1.0, given[text] / _ALL))


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
