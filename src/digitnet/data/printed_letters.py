"""Printed letters and symbols, drawn from many typefaces, for training to refuse.

Guarantees:

- The file is part of the package and compared with its SHA-256.
- No letter is one that a typeface prints like a digit: O, S, Z, b, g, l, o, q, s and z are left
  out, and so is an I without serifs.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digitnet.data.pins import packaged_arrays

LETTERS_FILE = "printed_letters.npz"
LETTERS_SHA256 = "70ad94d9373b574613b4fe801e551429491ef834d75ed7a609bada870cace53f"

SIDE = 104


class PrintedLetters(NamedTuple):
    """Letters in print, which nobody can write to.

    Args:
        images: uint8 (N, 104, 104), 0 or 255, bright on 0, in the middle; the longer side of each
            is that of the image, or a pixel or two less.
        letter: text (N,), one character.
        face: text (N,), the typeface and its cut.
    """

    images: NDArray[np.uint8]
    letter: NDArray[np.str_]
    face: NDArray[np.str_]


@functools.cache
def load_printed_letters() -> PrintedLetters:
    """Return the letters that are part of the package, always the same object.

    Raises:
        IntegrityError: the file is not the one that was shipped.
    """
    stored = packaged_arrays(LETTERS_FILE, LETTERS_SHA256)
    images = np.unpackbits(stored["bits"], axis=-1) * np.uint8(255)
    letters = PrintedLetters(images, stored["letter"], stored["face"])
    for array in letters:
        array.flags.writeable = False
    return letters
