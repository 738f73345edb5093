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

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digitnet.reading.line_texts import LIKELY
from digitnet.reading.prediction import Reading

# A text less likely right than this is read again, on pages so many times as large and of pictures
# so many times as wide.
DOUBTED, LOOKS = 0.7, ((0.8, 1.0), (1.25, 1.0), (1.0, 0.85), (1.0, 1.18))
# Pages of more lines are seldom all right, and take long.
MOST_LINES = 3
# What the confidences of all looks are divided by: fewer than there are looks, because those who
# agree confirm each other. Chosen on simulated pages.
_ALL = 3.3


def agreed(first: Reading, look: Callable[[float, float], Reading]) -> Reading:
    """Return what is read in a picture, at the first look or at several.

    Args:
        first: reading of the usual page.
        look: returns that of a page so many times as large, of the picture so many times as wide.
    """
    if first.confidence >= DOUBTED or not 1 <= len(first.lines) <= MOST_LINES:
        return first
    readings = [first, *(look(zoom, stretch) for zoom, stretch in LOOKS)]
    given: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for reading in readings:
        given[_texts(reading)] += reading.confidence
    text = max(given, key=given.__getitem__)
    if not given[text]:
        return first
    surest = max((one for one in readings if _texts(one) == text), key=lambda one: one.confidence)
    return _believed(surest, min(1.0, given[text] / _ALL))


def stretched(pixels: NDArray[np.uint8], stretch: float) -> NDArray[np.uint8]:
    """Return a picture, uint8 (H, W), so many times as wide."""
    height, width = pixels.shape
    size = (max(1, round(width * stretch)), height)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


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
