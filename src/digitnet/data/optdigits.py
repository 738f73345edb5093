"""Optical Recognition of Handwritten Digits (UCI): its bitmaps, packaged or in its own files.

The digits of 43 people, scanned, cut out and stretched to 32 × 32 pixels of one bit. A file of
them (``optdigits-orig.tra``, ``.cv``, ``.wdep``: 30 people; ``.windep``: 13 others) begins with
some lines about itself; then each digit is 32 lines of 32 characters 0 and 1, and a line with its
label. The smaller files ``optdigits.tra`` and ``.tes`` have a line for each digit: 64 columns, how
many of each 4 × 4 pixels are ink, and the label.

Guarantees:

- What is part of the package is compared with its SHA-256; arrays from files are compared by who
  asks for them.
- Any bytes give the digits or an ``IntegrityError``.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digitnet.data.idx import encode_idx, gunzip, uncompress
from digitnet.data.pins import packaged_arrays
from digitnet.errors import IntegrityError

BITMAPS_FILE = "optdigits32_train.npz"
BITMAPS_SHA256 = "595892d23c884dfb95470ea466ebbad572727555da00cb6059971566367aa01d"

SIDE = 32
# Of a file of bitmaps, unpacked.
_LARGEST = 4 * 2**20
_DIGIT = re.compile(rb"((?:[01]{32}\r?\n){32})\s*(\d)\s")
# How many digits of each class are in wdep, as their authors say.
_WDEP_COUNTS = (100, 94, 93, 105, 87, 81, 95, 90, 109, 89)


class Bitmaps(NamedTuple):
    """Digits of UCI optdigits by 30 people, which nobody can write to.

    Args:
        images: uint8 (2880, 32, 32), 0 or 255, bright strokes on 0, stretched to the frame.
        labels: int64 (2880,), 0–9.
        part: text (2880,), ``tra`` or ``cv``; the same people wrote both.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    part: NDArray[np.str_]


@functools.cache
def load_bitmaps() -> Bitmaps:
    """Return the digits that are part of the package, always the same object.

    Raises:
        IntegrityError: the file is not the one that was shipped.
    """
    stored = packaged_arrays(BITMAPS_FILE, BITMAPS_SHA256)
    bitmaps = Bitmaps(stored["x"], stored["y"].astype(np.int64), stored["part"])
    for array in bitmaps:
        array.flags.writeable = False
    return bitmaps


def parse_bitmaps(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images, uint8 (N, 32, 32), 0 or 255, and labels, uint8 (N,), of a file of bitmaps.

    Args:
        content: the file: text, or packed by gzip or by Unix's compress (``.Z``).
        name: what an error calls it.

    Raises:
        IntegrityError: it holds no digits.
    """
    if content.startswith(b"\x1f\x8b"):
        content = gunzip(content, _LARGEST, name)
    elif content.startswith(b"\x1f\x9d"):
        content = uncompress(content, _LARGEST, name)
    digits = _DIGIT.findall(content + b"\n")
    if not digits:
        raise IntegrityError(f"{name} holds no digits of 32 lines of 32 characters 0 and 1.")
    bits = np.frombuffer(b"".join(rows for rows, _ in digits), np.uint8)
    bits = bits[(bits == ord("0")) | (bits == ord("1"))].reshape(-1, SIDE, SIDE)
    return (bits == ord("1")) * np.uint8(255), np.array([int(label) for _, label in digits], "u1")


def idx_of_bitmaps(content: bytes, name: str) -> bytes:
    """Return the images, or the labels if not ``images`` is in ``name``, of a file as IDX."""
    images, labels = parse_bitmaps(content, name)
    return encode_idx(images if "images" in name else labels)


def parse_counts(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images, uint8 (N, 8, 8), 0 to 16, and labels, uint8 (N,), of a file of counts.

    Raises:
        IntegrityError: it is something else.
    """
    try:
        lines = content.decode("ascii").split()
        table = np.array([line.split(",") for line in lines], np.int64)
        images, labels = table[:, :64].reshape(-1, 8, 8), table[:, 64:].ravel()
        if len(labels) != len(images) or not (
            0 <= images.min() <= images.max() <= 16 and 0 <= labels.min() <= labels.max() <= 9
        ):
            raise ValueError("it has numbers out of range")
    except (ValueError, IndexError, OverflowError) as error:
        raise IntegrityError(f"{name} is not 65 columns of small numbers: {error}.") from error
    return images.astype(np.uint8), labels.astype(np.uint8)


def check_counts(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    """Check the digits to train on, 8 × 8, by what is known: no hash of them is.

    They are those of ``tra`` and ``cv``, whose bitmaps are part of the package, and of ``wdep``, of
    which the number of each class is known.

    Raises:
        IntegrityError: they are others.
    """
    known = load_bitmaps()
    rows = [np.c_[labels, images.reshape(-1, 64)]]
    rows.append(np.c_[known.labels, counts_of(known.images).reshape(-1, 64)].astype(np.uint8))
    here, there = (Counter(map(bytes, each)) for each in rows)
    left = labels.size and np.bincount(labels, minlength=10) - np.bincount(known.labels)
    if there - here or not np.array_equal(left, _WDEP_COUNTS):
        missing = (there - here).total()
        raise IntegrityError(
            f"These are not the 3,823 digits of optdigits.tra: there are {len(labels):,}, and "
            f"{missing:,} of 2,880 that are known are not among them."
        )


def counts_of(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return how many pixels of each 4 × 4 are ink, uint8 (N, 8, 8), of bitmaps (N, 32, 32)."""
    counts: NDArray[np.uint8] = (images > 0).reshape(-1, 8, 4, 8, 4).sum((2, 4)).astype(np.uint8)
    return counts
