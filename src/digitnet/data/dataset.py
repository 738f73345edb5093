"""A data set in memory, its splits, and images brought to 28 × 28.

Guarantees:

- A ``Dataset`` has been checked for shapes, types, ranges and counts.
- A split depends on the labels, the fraction or count and the seed, and on nothing else.
- ``canonical_images`` gives the same bytes in any batch, with any number of threads, on any
  machine: it computes in float64, and halves go up, so that no rounding in the last place can show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError, IntegrityError, UsageError, importing_extras
from digitnet.network.config import IMAGE_SIZE

DIGIT_NAMES = tuple("0123456789")

# Inks of one size are computed together, so many at a time.
_BATCH = 500
# A grey value that is a half but for float64's rounding counts as one.
_HALF = 0.5 + 1e-6


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels, divided into a training and a test split.

    Args:
        name: the name it was loaded by; of a folder, its full path.
        train_images: uint8 (N, 28, 28), 0 is background and 255 full ink; C-contiguous, writable.
        train_labels: int64 (N,), each an index of ``class_names``.
        test_images: uint8 (M, 28, 28), as ``train_images``.
        test_labels: int64 (M,), as ``train_labels``.
        class_names: the name of each label.
        sha256: the SHA-256 of what it was made of, by name: files as they were checked, or arrays.
        writers: who wrote each training image, (N,); None where that is not known.
    """

    name: str
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    sha256: dict[str, str]
    writers: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        self._check("train", self.train_images, self.train_labels)
        self._check("test", self.test_images, self.test_labels)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def _check(self, split: str, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        what = f"The {split} split of data set '{self.name}' has"
        found = f"images {images.dtype} {images.shape} and labels {labels.dtype} {labels.shape}"
        shape = (len(labels), IMAGE_SIZE, IMAGE_SIZE)
        types = images.dtype == np.uint8 and labels.dtype == np.int64
        if not types or labels.ndim != 1 or images.shape != shape:
            raise IntegrityError(f"{what} {found}; expected uint8 (N, 28, 28) and int64 (N,).")
        if labels.size and not 0 <= labels.min() <= labels.max() < self.num_classes:
            found = f"labels from {labels.min()} to {labels.max()}"
            raise IntegrityError(f"{what} {found}; allowed are 0 to {self.num_classes - 1}.")


def split_train_val(
    labels: NDArray[np.int64],
    *,
    val_fraction: float = 0.1,
    seed: int = 0,
    writers: NDArray[np.str_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide images into those to train on and those to validate on, class by class.

    Each class keeps its share in both parts to within one image, and the validation part has
    ``val_fraction`` of all images, rounded; but every class has at least one image in each part,
    also where so few images have another share. The same arguments always give the same parts.

    Where it is known who wrote what, whole writers are set aside instead, and the share of the
    validation part is as near below ``val_fraction`` as they fit in, in random order.

    Args:
        labels: integers (N,), the label of each image; at least two of each class.
        val_fraction: the share of the validation part, between 0 and 1, both excluded.
        seed: any integer from 0.
        writers: who wrote each image, (N,).

    Returns:
        The indices of the training and of the validation images: int64, shuffled, disjoint, and
        together every index from 0 to N - 1.

    Raises:
        UsageError: the fraction or the seed is not allowed.
        InputError: there are no labels, or more than one dimension of them, or 1 image of a class,
            or a class is missing in a part because whole writers are set aside.
    """
    if not 0 < val_fraction < 1:
        allowed = "must be between 0 and 1, both excluded"
        raise UsageError(f"--val-fraction {allowed}, not {val_fraction}.")
    if seed < 0:
        raise UsageError(f"The seed of a split must be 0 or more, not {seed}.")
    if labels.ndim != 1 or not labels.size:
        raise InputError(f"Labels to split must have the shape (N,), N > 0, not {labels.shape}.")
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        few = f"Class {classes[counts.argmin()]} has 1 image to train and to validate on"
        raise InputError(f"{few}; at least two are needed. Add images of it.")
    rng = np.random.default_rng(seed)
    if writers is not None:
        return _split_writers(labels, writers, val_fraction, rng)
    train, val = [], []
    for label, share in zip(classes, _shares(counts, val_fraction), strict=True):
        members = rng.permutation(np.flatnonzero(labels == label))
        val.append(members[:share])
        train.append(members[share:])
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(val))


def _split_writers(
    labels: NDArray[np.int64],
    writers: NDArray[np.str_],
    val_fraction: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    names, counts = np.unique(writers, return_counts=True)
    left, chosen = round(val_fraction * len(labels)), []
    for index in rng.permutation(len(names)).tolist():
        if counts[index] <= left:
            chosen.append(index)
            left -= counts[index]
    in_val = np.isin(writers, names[chosen])
    for part, aside in (("train", ~in_val), ("validate", in_val)):
        if lacking := sorted(set(labels.tolist()) - set(labels[aside].tolist())):
            message = f"No writer to {part} on has written class {lacking[0]}"
            raise InputError(f"{message}; choose another --val-fraction than {val_fraction}.")
    return rng.permutation(np.flatnonzero(~in_val)), rng.permutation(np.flatnonzero(in_val))


def take_of_each_class(
    indices: NDArray[np.int64], labels: NDArray[np.int64], count: int, seed: int
) -> NDArray[np.int64]:
    """Choose ``count`` of ``indices`` at random, as many of each class as of any other.

    Where ``count`` cannot be divided evenly, some classes have one more.

    Args:
        indices: int64 (M,), indices of ``labels``.
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
        most = len(classes) * int(counts.min())
        evenly = f"{count:,} images cannot be taken evenly from {len(classes)} classes"
        raise UsageError(f"{evenly} of {counts.min():,} or more; {len(classes):,} to {most:,} can.")
    chosen = [
        rng.permutation(np.flatnonzero(labels[indices] == label))[:share]
        for label, share in zip(classes, wanted, strict=True)
    ]
    taken: NDArray[np.int64] = indices[np.sort(np.concatenate(chosen))]
    return taken


def canonical_images(inks: NDArray[np.uint8] | Sequence[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Return canonical images, uint8 (N, 28, 28), of inks (H, W), bright strokes on 0.

    Brightness is scaled so that the brightest pixel of each ink is full ink; a blank stays blank.

    Args:
        inks: an array (N, H, W), or a list of inks of different sizes.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    with importing_extras():
        import torch

        from digitnet.network.canonical import Canonical
    canonical = Canonical()
    images = np.empty((len(inks), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    step = _BATCH if isinstance(inks, np.ndarray) else 1
    with torch.inference_mode():
        for start in range(0, len(inks), step):
            batch = np.asarray(inks[start : start + step], np.float64)
            seen = canonical(torch.from_numpy(batch)[:, None])[:, 0]
            images[start : start + step] = (seen * 255 + _HALF).numpy().astype(np.uint8)
    return images


def _shares(counts: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Return how many of each class to validate on: by largest remainder, at least one."""
    exact = counts * fraction
    shares: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    left = round(float(exact.sum())) - int(shares.sum())
    largest = np.argsort(shares - exact, kind="stable")[:left]
    shares[largest] += 1
    return np.clip(shares, 1, counts - 1)
