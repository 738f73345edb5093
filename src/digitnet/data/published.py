"""The data sets with a name, each from its verified files or its package to a ``Dataset``.

Guarantees:

- What was read has the pinned hash before it comes here, and is checked again for what its format
  says: magic number, sizes, counts, labels.
- The sample and scikit-learn's digits need no network, no cache and no folder.
- The hashes of USPS are those of its 16 × 16 grey values and labels, whatever form it came in.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from digitnet.data.dataset import DIGIT_NAMES, Dataset, canonical_images, split_train_val
from digitnet.data.idx import bunzip, encode_idx, gunzip, parse_idx, zip_member
from digitnet.data.pins import known_datasets, pinned_dataset
from digitnet.errors import IntegrityError, importing_extras
from digitnet.network.config import IMAGE_SIZE

SAMPLE_FILE = "mnist_sample.npz"
SAMPLE_SHA256 = "e00305fa62b4f8342d5a0b097761d8ff34c4561df6c24955399067ace0515371"

DIGITS_SHA256 = {
    "digits-images-idx3-ubyte": "359cd13f0f514122884198b78a131df597421cbf5e93a76678fa96fc548f0d96",
    "digits-labels-idx1-ubyte": "ce71631c1f31ce56fa54f31d1d498fafacff59b001e6c30c4a5e29508aa277ad",
}
# Of the 1,797 digits, these many are for testing: the same share of each class, chosen by this seed
# of ``split_train_val``. Their 13 writers are not named, so they are on both sides.
DIGITS_TEST, DIGITS_SEED = 500, 0

# No file of these sets holds more images: EMNIST's digits for training.
_MOST_BYTES = 240_000 * IMAGE_SIZE**2 + 16
_IDX_PARTS = ("images-idx3-ubyte", "labels-idx1-ubyte")
# The most bytes that a member of EMNIST's archive takes.
_MOST_PACKED = 128 * 2**20
# The labels of QMNIST have eight columns; the first is the class.
_QMNIST_COLUMNS = 8
# The first of QMNIST's test digits are those of MNIST.
_QMNIST_SHARED = 10_000
# The pixels of a digit of USPS.
_USPS_PIXELS = 16 * 16


def read_idx_set(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return MNIST, Fashion-MNIST or KMNIST from its four files, raw or with ``.gz``."""
    suffix = ".gz" if "train-images-idx3-ubyte.gz" in files else ""
    parts = (f"{split}-{part}{suffix}" for split in ("train", "t10k") for part in _IDX_PARTS)
    return _dataset(name, [_idx_array(files, part) for part in parts])


def read_emnist(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return EMNIST's digits or letters from the archive of all its parts.

    Images are stored with rows and columns exchanged, and letters are numbered from 1.
    """
    arrays: list[NDArray[Any]] = []
    for split in ("train", "test"):
        members = [f"gzip/{name.replace('_', '-')}-{split}-{part}.gz" for part in _IDX_PARTS]
        packed = {
            member: zip_member(files["gzip.zip"], member, _MOST_PACKED, "gzip.zip")
            for member in members
        }
        images, labels = (_idx_array(packed, member) for member in members)
        if images.ndim != 3:
            raise IntegrityError(f"The images of {name} have the shape {images.shape}.")
        first = 1 if name == "emnist_letters" else 0
        arrays += [np.ascontiguousarray(images.transpose(0, 2, 1)), labels.astype(np.int64) - first]
    return _dataset(name, arrays)


def read_qmnist(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return QMNIST; its test split is MNIST's 10,000 digits, or the 50,000 others."""
    mine = slice(_QMNIST_SHARED) if name == "qmnist" else slice(_QMNIST_SHARED, None)
    arrays: list[NDArray[Any]] = []
    for split, chosen in (("train", slice(None)), ("test", mine)):
        images = _idx_array(files, f"qmnist-{split}-images-idx3-ubyte.gz")
        table = _idx_array(files, f"qmnist-{split}-labels-idx2-int.gz", "i4")
        if table.shape[1:] != (_QMNIST_COLUMNS,):
            raise IntegrityError(f"The {split} labels of QMNIST have the shape {table.shape}.")
        # Copies, so that the digits left out are not kept in memory.
        arrays += [images[chosen].copy(), table[chosen, 0].copy()]
    return _dataset(name, arrays)


def read_usps(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return USPS from either of its forms: LIBSVM's text files, or IDX files of its arrays.

    Grey values are stored as -1 to 1; here they are rounded to the nearest of 0 to 255.
    (torchvision cuts the fraction off instead, so about half of its values are lower by one.)
    """
    if "usps.bz2" in files:
        splits = [parse_libsvm(files[file], file) for file in ("usps.bz2", "usps.t.bz2")]
        arrays = {
            f"usps-{split}-{part}": array
            for split, pair in zip(("train", "test"), splits, strict=True)
            for part, array in zip(_IDX_PARTS, pair, strict=True)
        }
    else:
        arrays = {file: _idx_array(files, file) for file in files}
    hashes = {n: hashlib.sha256(encode_idx(array)).hexdigest() for n, array in arrays.items()}
    inks, labels, test_inks, test_labels = (
        arrays[f"usps-{split}-{part}"] for split in ("train", "test") for part in _IDX_PARTS
    )
    images = canonical_images(inks), labels, canonical_images(test_inks), test_labels
    return _dataset(name, images, hashes)


def parse_libsvm(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images, uint8 (N, 16, 16), and labels, uint8 (N,) in 0–9, of a packed text file.

    A line is ``label 1:value 2:value … 256:value``: labels 1 to 10, values -1 to 1, all of them.

    Raises:
        IntegrityError: the content is damaged or another.
    """
    # The text takes about ten bytes a pixel, and there are 7,291 digits of 256 pixels.
    text = bunzip(content, 64 * 2**20, name)
    try:
        numbers = np.array(text.replace(b":", b" ").split(), np.float64)
        table = numbers.reshape(-1, 1 + 2 * _USPS_PIXELS)
    except ValueError as error:
        what = f"a label and {_USPS_PIXELS} pairs of index and value in each line"
        raise IntegrityError(f"{name} is not a table in LIBSVM's format: {what}.") from error
    labels, places, values = table[:, 0], table[:, 1::2], table[:, 2::2]
    # Written so that NaN is refused.
    sound = (np.isin(labels, np.arange(1, 11)).all(), (np.abs(values) <= 1).all())
    if not len(table) or not all(sound) or (places != np.arange(1, _USPS_PIXELS + 1)).any():
        allowed = f"labels 1 to 10, indices 1 to {_USPS_PIXELS} in order, values -1 to 1"
        raise IntegrityError(f"{name} holds something not allowed; allowed are {allowed}.")
    images = np.rint((values + 1) / 2 * 255).astype(np.uint8)
    return images.reshape(-1, 16, 16), (labels - 1).astype(np.uint8)


def read_sample() -> Dataset:
    """Return 5,000 and 1,000 of MNIST's digits, which are part of digitnet.

    Raises:
        IntegrityError: the installation is damaged.
    """
    content = (importlib.resources.files("digitnet") / "assets" / SAMPLE_FILE).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SAMPLE_SHA256:
        raise IntegrityError(f"{SAMPLE_FILE} is damaged ({digest}). Install digitnet again.")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        keys = ("train_images", "train_labels", "test_images", "test_labels")
        parts = [arrays[key] for key in keys]
    return _dataset("sample", parts, {SAMPLE_FILE: digest})


def read_digits8x8() -> Dataset:
    """Return scikit-learn's digits, 8 × 8 and 17 grey values, made canonical.

    They are the test file of "Optical Recognition of Handwritten Digits" (UCI), in its order.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        IntegrityError: it holds other digits.
    """
    with importing_extras():
        from sklearn.datasets import load_digits
    bunch = load_digits()
    inks, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    contents = (encode_idx(inks), encode_idx(labels.astype(np.uint8)))
    found = dict(zip(DIGITS_SHA256, (hashlib.sha256(c).hexdigest() for c in contents), strict=True))
    if found != DIGITS_SHA256:
        raise IntegrityError(f"scikit-learn has other digits ({found}). Install it again.")
    images = canonical_images(inks)
    split = split_train_val(labels, val_fraction=DIGITS_TEST / len(labels), seed=DIGITS_SEED)
    train, test = map(np.sort, split)
    parts = images[train], labels[train], images[test], labels[test]
    return _dataset("digits8x8", parts, found)


def _idx_array(
    files: Mapping[str, bytes], name: str, kind: Literal["u1", "i4"] = "u1"
) -> NDArray[Any]:
    """Return the array in one of ``files``, which is packed if it is called ``.gz``."""
    content = files[name]
    raw = gunzip(content, _MOST_BYTES, name) if name.endswith(".gz") else content
    return parse_idx(raw, name, kind)


def _dataset(
    name: str, arrays: Sequence[NDArray[Any]], sha256: dict[str, str] | None = None
) -> Dataset:
    """Return images and labels to train on, and to test on, as a ``Dataset``."""
    train_images, train_labels, test_images, test_labels = arrays
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=train_labels.astype(np.int64),
        test_images=test_images,
        test_labels=test_labels.astype(np.int64),
        class_names=tuple(known_datasets()[name].get("class_names", DIGIT_NAMES)),
        # What was read has been compared with these.
        sha256=sha256 or {file.name: file.sha256 for file in pinned_dataset(name).files},
    )
