"""The data sets in MNIST's format and its kin: 28 × 28 already, IDX inside gzip or zip.

Guarantees:

- What was read has the pinned hash before it comes here, and is checked again for what its format
  says: magic number, sizes, counts, labels.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.data.datasets.dataset import DIGIT_NAMES, Dataset
from digitnet.data.datasets.unpacking import gunzip, zip_member
from digitnet.data.fetch.catalogue import find_dataset
from digitnet.data.idx import parse_idx, parse_int_idx
from digitnet.errors import IntegrityError
from digitnet.network.config import IMAGE_SIZE

CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "mnist": DIGIT_NAMES,
    # As its authors call them.
    "fashion_mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    # The sounds of the ten Hiragana, one of each row of the syllabary.
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    "emnist_digits": DIGIT_NAMES,
    # Each stands for the capital and the small letter.
    "emnist_letters": tuple(string.ascii_uppercase),
    "qmnist": DIGIT_NAMES,
    "qmnist50k": DIGIT_NAMES,
}

# No file of these sets holds more images: EMNIST's digits for training.
_MOST_IMAGES = 240_000
_MOST_BYTES = _MOST_IMAGES * IMAGE_SIZE**2 + 16
# The members of EMNIST's archive, and the most bytes that one takes.
_MEMBER = "gzip/emnist-{part}-{split}-{kind}-ubyte.gz"
_MOST_PACKED = 128 * 2**20
# The labels of QMNIST have eight columns; the first is the class.
_QMNIST_COLUMNS = 8
# The first of QMNIST's test digits are those of MNIST.
_QMNIST_SHARED = 10_000


def read_idx_set(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return MNIST, Fashion-MNIST or KMNIST from its four files, raw or with ``.gz``."""
    arrays = {}
    for file, content in files.items():
        raw = gunzip(content, _MOST_BYTES, file) if file.endswith(".gz") else content
        arrays[file.removesuffix(".gz")] = parse_idx(raw, file)
    return _dataset(
        name,
        arrays["train-images-idx3-ubyte"],
        arrays["train-labels-idx1-ubyte"],
        arrays["t10k-images-idx3-ubyte"],
        arrays["t10k-labels-idx1-ubyte"],
    )


def read_emnist(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return EMNIST's digits or letters from the archive of all its parts.

    Images are stored with rows and columns exchanged, and letters are numbered from 1.
    """
    part = name.removeprefix("emnist_")
    archive = files["gzip.zip"]
    arrays: list[Any] = []
    for split in ("train", "test"):
        images, labels = (
            _member(archive, _MEMBER.format(part=part, split=split, kind=kind))
            for kind in ("images-idx3", "labels-idx1")
        )
        if images.ndim != 3:
            raise IntegrityError(f"The images of {name} have the shape {images.shape}.")
        first = 1 if part == "letters" else 0
        arrays += [np.ascontiguousarray(images.transpose(0, 2, 1)), labels.astype(np.int64) - first]
    return _dataset(name, *arrays)


def _member(archive: bytes, member: str) -> NDArray[np.uint8]:
    packed = zip_member(archive, member, _MOST_PACKED, "gzip.zip")
    return parse_idx(gunzip(packed, _MOST_BYTES, member), member)


def read_qmnist(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return QMNIST; its test split is MNIST's 10,000 digits, or the 50,000 others."""
    unpacked = {file: gunzip(content, _MOST_BYTES, file) for file, content in files.items()}
    images = {
        split: parse_idx(unpacked[f"qmnist-{split}-images-idx3-ubyte.gz"], f"{split} images")
        for split in ("train", "test")
    }
    labels = {
        split: _qmnist_labels(unpacked[f"qmnist-{split}-labels-idx2-int.gz"], split)
        for split in ("train", "test")
    }
    mine = slice(_QMNIST_SHARED) if name == "qmnist" else slice(_QMNIST_SHARED, None)
    # A copy, so that the digits left out are not kept in memory.
    test = images["test"][mine].copy(), labels["test"][mine].copy()
    return _dataset(name, images["train"], labels["train"], *test)


def _qmnist_labels(content: bytes, split: str) -> NDArray[np.int64]:
    table = parse_int_idx(content, f"qmnist-{split}-labels-idx2-int.gz")
    if table.ndim != 2 or table.shape[1] != _QMNIST_COLUMNS:
        raise IntegrityError(
            f"The {split} labels of QMNIST have the shape {table.shape}; "
            f"(N, {_QMNIST_COLUMNS}) is needed."
        )
    return np.ascontiguousarray(table[:, 0])


def _dataset(
    name: str,
    train_images: NDArray[np.uint8],
    train_labels: NDArray[np.integer],
    test_images: NDArray[np.uint8],
    test_labels: NDArray[np.integer],
) -> Dataset:
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=train_labels.astype(np.int64),
        test_images=test_images,
        test_labels=test_labels.astype(np.int64),
        class_names=CLASS_NAMES[name],
        # What was read has been compared with these.
        sha256={file.name: file.sha256 for file in find_dataset(name).files},
    )
