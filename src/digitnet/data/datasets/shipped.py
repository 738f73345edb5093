"""The data sets that come with a package: a sample of MNIST, and scikit-learn's 8 × 8 digits.

Guarantees:

- No network, no cache and no folder is needed, and the content has the pinned hash.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import io

import numpy as np

from digitnet.data.datasets.dataset import DIGIT_NAMES, Dataset
from digitnet.data.datasets.resizing import canonical_images
from digitnet.data.datasets.splitting import split_train_val
from digitnet.data.idx import encode_idx
from digitnet.errors import IntegrityError
from digitnet.extras import needed

SAMPLE_FILE = "mnist_sample.npz"
SAMPLE_SHA256 = "e00305fa62b4f8342d5a0b097761d8ff34c4561df6c24955399067ace0515371"

DIGITS_SHA256 = {
    "digits-images-idx3-ubyte": "359cd13f0f514122884198b78a131df597421cbf5e93a76678fa96fc548f0d96",
    "digits-labels-idx1-ubyte": "ce71631c1f31ce56fa54f31d1d498fafacff59b001e6c30c4a5e29508aa277ad",
}
# Of the 1,797 digits, these many are for testing: the same share of each class, chosen by this seed
# of ``split_train_val``. Their 13 writers are not named, so they are on both sides.
DIGITS_TEST, DIGITS_SEED = 500, 0


def read_sample() -> Dataset:
    """Return 5,000 and 1,000 of MNIST's digits.

    Raises:
        IntegrityError: the installation is damaged.
    """
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
            class_names=DIGIT_NAMES,
            sha256={SAMPLE_FILE: digest},
        )


def read_digits8x8() -> Dataset:
    """Return scikit-learn's digits, 8 × 8 and 17 grey values, made canonical.

    They are the test file of "Optical Recognition of Handwritten Digits" (UCI), in its order.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        IntegrityError: it holds other digits.
    """
    with needed():
        from sklearn.datasets import load_digits
    bunch = load_digits()
    inks, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    contents = (encode_idx(inks), encode_idx(labels.astype(np.uint8)))
    found = dict(zip(DIGITS_SHA256, (hashlib.sha256(c).hexdigest() for c in contents), strict=True))
    if found != DIGITS_SHA256:
        raise IntegrityError(
            f"scikit-learn's digits have the SHA-256 {found} instead of {DIGITS_SHA256}. Install "
            "scikit-learn again."
        )
    images = canonical_images(inks)
    train, test = split_train_val(labels, val_fraction=DIGITS_TEST / len(labels), seed=DIGITS_SEED)
    train.sort()
    test.sort()
    return Dataset(
        name="digits8x8",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        class_names=DIGIT_NAMES,
        sha256=found,
    )
