"""USPS: digits from the envelopes of the US post, 16 × 16, made canonical.

It comes in two forms: LIBSVM's text files, and IDX files imported from NumPy arrays.

Guarantees:

- The hashes of a data set are those of its 16 × 16 grey values and labels, whatever the form.

Grey values are stored as -1 to 1; here they are rounded to the nearest of 0 to 255. (torchvision
cuts the fraction off instead, so about half of its values are lower by one.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from digitnet.data.datasets.dataset import DIGIT_NAMES, Dataset
from digitnet.data.datasets.resizing import canonical_images
from digitnet.data.datasets.unpacking import bunzip
from digitnet.data.idx import encode_idx, parse_idx
from digitnet.errors import IntegrityError

_SIDE = 16
_PIXELS = _SIDE * _SIDE
# LIBSVM's text takes about ten bytes a pixel, and there are 7,291 digits of 256 pixels.
_MOST_BYTES = 64 * 2**20

_Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def read_usps(files: Mapping[str, bytes]) -> Dataset:
    """Return USPS from either of its forms: 7,291 digits to train on and 2,007 to test on.

    Raises:
        IntegrityError: a file is not in its format.
    """
    if "usps.bz2" in files:
        splits = [parse_libsvm(files[name], name) for name in ("usps.bz2", "usps.t.bz2")]
    else:
        splits = [_from_idx(files, split) for split in ("train", "test")]
    arrays = {
        f"usps-{split}-{kind}": array
        for split, pair in zip(("train", "test"), splits, strict=True)
        for kind, array in zip(("images-idx3-ubyte", "labels-idx1-ubyte"), pair, strict=True)
    }
    (train_images, train_labels), (test_images, test_labels) = splits
    return Dataset(
        name="usps",
        train_images=canonical_images(train_images),
        train_labels=train_labels.astype(np.int64),
        test_images=canonical_images(test_images),
        test_labels=test_labels.astype(np.int64),
        class_names=DIGIT_NAMES,
        sha256={n: hashlib.sha256(encode_idx(array)).hexdigest() for n, array in arrays.items()},
    )


def parse_libsvm(content: bytes, name: str) -> _Split:
    """Return images, uint8 (N, 16, 16), and labels, uint8 (N,) in 0–9, of a packed text file.

    A line is ``label 1:value 2:value … 256:value``: labels 1 to 10, values -1 to 1, all of them.

    Raises:
        IntegrityError: the content is damaged or another.
    """
    text = bunzip(content, _MOST_BYTES, name)
    try:
        numbers = np.array(text.replace(b":", b" ").split(), np.float64)
        table = numbers.reshape(-1, 1 + 2 * _PIXELS)
    except ValueError as error:
        raise IntegrityError(
            f"{name} is no table of digits as LIBSVM writes it: each line must hold a label and "
            f"{_PIXELS} pairs of place and value."
        ) from error
    labels, places, values = table[:, 0], table[:, 1::2], table[:, 2::2]
    # Written so that NaN is refused.
    sound = (np.isin(labels, np.arange(1, 11)).all(), (np.abs(values) <= 1).all())
    if not len(table) or not all(sound) or (places != np.arange(1, _PIXELS + 1)).any():
        raise IntegrityError(
            f"{name} has labels, places or values that are not allowed: labels are 1 to 10, places "
            f"1 to {_PIXELS} in order, values -1 to 1."
        )
    images = np.rint((values + 1) / 2 * 255).astype(np.uint8)
    return images.reshape(-1, _SIDE, _SIDE), (labels - 1).astype(np.uint8)


def _from_idx(files: Mapping[str, bytes], split: str) -> _Split:
    images, labels = (
        parse_idx(files[f"usps-{split}-{kind}"], f"usps-{split}-{kind}")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise IntegrityError(
            f"The {split} split of USPS has {images.shape} images and {labels.shape} labels."
        )
    return images, labels
