"""Data sets by name or folder: ``load_dataset``, the list of them, and how each one is read.

Guarantees:

- What is read has its pinned hash before it is unpacked, so it can hold nothing unexpected; the
  resulting ``Dataset`` is checked all the same.
- The sample, scikit-learn's digits, UNIPEN's and some of UCI's need no network, no cache and no
  folder.
- The only files that no hash is known of, UNIPEN's release and optdigits at 8 × 8, are read from a
  folder that the user names and from nowhere else; a run records the hashes of what was in them.
- Images of another size become 28 × 28 by ``Canonical``, the same on every machine.
- The hashes of USPS are those of its 16 × 16 grey values and labels, whatever form it came in.
"""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import hashlib
import importlib.resources
import importlib.util
import io
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.data.dataset import DIGIT_NAMES, Dataset, canonical_images, split_train_val
from digitnet.data.fetching import expand, fetch, is_available
from digitnet.data.idx import encode_idx, parse_idx
from digitnet.data.optdigits import (
    BITMAPS_FILE,
    BITMAPS_SHA256,
    check_counts,
    load_bitmaps,
    parse_counts,
)
from digitnet.data.pen_signs import STROKES_FILE, STROKES_SHA256, Hands, load_hands, split_writers
from digitnet.data.picture_folder import read_folder
from digitnet.data.pins import known_datasets, packaged_arrays, pinned_dataset, pinned_datasets
from digitnet.data.unipen import read_release
from digitnet.errors import InputError, IntegrityError, UsageError, importing_extras, unknown_name
from digitnet.files import storage_errors

SAMPLE_FILE = "mnist_sample.npz"
SAMPLE_SHA256 = "e00305fa62b4f8342d5a0b097761d8ff34c4561df6c24955399067ace0515371"

DIGITS_SHA256 = {
    "digits-images-idx3-ubyte": "359cd13f0f514122884198b78a131df597421cbf5e93a76678fa96fc548f0d96",
    "digits-labels-idx1-ubyte": "ce71631c1f31ce56fa54f31d1d498fafacff59b001e6c30c4a5e29508aa277ad",
}
# Of the 1,797 digits, these many are for testing: the same share of each class, chosen by this seed
# of ``split_train_val``. Their 13 writers are not named, so they are on both sides.
DIGITS_TEST, DIGITS_SEED = 500, 0

_IDX_PARTS = ("images-idx3-ubyte", "labels-idx1-ubyte")
# The first of QMNIST's test digits are those of MNIST.
_QMNIST_SHARED = 10_000


def load_dataset(
    name: str | Path = "mnist",
    *,
    data_dir: Path | str | None = None,
    crops: bool = False,
    offline: bool | None = None,
    progress: Callable[[str], None] | None = None,
) -> Dataset:
    """Return a data set, fetching it first if need be.

    Args:
        name: a name that ``list_datasets`` gives, or a folder of pictures; see
            ``picture_folder``. A folder that is called like a data set is reached as ``./name``.
        data_dir: a folder with the raw files, used instead of the cache and the network.
        crops: whether the pictures of a folder are cut from rows of writing.
        offline: never use the network; default ``DIGITNET_OFFLINE``.
        progress: is called with a line of text at each step of what takes time.
            What is part of a package needs none of these four, a folder of pictures only ``crops``.

    Returns:
        New arrays, which the caller may change.

    Raises:
        UsageError: there is no data set of this name.
        MissingExtraError: a package is not installed that the data set comes from, or that brings
            its images to 28 × 28.
        InputError, IntegrityError, DataUnavailableError, StorageError: as ``fetching.fetch`` and,
            of a folder, ``picture_folder.read_folder``.
    """
    if isinstance(name, str) and name in known_datasets():
        if name in _OWN_COPIES and (folder := _own_copy(name, data_dir)):
            return _OWN_COPIES[name][1](name, folder)
        pinned = pinned_datasets().get(name)
        if pinned is None or (pinned.packaged and not data_dir and not is_available(name)):
            return _READERS[name](name, {})
        copies = fetch(name, data_dir=data_dir, offline=offline, progress=progress)
        return _READERS[pinned.format](name, {copy.name: copy.content for copy in copies})
    return read_folder(_existing(name), progress or (lambda _: None), crops=crops)


def check_name(name: str | Path) -> None:
    """Check that there is a data set of this name, or a folder, and read nothing of it.

    Raises:
        UsageError, InputError: there is none, as for ``load_dataset``.
    """
    if name not in known_datasets():
        _existing(name)


def list_datasets() -> list[dict[str, Any]]:
    """Return what there is to load; hashes the files that are here (seconds, if all are).

    Returns:
        Of each data set its ``name``, the numbers of ``train_images``, ``test_images`` and
        ``classes``, its ``source`` and ``licence``, and whether it is ``available``, that is, can
        be loaded now without a network.
    """
    shown = ("train_images", "test_images", "source", "licence")
    return [
        {
            "name": name,
            **{key: about[key] for key in shown},
            "classes": len(about.get("class_names", DIGIT_NAMES)),
            "available": _is_here(name),
        }
        for name, about in known_datasets().items()
    ]


def _existing(name: str | Path) -> Path:
    """Return the folder that ``name`` means, if there is one."""
    path = expand(name)
    # Not Path.is_dir, which raises for names that no file can have.
    if str(name) and os.path.isdir(path):  # noqa: PTH112
        return path
    if isinstance(name, Path) or any(mark in name for mark in (os.sep, "/", ".", "~")):
        names = ", ".join(known_datasets())
        raise InputError(f"There is no folder {name}. Name another, or a data set ({names}).")
    error = unknown_name("data set", name, known_datasets())
    raise UsageError(f"{error} Or name a folder of pictures with one subfolder for each class.")


def _own_copy(name: str, data_dir: Path | str | None) -> Path | None:
    """Return the user's folder with the files of a data set in a form that nothing pins."""
    named = data_dir or os.environ.get("DIGITNET_DATA_DIR")
    folders = (expand(named) / name, expand(named)) if named else ()
    for folder in folders:
        with storage_errors(folder, "read"):
            if (folder / _OWN_COPIES[name][0]).exists():
                return folder
    return None


def _is_here(name: str) -> bool:
    if name == "digits8x8":
        return importlib.util.find_spec("sklearn") is not None
    pinned = pinned_datasets().get(name)
    return pinned is None or pinned.packaged or is_available(name)


def read_idx_set(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return MNIST, Fashion-MNIST or KMNIST from its four files, raw or with ``.gz``."""
    suffix = ".gz" if "train-images-idx3-ubyte.gz" in files else ""
    parts = (f"{split}-{part}{suffix}" for split in ("train", "t10k") for part in _IDX_PARTS)
    return _dataset(name, [_idx_array(part, files[part]) for part in parts])


def read_emnist(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return EMNIST's digits or letters from the archive of all its parts.

    Images are stored with rows and columns exchanged, and letters are numbered from 1.
    """
    arrays: list[NDArray[Any]] = []
    with zipfile.ZipFile(io.BytesIO(files["gzip.zip"])) as archive:
        for split in ("train", "test"):
            members = [f"gzip/{name.replace('_', '-')}-{split}-{part}.gz" for part in _IDX_PARTS]
            images, labels = (_idx_array(member, archive.read(member)) for member in members)
            arrays.append(np.ascontiguousarray(images.transpose(0, 2, 1)))
            arrays.append(labels.astype(np.int64) - (name == "emnist_letters"))
    return _dataset(name, arrays)


def read_qmnist(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return QMNIST; its test split is MNIST's 10,000 digits, or the 50,000 others."""
    parsed = {file: _idx_array(file, content) for file, content in files.items()}
    mine = slice(_QMNIST_SHARED) if name == "qmnist" else slice(_QMNIST_SHARED, None)
    arrays: list[NDArray[Any]] = []
    for split, chosen in (("train", slice(None)), ("test", mine)):
        # Copies, so that the digits left out are not kept in memory.
        arrays.append(parsed[f"qmnist-{split}-images-idx3-ubyte.gz"][chosen].copy())
        # Of eight columns, the first is the class.
        arrays.append(parsed[f"qmnist-{split}-labels-idx2-int.gz"][chosen, 0].copy())
    return _dataset(name, arrays)


def read_usps(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return USPS from either of its forms: LIBSVM's text files, or IDX files of its arrays."""
    names = [f"usps-{split}-{part}" for split in ("train", "test") for part in _IDX_PARTS]
    if "usps.bz2" in files:
        splits = (parse_libsvm(files[file]) for file in ("usps.bz2", "usps.t.bz2"))
        arrays = [array for split in splits for array in split]
    else:
        arrays = [_idx_array(file, files[file]) for file in names]
    return _dataset(name, _canonical(arrays), _hashes(names, arrays))


def parse_libsvm(content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images, uint8 (N, 16, 16), and labels, uint8 (N,) in 0–9, of USPS's packed text.

    A line is ``label 1:value 2:value … 256:value``: labels 1 to 10, values -1 to 1, all of them.
    Grey values are rounded to the nearest of 0 to 255. (torchvision cuts the fraction off instead,
    so about half of its values are lower by one.)
    """
    numbers = bz2.decompress(content).replace(b":", b" ").split()
    table = np.array(numbers, np.float64).reshape(-1, 1 + 2 * 16 * 16)
    images = np.rint((table[:, 2::2] + 1) / 2 * 255).astype(np.uint8)
    return images.reshape(-1, 16, 16), (table[:, 0] - 1).astype(np.uint8)


def read_sample(name: str, _: Mapping[str, bytes]) -> Dataset:
    """Return 5,000 and 1,000 of MNIST's digits, which are part of digitnet.

    Raises:
        IntegrityError: the installation is damaged.
    """
    arrays = packaged_arrays(SAMPLE_FILE, SAMPLE_SHA256)
    keys = ("train_images", "train_labels", "test_images", "test_labels")
    return _dataset(name, [arrays[key] for key in keys], {SAMPLE_FILE: SAMPLE_SHA256})


def read_digits8x8(name: str, _: Mapping[str, bytes]) -> Dataset:
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
    found = _hashes(DIGITS_SHA256, [inks, labels.astype(np.uint8)])
    if found != DIGITS_SHA256:
        raise IntegrityError(f"scikit-learn has other digits ({found}). Install it again.")
    images = canonical_images(inks)
    split = split_train_val(labels, val_fraction=DIGITS_TEST / len(labels), seed=DIGITS_SEED)
    train, test = map(np.sort, split)
    return _dataset(name, (images[train], labels[train], images[test], labels[test]), found)


def read_unipen(name: str, _: Mapping[str, bytes]) -> Dataset:
    """Return the digits of UNIPEN that are part of digitnet, drawn; see ``draw_digits``."""
    return _unipen(name, load_hands(), {STROKES_FILE: STROKES_SHA256})


def read_unipen_release(name: str, folder: Path) -> Dataset:
    """Return all isolated digits of a copy of UNIPEN's release, drawn; see ``unipen``."""
    hands = read_release(folder)
    digest = hashlib.sha256(hands.points.tobytes() + hands.stroke_start.tobytes())
    return _unipen(name, hands, {"unipen-points": digest.hexdigest()})


def _unipen(name: str, hands: Hands, sha256: dict[str, str]) -> Dataset:
    """Return digits as a data set; the writers that ``split_writers`` sets aside are to test."""
    train, test = (part[hands.is_digit[part]] for part in split_writers(hands))
    parts = ((draw_digits(hands, part), hands.label[part]) for part in (train, test))
    dataset = _dataset(name, [array for part in parts for array in part], sha256)
    return dataclasses.replace(dataset, writers=hands.writer[train])


def draw_digits(hands: Hands, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return canonical images, uint8 (N, 28, 28), of signs drawn with a pen of 1/10 of their side.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    from digitnet.reading.strokes import from_strokes

    signs = ([stroke.tolist() for stroke in hands.strokes(i)] for i in indices.tolist())
    return canonical_images([from_strokes(sign).pixels for sign in signs])


def read_optdigits(name: str, files: Mapping[str, bytes]) -> Dataset:
    """Return UCI optdigits: 2,880 to train on and 1,797 by others to test on, made canonical.

    Without files it is what is part of digitnet: 1,934 to train on and 946 by the same people.
    """
    if not files:
        bitmaps = load_bitmaps()
        parts = [bitmaps.part == part for part in ("tra", "cv")]
        arrays = [each for part in parts for each in (bitmaps.images[part], bitmaps.labels[part])]
        return _dataset(name, _canonical(arrays), {BITMAPS_FILE: BITMAPS_SHA256})
    tra, tra_labels, cv, cv_labels, *test = (_idx_array(*file) for file in files.items())
    train = np.concatenate([tra, cv]), np.concatenate([tra_labels, cv_labels])
    return _dataset(name, _canonical([*train, *test]))


def read_optdigits_counts(name: str, folder: Path) -> Dataset:
    """Return UCI optdigits from ``optdigits.tra`` and ``optdigits.tes``, 8 × 8, made canonical.

    Of the 3,823 digits to train on, those that are known are compared; see ``check_counts``.

    Raises:
        InputError, IntegrityError: a file is not there, or is something else.
    """
    arrays: list[NDArray[np.uint8]] = []
    for file in ("optdigits.tra", "optdigits.tes"):
        with storage_errors(folder / file, "read"), (folder / file).open("rb") as stream:
            arrays += parse_counts(stream.read(_MOST_OF_COUNTS), file)
    check_counts(*arrays[:2])
    names = [f"optdigits8x8-{split}-{part}" for split in ("train", "test") for part in _IDX_PARTS]
    found = _hashes(names, arrays)
    if list(found.values())[2:] != list(DIGITS_SHA256.values()):
        raise IntegrityError(f"{folder / 'optdigits.tes'} has other digits than UCI's.")
    return _dataset(name, _canonical(arrays), found)


def _canonical(arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return images and labels with the images made canonical."""
    inks, labels, test_inks, test_labels = arrays
    return [canonical_images(inks), labels, canonical_images(test_inks), test_labels]


def _idx_array(name: str, content: bytes) -> NDArray[Any]:
    """Return the array of an IDX file, which is packed if it is called ``.gz``."""
    raw = gzip.decompress(content) if name.endswith(".gz") else content
    return parse_idx(raw, name, "i4" if "idx2-int" in name else "u1")


def _hashes(names: Iterable[str], arrays: Iterable[NDArray[np.uint8]]) -> dict[str, str]:
    """Return the SHA-256 of each array as an IDX file of this name."""
    contents = zip(names, map(encode_idx, arrays), strict=True)
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents}


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


# By the format of pinned files, or by the name of what is part of a package.
_READERS = {
    "idx": read_idx_set,
    "emnist": read_emnist,
    "qmnist": read_qmnist,
    "usps": read_usps,
    "sample": read_sample,
    "digits8x8": read_digits8x8,
    "unipen": read_unipen,
    "optdigits": read_optdigits,
}
# Of a file of UCI's counts, in bytes; the larger has 561,000.
_MOST_OF_COUNTS = 2**20
# Forms that only a folder which the user names may have: by what they are known there.
_OWN_COPIES: dict[str, tuple[str, Callable[[str, Path], Dataset]]] = {
    "unipen": ("data/1a", read_unipen_release),
    "optdigits": ("optdigits.tra", read_optdigits_counts),
}
