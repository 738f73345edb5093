"""The sets of pictures that digitnet brings along or makes itself; none of them needs a network.

    mnist               MNIST's test images as PNG files of several sizes, polarities and positions
    corruptions         the fifteen kinds of MNIST-C, straight into the network
    corruptions_found   the same as pictures, in which the ink is found first
    other_hands         scikit-learn's digits, 8 × 8 pixels
    photographs         simulated photographs of MNIST's test digits on paper
    non_digits          drawings of what is not a digit

Guarantees:

- A set depends on the images and the seed only; its n-th picture is the same whenever it is asked
  for, and does not depend on how many there are.
- A set is named without making anything, so choosing among sets costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis.corruptions import CORRUPTIONS, corrupt
from digitnet.synthesis.nondigits import draw_non_digits
from digitnet.synthesis.photographs import CONDITIONS, can_show, simulate
from digitnet.synthesis.scenes import Camera, encode

Images: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]
# The content of a file, a file, or grey pixels, uint8 (H, W).
Picture: TypeAlias = bytes | Path | NDArray[np.uint8]
# Names, and which pictures of a set, bool (N,), belong to each.
Parts: TypeAlias = tuple[tuple[str, NDArray[np.bool_]], ...]

MNIST, OTHER_HANDS, OWN, PHOTOGRAPHS = "mnist", "other_hands", "own", "photographs"
CORRUPTED, CORRUPTED_FOUND = "corruptions", "corruptions_found"
NON_DIGITS = "non_digits"
GROUP_TITLES = {
    MNIST: "MNIST as pictures",
    OTHER_HANDS: "Other hands",
    OWN: "Your own sets",
    PHOTOGRAPHS: "Simulated photographs",
    CORRUPTED: "Corruptions, straight into the network",
    CORRUPTED_FOUND: "Corruptions, as pictures",
    NON_DIGITS: "Not digits (area under the ROC curve against MNIST)",
}
_SET_TITLES = {
    "white_on_black": "white on black, 28 × 28",
    "black_on_white": "black on white, 28 × 28",
    "on_a_sheet": "in the middle of a sheet",
    "ten_times": "ten times as large",
    "in_a_corner": "in a corner of a page",
    "any_size_and_place": "any size, any place",
    "digits8x8": "scikit-learn's 8 × 8",
    "drawn": "drawn by a program",
}

PHOTOGRAPHS_EACH = 500
NON_DIGITS_DRAWN = 1500
# Networks know the drawings that they are trained with by heart; these seeds are far from those.
_APART = 2**32
# Side of the page that a digit lies anywhere on, and the range of its 28-pixel frame there; pixels.
PAGE_SIDE = 280
SMALLEST, LARGEST = 30, 200


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures, and what they show.

    Args:
        count: how many pictures there are, N.
        picture: returns the picture of a number, always the same.
        labels: int64 (N,), 0–9; None when the pictures are not digits.
        parts: are measured alone as well.
        straight: whether the pictures are uint8 (28, 28) images that go straight into the network;
            otherwise the ink is found first.
    """

    count: int
    picture: Callable[[int], Picture]
    labels: Labels | None
    parts: Parts = ()
    straight: bool = False


class NamedSet(NamedTuple):
    """A set that is made when it is needed: its group, its name there, and how it is made."""

    group: str
    name: str
    make: Callable[[], PictureSet]


def set_title(group: str, name: str) -> str:
    """Return what a set is called where people read it; the user's sets are called as files are."""
    return _SET_TITLES.get(name, name if group in (OWN, NON_DIGITS) else name.replace("_", " "))


def parts_by(names: NDArray[np.str_]) -> Parts:
    """Return a part for each different name of ``names``, (N,), in alphabetical order."""
    return tuple((str(name), names == name) for name in np.unique(names))


def built_in_sets(images: Images, labels: Labels, seed: int) -> list[NamedSet]:
    """Return every built-in set, in the order in which they are shown.

    Args:
        images: uint8 (N, 28, 28), MNIST's test images or the first of them.
        labels: int64 (N,), 0–9.
        seed: 0 or more.
    """
    placed = partial(_placed, images, labels, seed)
    photographed = partial(_photographed, images, labels, seed)
    corrupted = partial(_corrupted, images, labels, seed)
    return [
        *(NamedSet(MNIST, name, partial(placed, name)) for name in PLACINGS),
        NamedSet(OTHER_HANDS, "digits8x8", _digits8x8),
        *(NamedSet(PHOTOGRAPHS, name, partial(photographed, name)) for name in CONDITIONS),
        *(
            NamedSet(group, kind, partial(corrupted, kind, group == CORRUPTED))
            for group in (CORRUPTED, CORRUPTED_FOUND)
            for kind in CORRUPTIONS
        ),
        NamedSet(NON_DIGITS, "drawn", partial(_drawn, images, seed)),
    ]


def _placed(images: Images, labels: Labels, seed: int, placing: str) -> PictureSet:
    return PictureSet(len(labels), lambda i: place(images[i], placing, seed, i), labels)


def _photographed(images: Images, labels: Labels, seed: int, condition: str) -> PictureSet:
    """Return photographs of the first digits that the condition can show."""
    able = (i for i in range(len(images)) if can_show(images[i], condition))
    shown = list(islice(able, PHOTOGRAPHS_EACH))

    def picture(number: int) -> bytes:
        return simulate(images[shown[number]], condition, seed, shown[number])

    return PictureSet(len(shown), picture, labels[shown])


def _corrupted(images: Images, labels: Labels, seed: int, kind: str, straight: bool) -> PictureSet:
    corrupted = corrupt(images, kind, seed)
    return PictureSet(len(labels), corrupted.__getitem__, labels, straight=straight)


def _digits8x8() -> PictureSet:
    """Return the UCI digits as scikit-learn has them: 1,797 of 8 × 8 pixels, ink 0 to 16."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return PictureSet(len(pictures), pictures.__getitem__, digits.target.astype(np.int64))


def _drawn(images: Images, seed: int) -> PictureSet:
    count = min(NON_DIGITS_DRAWN, len(images))
    drawings, kinds = draw_non_digits(count, seed + _APART, images)
    return PictureSet(count, drawings.__getitem__, None, parts_by(np.array(kinds)))


def place(image: Images, placing: str, seed: int, index: int) -> bytes:
    """Return ``image`` as people meet digits: a PNG file, 8 bits grey, of another size or place.

    The file depends on the arguments only. Enlarging is bicubic, as picture programs do it.

    Args:
        image: uint8 (28, 28), light strokes on dark.
        placing: a name in ``PLACINGS``.
        seed: 0 or more.
        index: 0 or more, the number of the picture.
    """
    pixels = PLACINGS[placing](image, np.random.default_rng((seed, index)))
    return encode(pixels, Camera())


def _in_corner(image: Images, rng: Generator) -> Images:
    """Dark ink of twice the size in a corner of a page of 400 × 300 pixels."""
    height, width, side = 300, 400, 56
    top, left = int(rng.choice([0, height - side])), int(rng.choice([0, width - side]))
    return _on_paper(_enlarged(image, side), (height, width), (top, left))


def _anywhere(image: Images, rng: Generator) -> Images:
    side = int(rng.integers(SMALLEST, LARGEST + 1))
    top, left = rng.integers(0, PAGE_SIDE - side + 1, 2).tolist()
    return _on_paper(_enlarged(image, side), (PAGE_SIDE, PAGE_SIDE), (top, left))


def _enlarged(image: Images, side: int) -> Images:
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def _on_paper(ink: Images, page: tuple[int, int], corner: tuple[int, int]) -> Images:
    """Return a white page (height, width) with dark ink; ``corner`` is its top and left."""
    paper = np.full(page, 255, np.uint8)
    (top, left), (height, width) = corner, ink.shape
    paper[top : top + height, left : left + width] -= ink
    return paper


# The first is MNIST as it is: what calibration, refusals and non-digits are compared with. The
# first five differ in nothing that should matter, so neither should their accuracies.
PLACINGS: dict[str, Callable[[Images, Generator], Images]] = {
    "white_on_black": lambda image, _: image,
    "black_on_white": lambda image, _: 255 - image,
    "on_a_sheet": lambda image, _: _on_paper(_enlarged(image, 84), (140, 140), (28, 28)),
    "ten_times": lambda image, _: _enlarged(image, 280),
    "in_a_corner": _in_corner,
    "any_size_and_place": _anywhere,
}
EQUALLY_EASY = tuple(PLACINGS)[:5]
