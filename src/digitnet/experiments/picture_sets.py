"""The sets of pictures that digitnet brings along or makes itself; none of them needs a network.

    mnist               MNIST's test images as PNG files of several sizes, polarities and positions
    corruptions         the fifteen kinds of MNIST-C, straight into the network
    corruptions_found   the same as pictures, in which the ink is found first
    other_hands         scikit-learn's digits, 8 × 8 pixels
    photographs         simulated photographs of MNIST's test digits on paper
    hands               digits by UNIPEN's validation writers, drawn with any pen
    numbers             numbers of 3 to 10 digits by the same, on simulated pages
    non_digits          drawings of what is not a digit; letters by the same writers

Guarantees:

- A set depends on the images and the seed only; its n-th picture is the same whenever it is asked
  for, and does not depend on how many there are.
- Who wrote those of UNIPEN's signs wrote nothing that digitnet trains on.
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

from digitnet.data.pen_signs import DIGIT_LIKE, Hands, load_hands, split_writers
from digitnet.synthesis.corruptions import CORRUPTIONS, corrupt
from digitnet.synthesis.hands import draw
from digitnet.synthesis.nondigits import draw_non_digits
from digitnet.synthesis.page_scenes import PageMaker
from digitnet.synthesis.photographs import CONDITIONS, can_show, simulate
from digitnet.synthesis.scene_choices import log_uniform
from digitnet.synthesis.scenes import Camera, encode

Images: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]
# The content of a file, a file, or grey pixels, uint8 (H, W).
Picture: TypeAlias = bytes | Path | NDArray[np.uint8]
# Names, and which pictures of a set, bool (N,), belong to each.
Parts: TypeAlias = tuple[tuple[str, NDArray[np.bool_]], ...]

MNIST, OTHER_HANDS, OWN, PHOTOGRAPHS = "mnist", "other_hands", "own", "photographs"
CORRUPTED, CORRUPTED_FOUND = "corruptions", "corruptions_found"
HANDS, NUMBERS, NON_DIGITS = "hands", "numbers", "non_digits"
GROUP_TITLES = {
    MNIST: "MNIST as pictures",
    OTHER_HANDS: "Other hands",
    OWN: "Your own sets",
    PHOTOGRAPHS: "Simulated photographs",
    CORRUPTED: "Corruptions, straight into the network",
    CORRUPTED_FOUND: "Corruptions, as pictures",
    HANDS: "Hands that set the threshold and train nothing (UNIPEN)",
    NUMBERS: "Numbers, exactly right",
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
    "any_pen": "digits, any pen",
    "separate": "by UNIPEN's hands",
    "touching": "the same, touching",
    "drawn": "drawn by a program",
    "letters": "UNIPEN's letters",
}

PHOTOGRAPHS_EACH = 500
NON_DIGITS_DRAWN = 1500
NUMBERS_EACH = 1000
# Of one writer, so that two who wrote half of all do not decide.
SIGNS_OF_A_WRITER = 60
# Widths of pens, as fractions of a sign's longer side, and that side in pixels.
PENS, SIDES = (0.015, 0.12), (60, 160)
_PEN_CLASSES = {"pens below 3 %": 0.03, "pens of 3 to 6 %": 0.06, "pens above 6 %": 1.0}
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
        labels: int64 (N,), 0–9; None when the pictures are not single digits.
        parts: are measured alone as well.
        straight: whether the pictures are uint8 (28, 28) images that go straight into the network;
            otherwise the ink is found first.
        texts: what is written in pictures of numbers, rows separated by a newline; None when they
            are single digits or none.
    """

    count: int
    picture: Callable[[int], Picture]
    labels: Labels | None
    parts: Parts = ()
    straight: bool = False
    texts: tuple[str, ...] | None = None


class NamedSet(NamedTuple):
    """A set that is made when it is needed: its group, its name there, and how it is made."""

    group: str
    name: str
    make: Callable[[], PictureSet]


def set_title(group: str, name: str) -> str:
    """Return what a set is called where people read it; the user's sets are called as files are."""
    as_it_is = group in (OWN, NUMBERS, NON_DIGITS)
    return _SET_TITLES.get(name, name if as_it_is else name.replace("_", " "))


def parts_by(names: NDArray[np.str_]) -> Parts:
    """Return a part for each different name of ``names``, (N,), in alphabetical order."""
    return tuple((str(name), names == name) for name in np.unique(names))


def built_in_sets(
    images: Images, labels: Labels, seed: int, limit: int | None = None
) -> list[NamedSet]:
    """Return every built-in set, in the order in which they are shown.

    Args:
        images: uint8 (N, 28, 28), MNIST's test images or the first of them.
        labels: int64 (N,), 0–9.
        seed: 0 or more.
        limit: the most pictures of a set of UNIPEN's signs or numbers.
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
        NamedSet(HANDS, "any_pen", partial(_any_pen, seed, limit)),
        NamedSet(NUMBERS, "separate", partial(_numbers, seed, limit, touching=False)),
        NamedSet(NUMBERS, "touching", partial(_numbers, seed, limit, touching=True)),
        NamedSet(NON_DIGITS, "drawn", partial(_drawn, images, seed)),
        NamedSet(NON_DIGITS, "letters", partial(_letters, seed, limit)),
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


def _numbers(seed: int, limit: int | None, *, touching: bool) -> PictureSet:
    hands = load_hands()
    _, val = split_writers(hands)
    # Its writers wrote every digit, so images are never needed.
    maker = PageMaker(np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.int64), hands, val)
    numbers = range(min(NUMBERS_EACH, limit or NUMBERS_EACH))
    pages = [maker.number(seed * _APART + number, touching=touching) for number in numbers]
    pictures, texts = [page.grey for page in pages], tuple(page.text for page in pages)
    return PictureSet(len(pages), pictures.__getitem__, None, texts=texts)


def _any_pen(seed: int, limit: int | None) -> PictureSet:
    hands = load_hands()
    _, val = split_writers(hands)
    rows = _few_of_each_writer(hands, val[hands.is_digit[val]], seed)[:limit]
    pens = [_pen(seed, row) for row in rows.tolist()]
    broadest = list(_PEN_CLASSES.values())
    kinds = np.array(list(_PEN_CLASSES))[np.searchsorted(broadest, pens)]
    labels = hands.label[rows].astype(np.int64)
    picture = partial(_drawn_sign, hands, rows, seed)
    return PictureSet(len(rows), picture, labels, parts_by(kinds))


def _letters(seed: int, limit: int | None) -> PictureSet:
    """Return letters and symbols that may not fairly be read as digits."""
    hands = load_hands()
    _, val = split_writers(hands)
    other = ~hands.is_digit[val] & ~np.isin(hands.label[val], list(DIGIT_LIKE))
    rows = _few_of_each_writer(hands, val[other], seed)[:limit]
    kinds = np.where(np.char.isalpha(hands.label[rows]), "letter", "symbol")
    return PictureSet(len(rows), partial(_drawn_sign, hands, rows, seed), None, parts_by(kinds))


def _few_of_each_writer(hands: Hands, rows: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """Return rows in a random order, at most ``SIGNS_OF_A_WRITER`` of one writer."""
    mixed = np.random.default_rng(seed).permutation(rows)
    places = [np.flatnonzero(hands.writer[mixed] == one) for one in np.unique(hands.writer[rows])]
    kept = np.concatenate([own[:SIGNS_OF_A_WRITER] for own in places])
    chosen: NDArray[np.intp] = mixed[np.sort(kept)]
    return chosen


def _pen(seed: int, row: int) -> float:
    return log_uniform(np.random.default_rng((seed, row)), *PENS)


def _drawn_sign(hands: Hands, rows: NDArray[np.intp], seed: int, number: int) -> Images:
    """Return one sign, dark on light, anywhere on a small page: uint8 (H, W)."""
    row = int(rows[number])
    rng, pen = np.random.default_rng((seed, row, 1)), _pen(seed, row)
    side = rng.uniform(*SIDES)
    ink = draw(hands.strokes(row), side, pen * side)
    margins = (rng.uniform(0.1, 0.6, (2, 2)) * side).round().astype(int)
    dark, light = rng.uniform(0, 80), rng.uniform(200, 255)
    page = light - (light - dark) * np.pad(ink, margins)
    return np.asarray(page.round(), np.uint8)


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
