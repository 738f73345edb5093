"""From a grey picture to the ink of its one digit.

Guarantees:

- The digit may be anywhere in the picture, of any size from about 8 pixels, dark on light or light
  on dark; uneven light, shadows, ruled lines, specks and what frames the page are not in the ink.
- A picture that is ink already keeps its grey values: a data set's image, a drawing on a screen.
- Every uint8 picture gives an ``Ink``; one without contrast gives a blank one, whose box is None.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.reading.ink import drawn, photographed
from digitnet.reading.ink.cutting import cut_drawing, cut_photograph
from digitnet.reading.ink.light import Grey, ink_is_dark, negative, shrink
from digitnet.reading.ink.middle import only_middle
from digitnet.reading.prediction import Ink

# Ink is looked for in a picture reduced to at most this many pixels a side.
_WORK_SIDE = 400
# From this many pixels on the shorter side, strokes survive a little smoothing, and noise does not.
_SMOOTHED = 64


def find_ink(picture: NDArray[np.uint8], *, crop: bool = False) -> Ink:
    """Return the ink of the one digit that ``picture`` holds.

    Args:
        picture: uint8 (H, W), 0 black to 255 white, as the eye sees it; 1 × 1 or larger.
        crop: whether it was cut out of a row of writing with the digit in its middle: parts of
            neighbours and upright rules beside it are then dropped, and faint hairlines are kept.

    Returns:
        The ink, and its box in pixels of ``picture``; blank with no box when there is none.

    Raises:
        InputError: ``picture`` is not such an array.
    """
    if picture.ndim != 2 or picture.dtype != np.uint8 or not picture.size:
        raise InputError(
            f"The picture is an array of {picture.dtype} with shape {picture.shape}; it must hold "
            "uint8 grey values, (height, width), and at least one pixel."
        )
    found = _find(picture, crop=crop)
    return only_middle(found, *picture.shape) if crop else found


def _find(picture: Grey, *, crop: bool) -> Ink:
    work = shrink(picture, -(-max(picture.shape) // _WORK_SIDE))
    ground = drawn.find_ground(work)
    if ground is not None:
        found = drawn.search(work, ground)
        return cut_drawing(picture, found, ground) if found else Ink.blank()
    dark = ink_is_dark(work)
    found = photographed.search(_prepared(work, dark=dark), crop=crop)
    return cut_photograph(picture, found, dark=dark) if found else Ink.blank()


def _prepared(work: Grey, *, dark: bool) -> Grey:
    """Return ``work`` with dark strokes, and its noise smoothed."""
    if not dark:
        work = negative(work)
    if min(work.shape) <= _SMOOTHED:
        return work
    return np.asarray(cv2.GaussianBlur(work, (3, 3), 0), np.uint8)
