"""Data sets by name, as arrays: MNIST, and the small sample of it that is shipped.

Guarantees:

- ``load_dataset`` returns verified content only, checked for shape, range and count.
- The sample needs no network, no cache and no folder.
- ``split_train_val`` depends on the labels, the fraction and the seed, and on nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError, IntegrityError, UsageError, unknown_name
from digitnet.fetch import read_files, verify
from digitnet.fetch.catalogue import find_dataset
from digitnet.idx import parse_idx

IMAGE_SIZE = 28
NUM_CLASSES = 10

SAMPLE_FILE = "mnist_sample.npz"
SAMPLE_SHA256 = "e00305fa62b4f8342d5a0b097761d8ff34c4561df6c24955399067ace0515371"

_LICENCE = "CC BY-SA 3.0, Yann LeCun and Corinna Cortes"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels, cut into a training and a test split.

    Args:
        name: the name it was loaded by.
        train_images: uint8 (N, 28, 28), 0 is background and 255 full ink; C-contiguous, writable.
        train_labels: int64 (N,), 0-9.
        test_images: uint8 (M, 28, 28), as ``train_images``.
        test_labels: int64 (M,), 0-9.
        class_names: the name of each label.
        sha256: the SHA-256 of the raw content of each file, by file name.
    """

    name: str
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    sha256: dict[str, str]

    def __post_init__(self) -> None:
        _check_split(self.name, "train", self.train_images, self.train_labels)
        _check_split(self.name, "test", self.test_images, self.test_labels)


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


def load_dataset(
    name: str = "mnist",
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    progress: Callable[[str], None] | None = None,
) -> Dataset:
    """Return a data set, fetching it first if need be.

    Args:
        name: "mnist" (60,000 and 10,000 images) or "sample" (5,000 and 1,000 of them, shipped).
        data_dir: a folder with the raw files, used instead of the cache and the network.
        offline: never use the network; default ``DIGITNET_OFFLINE``.
        progress: is called with a line of text at each step of a download.
            The sample is part of the package: the last three change nothing about it.

    Returns:
        New arrays, which the caller may change.

    Raises:
        UsageError: there is no data set of this name.
        InputError, IntegrityError, DataUnavailableError, StorageError: as ``fetch.fetch``.
    """
    if name == "sample":
        return _load_sample()
    if name == "mnist":
        return _load_mnist(
            read_files("mnist", data_dir=data_dir, offline=offline, progress=progress)
        )
    raise unknown_name("data set", name, ("mnist", "sample"))


def list_datasets() -> list[DatasetInfo]:
    """Return what there is to load; hashes the cached files (a tenth of a second)."""
    cached = all(status.state == "good" for status in verify("mnist"))
    return [
        DatasetInfo(
            "mnist", 60_000, 10_000, NUM_CLASSES, "fetched from mirrors or npm", _LICENCE, cached
        ),
        DatasetInfo("sample", 5_000, 1_000, NUM_CLASSES, "part of digitnet", _LICENCE, True),
    ]


def split_train_val(
    labels: NDArray[np.int64], *, val_fraction: float = 0.1, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide images into those to train on and those to validate on, class by class.

    Each class keeps its share in both parts to within one image, and the validation part has
    ``val_fraction`` of all images, rounded. The same arguments always give the same parts.

    Args:
        labels: integers (N,), the label of each image.
        val_fraction: the share of the validation part, between 0 and 1, both excluded.
        seed: any integer from 0.

    Returns:
        The indices of the training and of the validation images: int64, shuffled, disjoint, and
        together every index from 0 to N - 1.

    Raises:
        UsageError: the fraction or the seed is not allowed, or leaves a class without an image on
            one side.
        InputError: there are no labels, or they have more than one dimension.
    """
    if not 0 < val_fraction < 1:
        raise UsageError(
            f"--val-fraction must be between 0 and 1, both excluded, not {val_fraction}."
        )
    if seed < 0:
        raise UsageError(f"The seed of a split must be 0 or more, not {seed}.")
    if labels.ndim != 1 or not labels.size:
        raise InputError(f"Labels to split must have the shape (N,), N > 0, not {labels.shape}.")
    classes, counts = np.unique(labels, return_counts=True)
    shares = _shares(counts, val_fraction)
    for label, count, share in zip(classes, counts, shares, strict=True):
        if not 0 < share < count:
            raise UsageError(
                f"--val-fraction {val_fraction} puts {share} of the {count} images of "
                f"class {label} into the validation part, but at least one must be on each side. "
                "Choose another fraction or take more images."
            )
    rng = np.random.default_rng(seed)
    train, val = [], []
    for label, share in zip(classes, shares, strict=True):
        members = rng.permutation(np.flatnonzero(labels == label))
        val.append(members[:share])
        train.append(members[share:])
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(val))


def take_of_each_class(
    indices: NDArray[np.int64], labels: NDArray[np.int64], count: int, seed: int
) -> NDArray[np.int64]:
    """Choose ``count`` of ``indices`` at random, as many of each class as of any other.

    Where ``count`` cannot be divided evenly, some classes have one more.

    Args:
        indices: int64 (M,), places in ``labels``.
        labels: int64 (N,), the label of each image.
        count: how many to choose.
        seed: any integer from 0.

    Returns:
        int64 (count,), in the order of ``indices``.

    Raises:
        UsageError: a class has fewer than its share.
    """
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels[indices], return_counts=True)
    wanted = np.full(len(classes), count // len(classes))
    wanted[rng.permutation(len(classes))[: count % len(classes)]] += 1
    if (wanted > counts).any() or not wanted.all():
        raise UsageError(
            f"{count:,} images cannot be taken evenly from {len(classes)} classes of "
            f"{counts.min():,} to {counts.max():,} images; "
            f"{len(classes):,} to {len(classes) * int(counts.min()):,} can."
        )
    chosen = [
        rng.permutation(np.flatnonzero(labels[indices] == label))[:share]
        for label, share in zip(classes, wanted, strict=True)
    ]
    taken: NDArray[np.int64] = indices[np.sort(np.concatenate(chosen))]
    return taken


def _shares(counts: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Return how many of each class to validate on, by largest remainder."""
    exact = counts * fraction
    shares: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    left = round(float(exact.sum())) - int(shares.sum())
    largest = np.argsort(shares - exact, kind="stable")[:left]
    shares[largest] += 1
    return shares


def _load_mnist(files: Mapping[str, bytes]) -> Dataset:
    arrays = {name: parse_idx(content, name) for name, content in files.items()}
    return Dataset(
        name="mnist",
        train_images=arrays["train-images-idx3-ubyte"],
        train_labels=arrays["train-labels-idx1-ubyte"].astype(np.int64),
        test_images=arrays["t10k-images-idx3-ubyte"],
        test_labels=arrays["t10k-labels-idx1-ubyte"].astype(np.int64),
        class_names=_digit_names(),
        # What was read has been compared with these.
        sha256={file.name: file.sha256 for file in find_dataset("mnist").files},
    )


def _load_sample() -> Dataset:
    content = (importlib.resources.files("digitnet") / "assets" / SAMPLE_FILE).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SAMPLE_SHA256:
        raise IntegrityError(
            f"The shipped sample {SAMPLE_FILE} has SHA-256 {digest} instead of {SAMPLE_SHA256}: "
            "the installation is damaged. Install digitnet again."
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Dataset(
            name="sample",
            train_images=arrays["train_images"],
            train_labels=arrays["train_labels"].astype(np.int64),
            test_images=arrays["test_images"],
            test_labels=arrays["test_labels"].astype(np.int64),
            class_names=_digit_names(),
            sha256={SAMPLE_FILE: digest},
        )


def _digit_names() -> tuple[str, ...]:
    return tuple(str(digit) for digit in range(NUM_CLASSES))


def _check_split(
    name: str, split: str, images: NDArray[np.uint8], labels: NDArray[np.int64]
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
    if labels.size and (labels.min() < 0 or labels.max() >= NUM_CLASSES):
        raise IntegrityError(
            f"{what} has labels from {labels.min()} to {labels.max()}; 0 to {NUM_CLASSES - 1} "
            "are allowed."
        )
