"""Pictures that are ink already: drawn on a screen, scanned flat, an image of a data set.

Guarantees:

- The grey values of a picture whose ground is one value are its ink: nothing is thresholded away,
  and strokes may be as bold as they like and touch the frame.
- A straight border around the picture, or around the field to draw in, is not ink.
- A photograph is recognised by its ground, and a scan with a shadow on it by grey far from any
  stroke; neither is taken for such a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from digitnet.reading.ink.components import Candidate, Labels, Part, connected, groups, marked
from digitnet.reading.ink.light import Grey, above, histogram, minus, shrink

# A picture up to this many pixels a side may be all digit; a larger one is mostly ground, and its
# grey must be at the edges of strokes only.
_SMALL = 64
# The ground of a drawn picture is at least this fraction of its pixels, and exactly one value.
_GROUND_SMALL, _GROUND = 0.15, 0.5
# Less contrast than this, of 255, is a blank picture's own noise.
_LEAST_CONTRAST = 5
# What may lie on the other side of the ground, as a fraction of the contrast: ringing of a JPEG.
_OTHER_SIDE = 0.25
# From this fraction of the contrast a pixel is ink when connected parts are looked for.
_INK = 0.2
# Grey between these fractions of the contrast, away from strokes, is a shadow when there is more of
# it than this fraction of the strokes; so is what holds a square of this fraction of the frame.
_GREY, _SHADOW, _SOLID = (0.15, 0.5), 0.1, 0.45
# A line around this fraction of the picture, both ways, and never farther in than this fraction of
# its box, is a border: a round stroke comes farther in.
_FIELD, _BORDER = 0.75, 0.12
# Its sides are complete to this fraction, and what it surrounds is this long, as a fraction of the
# picture.
_WHOLE, _SOMETHING = 0.9, 0.1
# The size at which shadows are looked for, in pixels.
_GLANCE = 160


@dataclass(frozen=True)
class Ground:
    """What the strokes of a drawn picture are drawn on.

    Args:
        value: its grey value.
        dark: whether the strokes are darker.
        contrast: the difference between the strongest of them and it.
    """

    value: int
    dark: bool
    contrast: int

    def ink(self, picture: Grey) -> Grey:
        """Return how far each pixel is from the ground, uint8 (H, W)."""
        return minus(self.value, picture) if self.dark else minus(picture, self.value)


def find_ground(picture: Grey) -> Ground | None:
    """Return the ground of a drawn picture, uint8 (H, W), or None for a photograph."""
    small = max(picture.shape) <= _SMALL
    value = _commonest(_frame(picture)) if small else _majority(picture)
    if _count(picture, value) < (_GROUND_SMALL if small else _GROUND) * picture.size:
        return None
    darkest, lightest, _, _ = cv2.minMaxLoc(picture)
    below, above = value - int(darkest), int(lightest) - value
    contrast = max(below, above)
    if contrast >= _LEAST_CONTRAST and min(below, above) > _OTHER_SIDE * contrast:
        return None
    ground = Ground(value, below > above, contrast)
    return ground if small or _has_strokes_only(ground.ink(picture), contrast) else None


def _frame(picture: Grey) -> Grey:
    """Return the pixels on the four sides: mostly ground, even if bold strokes fill the picture."""
    return np.concatenate((picture[0], picture[-1], picture[:, 0], picture[:, -1]))[None]


def _majority(picture: Grey) -> int:
    """Return the value that more than half of the pixels have; if there is none, the commonest."""
    # A histogram of pixels that are all alike is slow, and a sample shows which value to count.
    value = _commonest(np.ascontiguousarray(picture[::4, ::4]))
    return value if 2 * _count(picture, value) > picture.size else _commonest(picture)


def _commonest(picture: Grey) -> int:
    return int(histogram(picture).argmax())


def _count(picture: Grey, value: int) -> int:
    return cv2.countNonZero(cv2.inRange(picture, value, value))


def _has_strokes_only(ink: Grey, contrast: int) -> bool:
    """Return whether what is not ground is strokes with soft edges, rather than shade."""
    ink = shrink(ink, -(-max(ink.shape) // _GLANCE))
    strong = above(ink, _GREY[1] * contrast)
    near = cv2.dilate(strong, np.ones((7, 7), np.uint8))
    grey = above(ink, _GREY[0] * contrast)
    shade = cv2.countNonZero(cv2.subtract(grey, near))
    if shade > _SHADOW * cv2.countNonZero(strong):
        return False
    side = round(_SOLID * max(ink.shape))
    if cv2.countNonZero(strong) < side * side:
        return True
    return not cv2.erode(strong, np.ones((side, side), np.uint8)).any()


def search(picture: Grey, ground: Ground) -> Candidate | None:
    """Return the digit in a drawn picture, uint8 (h, w), or None when there is only ground."""
    if ground.contrast < _LEAST_CONTRAST:
        return None
    ink = ground.ink(picture)
    labels, parts = connected(above(ink, max(1.0, _INK * ground.contrast)))
    if not parts:
        return None
    parts = _without_border(parts, labels)
    # Nobody draws a neighbour's edge into a picture: what touches the frame is the digit.
    best = groups(parts, picture.shape, drawn=True)[0]
    return Candidate(ink, marked(labels, best), best, ground.contrast)


def _without_border(parts: list[Part], labels: Labels) -> list[Part]:
    """Return ``parts`` without a border, if there is something in it; alone it may be a 0."""
    least = _SOMETHING * max(labels.shape)
    rest = [part for part in parts if not _is_border(part, labels)]
    return rest if any(max(part.width, part.height) >= least for part in rest) else parts


def _is_border(part: Part, labels: Labels) -> bool:
    """Return whether a part is a line around the picture, or around the field to draw in."""
    height, width = labels.shape
    if part.width < _FIELD * width or part.height < _FIELD * height:
        return False
    left, top = round(_BORDER * part.width), round(_BORDER * part.height)
    own = labels[part.top : part.bottom, part.left : part.right] == part.label
    if own[top : part.height - top, left : part.width - left].any():
        return False
    bands = (own[:top].any(0), own[-top:].any(0), own[:, :left].any(1), own[:, -left:].any(1))
    return all(bool(band.mean() > _WHOLE) for band in bands)
