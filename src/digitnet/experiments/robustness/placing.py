"""MNIST images as people meet digits: files of another size, polarity and place.

Guarantees:

- Every picture is a whole PNG file, 8 bits grey.
- It depends on the image, the placing, the seed and the index, and on nothing else.
- Enlarging is bicubic, as picture programs do it, except where a placing says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
Placing: TypeAlias = Callable[[Pixels, np.random.Generator], Pixels]

PAPER = 255
# Of the page that a digit lies anywhere on, and of the digit's 28-pixel frame there; pixels.
PAGE_SIDE = 280
SMALLEST, LARGEST = 30, 200


def png_of(image: Pixels, placing: str, seed: int, index: int) -> bytes:
    """Return a PNG file of one image.

    Args:
        image: uint8 (28, 28), light strokes on dark.
        placing: a name in ``PLACINGS``.
        seed: 0 or more.
        index: 0 or more, the number of the picture.
    """
    return as_png(PLACINGS[placing](image, np.random.default_rng((seed, index))))


def as_png(pixels: Pixels) -> bytes:
    """Return grey pixels, uint8 (H, W), as a PNG file."""
    # Compressing well takes most of the time and changes no pixel.
    written, content = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert written, "OpenCV writes every 8-bit grey picture as PNG"
    return content.tobytes()


def _as_stored(image: Pixels, _rng: np.random.Generator) -> Pixels:
    return image


def _inverted(image: Pixels, _rng: np.random.Generator) -> Pixels:
    return PAPER - image


def _on_sheet(image: Pixels, _rng: np.random.Generator) -> Pixels:
    """Dark ink in the middle of a sheet, three times as large, with room around."""
    return _on_paper(_enlarged(image, 84), (140, 140), (28, 28))


def _ten_times(image: Pixels, _rng: np.random.Generator) -> Pixels:
    return _enlarged(image, 280)


def _in_corner(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Dark ink of twice the size in a corner of a page of 400 × 300 pixels."""
    height, width, side = 300, 400, 56
    top = int(rng.choice([0, height - side]))
    left = int(rng.choice([0, width - side]))
    return _on_paper(_enlarged(image, side), (height, width), (top, left))


def _anywhere(image: Pixels, rng: np.random.Generator) -> Pixels:
    side = int(rng.integers(SMALLEST, LARGEST + 1))
    top, left = rng.integers(0, PAGE_SIDE - side + 1, 2).tolist()
    return _on_paper(_enlarged(image, side), (PAGE_SIDE, PAGE_SIDE), (top, left))


PLACINGS: dict[str, Placing] = {
    "white_on_black": _as_stored,
    "black_on_white": _inverted,
    "on_a_sheet": _on_sheet,
    "ten_times": _ten_times,
    "in_a_corner": _in_corner,
    "any_size_and_place": _anywhere,
}


def _enlarged(image: Pixels, side: int) -> Pixels:
    enlarged = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    return enlarged.astype(np.uint8, copy=False)


def _on_paper(ink: Pixels, page: tuple[int, int], corner: tuple[int, int]) -> Pixels:
    """Return a white page (height, width) with dark ink; ``corner`` is its top and left."""
    paper = np.full(page, PAPER, np.uint8)
    (top, left), (height, width) = corner, ink.shape
    paper[top : top + height, left : left + width] -= ink
    return paper
