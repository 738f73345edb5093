"""What finding ink returns, and what its steps hand on.

Guarantees:

- An ``Ink`` has at least one pixel, values in [0, 1], and a box exactly when it holds ink.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.ink.components import Group

# The longest side of an ink, in pixels: many times what the network looks at; more only costs.
MAX_SIDE = 160


@dataclass(frozen=True)
class Box:
    """An upright rectangle in a picture, in whole pixels.

    Args:
        left: the first column, from 0.
        top: the first row, from 0.
        width: how many columns, at least 1.
        height: how many rows, at least 1.
    """

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Ink:
    """The strokes of one digit.

    Args:
        pixels: float32 (h, w) in [0, 1], 0 is paper and 1 full ink, soft at the edges where the
            picture is; cut out around the digit with a margin of zeros, longest side at most
            ``MAX_SIDE``; a single zero when there is no ink.
        box: where in the picture the digit is; None when there is no ink, or no picture.
    """

    pixels: NDArray[np.float32]
    box: Box | None


@dataclass(frozen=True, eq=False)
class Find:
    """One digit in a picture that may have been reduced.

    Args:
        lack: uint8 (h, w), how far each pixel is from paper.
        member: uint8 (h, w), 255 on the digit and 0 elsewhere.
        group: the digit's parts.
        core: the lack of full ink.
    """

    lack: NDArray[np.uint8]
    member: NDArray[np.uint8]
    group: Group
    core: int


def blank() -> Ink:
    """Return the ink of a picture that holds none."""
    return Ink(np.zeros((1, 1), np.float32), None)
