"""The sets that digitnet brings along or makes itself; none of them needs a network.

    mnist               MNIST's test images as PNG files of several sizes, polarities and places
    corruptions         the fifteen kinds of MNIST-C, straight into the network
    corruptions_found   the same as pictures, in which the ink is found first
    other_hands         scikit-learn's digits, 8 × 8 pixels
    photographs         simulated photographs of MNIST's test digits on paper
    non_digits          drawings of no digit

Guarantees: a set depends on the images and the seed only; its n-th picture does not depend on how
many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from digitnet.experiments.robustness.placing import PLACINGS, png_of
from digitnet.experiments.robustness.sets import Drawn, PictureSet, Plan, Route, parts_by

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

MNIST, OTHER_HANDS, PHOTOGRAPHS = "mnist", "other_hands", "photographs"
CORRUPTIONS_ALONE, CORRUPTIONS_FOUND = "corruptions", "corruptions_found"
NON_DIGITS = "non_digits"
GROUPS = (MNIST, OTHER_HANDS, PHOTOGRAPHS, CORRUPTIONS_ALONE, CORRUPTIONS_FOUND, NON_DIGITS)

# MNIST as it is: what calibration, refusals and non-digits are compared with.
REFERENCE = "white_on_black"
# These five differ in nothing that should matter, so neither should their accuracies.
SAME_SIZE_AND_PLACE = tuple(PLACINGS)[:5]

PHOTOGRAPHS_EACH = 500
NON_DIGITS_DRAWN = 1500
_APART = 2**32


def built_in(images: Images, labels: Labels, seed: int) -> list[Plan]:
    """Return every built-in set, in the order they are shown.

    Args:
        images: uint8 (N, 28, 28), MNIST's test images or the first of them.
        labels: int64 (N,), 0–9.
        seed: 0 or more.
    """
    return [
        *_placed(images, labels, seed),
        Plan(OTHER_HANDS, "digits8x8", _digits8x8),
        *_photographed(images, labels, seed),
        *_corrupted(images, labels, seed),
        Plan(NON_DIGITS, "drawn", partial(_drawn, images, seed)),
    ]


def _placed(images: Images, labels: Labels, seed: int) -> Iterator[Plan]:
    def draw(name: str, index: int) -> bytes:
        return png_of(images[index], name, seed, index)

    for name in PLACINGS:
        yield Plan(MNIST, name, partial(_drawn_digits, labels, partial(draw, name)))


def _photographed(images: Images, labels: Labels, seed: int) -> Iterator[Plan]:
    from digitnet.synthesis.photographs import CONDITIONS

    for name in CONDITIONS:
        yield Plan(PHOTOGRAPHS, name, partial(_photographs, images, labels, name, seed))


def _photographs(images: Images, labels: Labels, condition: str, seed: int) -> PictureSet:
    """Return photographs of the first digits that the condition can show."""
    from digitnet.synthesis.photographs import can_show, simulate

    able = (i for i in range(len(images)) if can_show(images[i], condition))
    shown = list(islice(able, PHOTOGRAPHS_EACH))

    def draw(index: int) -> bytes:
        return simulate(images[shown[index]], condition, seed, shown[index])

    return _drawn_digits(labels[shown], draw)


def _drawn_digits(labels: Labels, draw: Callable[[int], bytes]) -> PictureSet:
    return PictureSet(Drawn(len(labels), draw), labels)


def _corrupted(images: Images, labels: Labels, seed: int) -> Iterator[Plan]:
    from digitnet.synthesis.corruptions import CORRUPTIONS

    routes: tuple[tuple[str, Route], ...] = (
        (CORRUPTIONS_ALONE, "image"),
        (CORRUPTIONS_FOUND, "picture"),
    )
    for group, route in routes:
        for kind in CORRUPTIONS:
            yield Plan(group, kind, partial(_corrupt, images, labels, kind, seed, route))


def _corrupt(images: Images, labels: Labels, kind: str, seed: int, route: Route) -> PictureSet:
    from digitnet.synthesis.corruptions import corrupt

    return PictureSet(list(corrupt(images, kind, seed)), labels, route=route)


def _digits8x8() -> PictureSet:
    """Return the UCI digits as scikit-learn has them: 1,797 of 8 × 8 pixels, ink 0 to 16."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return PictureSet(list(pictures), digits.target.astype(np.int64))


def _drawn(images: Images, seed: int) -> PictureSet:
    from digitnet.synthesis.nondigits import draw_non_digits

    # Far from the seeds that networks are trained with, whose drawings a network knows by heart.
    count = min(NON_DIGITS_DRAWN, len(images))
    drawings, kinds = draw_non_digits(count, seed + _APART, images)
    return PictureSet(list(drawings), None, parts_by(np.array(kinds)))
