"""Photographs of handwriting: where on the page the digit is.

Guarantees:

- The result does not depend on the strength of the light, slow changes of it, or shadows' edges.
- Noise and texture of the paper are not ink, unless nothing stands out from them.
- Lines of ruled and squared paper are not ink, even if they are as dark as the pen; what is broader
  than them stays, on a line too, and gaps that a removed line leaves in strokes are closed.

What is narrower than a window and darker than its surroundings may be ink. Windows of growing size
are tried: a shadow, a table's edge or a dark corner is wider than any stroke, so a small window
does not see it, and a large one is believed only where it finds more of the same ink.
"""

from __future__ import annotations

import cv2
import numpy as np

from digitnet.reading.ink.components import (
    Candidate,
    Labels,
    Mask,
    Part,
    connected,
    groups,
    marked,
    without_edges,
)
from digitnet.reading.ink.light import (
    Grey,
    above,
    darkness_of,
    histogram,
    minus,
    odd,
    quantiles,
    shrink,
)

# The windows, as fractions of the frame's longer side, and the smallest in pixels.
_WINDOWS, _SMALLEST_WINDOW = (0.07, 0.2, 0.45), 7
# Large windows do without a fine picture: this many pixels a side are enough.
_COARSE = 200
# Ink is at least this many standard deviations of the paper's noise darker than the paper, and at
# least so dark, of 255.
_NOISE, _FAINTEST = 4.0, 5
# Where little but ink is in the picture, what is connected to ink needs only this fraction of its
# threshold: the hairlines of a quill are far fainter than its broad strokes.
_HAIRLINE = 0.6
# The darkness of full ink is the value that this fraction of the ink stays below.
_CORE = 0.7
# A larger window is believed when it adds this fraction to the ink, at least this fraction as dark;
# where that reaches the frame, as shade does, it must be much more, and equally dark.
_MORE, _AS_DARK = 0.05, 0.85
_MORE_AT_FRAME, _DARK_AT_FRAME = 4, (0.95, 1.3)
# A stroke may end at the frame, in a run of pixels this long, as a fraction of the longer side.
_STROKE_END = 0.1
# A digit that shares less than this with what a smaller window found must be this much larger.
_SHARED, _LARGER = 0.5, 6
# Ink this near to shade, in coarse pixels, may be in it, and is this much darker there.
_NEAR, _DARKER_UNDER_SHADE = 9, 1.2
# What runs along the frame is removed at most this many times: each may hide a fainter one.
_PEELS = 3

# A part runs across the frame when it is this long, as a fraction of it.
_ACROSS = 0.9
# A line is straight for this fraction of the frame, and leans by at most so many pixels meanwhile.
_STRAIGHT, _LEAN = 0.12, 2
# The broadest lines, in pixels of the reduced picture.
_BROADEST = 5


def search(work: Grey, *, crop: bool = False) -> Candidate | None:
    """Return the digit in ``work``, uint8 (h, w) with dark strokes, or None for bare paper.

    A ``crop`` was cut out of a row of writing, so that there is little but ink in it.
    """
    size = max(work.shape)
    best = _search(work, max(_SMALLEST_WINDOW, odd(_WINDOWS[0] * size)), crop)
    factor = -(-size // _COARSE)
    coarse = shrink(work, factor)
    for part in _WINDOWS[1:]:
        found = _search(coarse, max(_SMALLEST_WINDOW, odd(part * max(coarse.shape))), crop)
        if found and (best is None or _adds_ink(found, best)):
            best = found
    return best


def _search(work: Grey, window: int, crop: bool) -> Candidate | None:
    """Return the best digit among what is narrower than ``window`` pixels."""
    darkness, noise = darkness_of(work, window)
    labels, parts = _ink_parts(darkness, noise, crop)
    if not parts:
        return None
    best = groups(parts, darkness.shape)[0]
    member = marked(labels, best)
    (core,) = quantiles(histogram(darkness, member), (_CORE,))
    return Candidate(darkness, member, best, core)


def _ink_parts(darkness: Grey, noise: float, crop: bool) -> tuple[Labels, list[Part]]:
    """Return the dark parts, without the paper's lines and what frames the page."""
    for _ in range(_PEELS):
        mask = _ink_mask(darkness, noise, crop)
        labels, parts = connected(mask)
        cleared = _without_rules(mask, parts)
        if cleared is not mask:
            labels, parts = connected(cleared)
        kept = without_edges(parts, labels)
        if len(kept) == len(parts):
            return labels, parts
        # The frame is often darker than any pen, and would set the threshold: again without it.
        gone = np.isin(labels, [part.label for part in parts if part not in kept])
        wide = cv2.dilate(gone.astype(np.uint8), np.ones((3, 3), np.uint8))
        darkness = np.where(wide > 0, np.uint8(0), darkness)
    return labels, kept


def _ink_mask(darkness: Grey, noise: float, crop: bool) -> Mask:
    """Return 255 where there is ink and 0 elsewhere."""
    least = max(_FAINTEST, round(_NOISE * noise))
    counts = histogram(darkness)
    counts[: least + 1] = 0
    threshold = max(_otsu(counts), least)
    ink = above(darkness, threshold)
    if not crop:
        return ink
    faint = above(darkness, max(_HAIRLINE * threshold, least))
    _, labels = cv2.connectedComponents(faint)
    # All ink is in the faint ink, so the ground's label is not among its labels.
    return np.asarray(np.isin(labels, labels[ink > 0]) * np.uint8(255), np.uint8)


def _otsu(counts: np.ndarray[tuple[int], np.dtype[np.float32]]) -> int:
    """Return the value that splits a histogram best (Otsu 1979); OpenCV's takes only pictures."""
    below = np.cumsum(counts, dtype=np.float64)
    sums = np.cumsum(counts * np.arange(256), dtype=np.float64)
    above = below[-1] - below
    difference = sums * above - (sums[-1] - sums) * below
    spread = np.square(difference) / np.maximum(below * above, 1e-9)
    return int(spread.argmax())


def _adds_ink(large: Candidate, small: Candidate) -> bool:
    """Return whether a larger window found more of the same ink, rather than shade."""
    factor = max(small.member.shape) // max(large.member.shape)
    reduced = shrink(small.member, factor)
    around = np.asarray(cv2.dilate(reduced, np.ones((5, 5), np.uint8)), np.uint8)
    more, member = minus(large.member, around), above(reduced, 127)
    known = cv2.countNonZero(member)
    if cv2.countNonZero(more) < _MORE * known:
        return False
    shared = cv2.countNonZero(cv2.bitwise_and(large.member, member))
    (level,) = quantiles(histogram(large.darkness, more), (0.5,))
    if _lies_over(more, member, large.darkness, level):
        return False
    ratio = level / max(small.core, 1)
    if _run_on_frame(large) > _STROKE_END * max(large.member.shape):
        darker = _DARK_AT_FRAME[0] <= ratio <= _DARK_AT_FRAME[1]
        return darker and shared >= _SHARED * known and large.group.area >= _MORE_AT_FRAME * known
    if shared < _SHARED * known and large.group.area < _LARGER * known:
        return False
    return ratio >= _AS_DARK


def _lies_over(more: Mask, member: Mask, darkness: Grey, level: int) -> bool:
    """Return whether what a larger window adds, of darkness ``level``, is shade over the ink.

    Ink in the shadow of a finger is darker than the shadow; ink that continues is as dark as where
    it comes from.
    """
    near = cv2.dilate(more, np.ones((_NEAR, _NEAR), np.uint8))
    covered = np.asarray(cv2.bitwise_and(near, member), np.uint8)
    if not cv2.countNonZero(covered):
        return False
    (under,) = quantiles(histogram(darkness, covered), (0.5,))
    return under > _DARKER_UNDER_SHADE * level


def _run_on_frame(candidate: Candidate) -> int:
    """Return how many pixels of a digit are on the picture's frame."""
    if not candidate.group.sides:
        return 0
    member = candidate.member
    sides = (member[0], member[-1], member[1:-1, 0], member[1:-1, -1])
    return sum(int(np.count_nonzero(side)) for side in sides)


# ---- the lines of ruled and squared paper


def _without_rules(mask: Mask, parts: list[Part]) -> Mask:
    """Return ``mask`` (0 or 255) without the lines of the paper, or as it is if there are none.

    Args:
        mask: uint8 (H, W).
        parts: its connected parts.
    """
    height, width = mask.shape
    across = any(part.width >= _ACROSS * width for part in parts if part.sides > 1)
    down = any(part.height >= _ACROSS * height for part in parts if part.sides > 1)
    if not (across or down):
        return mask
    lines = np.zeros_like(mask)
    if across:
        lines |= _straight_runs(mask, down=False)
    if down:
        lines |= _straight_runs(mask, down=True)
    if not cv2.countNonZero(lines):
        return mask
    breadth = _breadth(lines)
    if breadth > _BROADEST:
        return mask
    return _repaired(mask, lines, breadth)


def _straight_runs(mask: Mask, *, down: bool) -> Mask:
    """Return what is on long straight runs across (or down) the frame."""
    length = max(15, round(_STRAIGHT * max(mask.shape)))
    run, lean = (length, 1), (1, 2 * _LEAN + 1)
    if not down:
        run, lean = run[::-1], lean[::-1]
    leaning = cv2.dilate(mask, np.ones(lean, np.uint8))
    runs = cv2.morphologyEx(leaning, cv2.MORPH_OPEN, np.ones(run, np.uint8))
    return np.asarray(cv2.bitwise_and(runs, mask), np.uint8)


def _breadth(lines: Mask) -> int:
    """Return the width of most of the lines, in pixels."""
    inside = cv2.distanceTransform(lines, cv2.DIST_C, 3)
    ridge = (inside > 0) & (inside >= cv2.dilate(inside, np.ones((3, 3), np.uint8)))
    return int(2 * np.median(inside[ridge]))


def _repaired(mask: Mask, lines: Mask, breadth: int) -> Mask:
    """Remove the lines, but leave what is broader, and close the gaps in what crosses them."""
    size = breadth + 2
    broad = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
    kept = cv2.bitwise_or(cv2.subtract(mask, lines), broad)
    closed = cv2.morphologyEx(kept, cv2.MORPH_CLOSE, np.ones((size, size), np.uint8))
    return np.asarray(cv2.bitwise_and(closed, mask), np.uint8)
