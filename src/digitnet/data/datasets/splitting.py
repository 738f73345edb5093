"""Dividing the images of a data set: for validation, and as many of each class as wanted.

Guarantees:

- What is chosen depends on the labels, the share or count and the seed, and on nothing else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError, UsageError


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
