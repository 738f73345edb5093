"""What a data set is: arrays of both splits, names of the classes, hashes of what it came from.

Guarantees:

- A ``Dataset`` has been checked for shapes, types, ranges and counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import IntegrityError
from digitnet.network.config import IMAGE_SIZE

NUM_CLASSES = 10
DIGIT_NAMES = tuple(str(digit) for digit in range(NUM_CLASSES))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels, cut into a training and a test split.

    Args:
        name: the name it was loaded by; of a folder, its full path.
        train_images: uint8 (N, 28, 28), 0 is background and 255 full ink; C-contiguous, writable.
        train_labels: int64 (N,), from 0; each is a place in ``class_names``.
        test_images: uint8 (M, 28, 28), as ``train_images``.
        test_labels: int64 (M,), as ``train_labels``.
        class_names: the name of each label.
        sha256: the SHA-256 of what it was made of, by name: files as they were checked, or arrays.
    """

    name: str
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    sha256: dict[str, str]

    def __post_init__(self) -> None:
        classes = len(self.class_names)
        _check_split(self.name, "train", self.train_images, self.train_labels, classes)
        _check_split(self.name, "test", self.test_images, self.test_labels, classes)


@dataclass(frozen=True)
class DatasetInfo:
    """What ``digitnet data list`` says about a data set.

    Args:
        name: the name to load it by.
        train_images: the number of images to train on.
        test_images: the number of images to test on.
        classes: the number of classes.
        source: where it comes from.
        licence: its licence and who made it.
        available: whether it can be loaded now without a network.
    """

    name: str
    train_images: int
    test_images: int
    classes: int
    source: str
    licence: str
    available: bool


def _check_split(
    name: str, split: str, images: NDArray[np.uint8], labels: NDArray[np.int64], classes: int
) -> None:
    """Refuse a split whose arrays do not fit their description or each other."""
    what = f"The {split} split of data set '{name}'"
    if images.dtype != np.uint8 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
        raise IntegrityError(
            f"{what} has images of type {images.dtype} and shape {images.shape}; "
            f"uint8 (N, {IMAGE_SIZE}, {IMAGE_SIZE}) is needed."
        )
    if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        raise IntegrityError(
            f"{what} has labels of type {labels.dtype} and shape {labels.shape} "
            f"for {len(images)} images; int64 ({len(images)},) is needed."
        )
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise IntegrityError(
            f"{what} has labels from {labels.min()} to {labels.max()}; 0 to {classes - 1} "
            "are allowed."
        )
