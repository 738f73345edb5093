"""The public functions: a data set by its name or its folder, and the table of what there is."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

from digitnet.data.datasets.dataset import Dataset, DatasetInfo
from digitnet.data.datasets.folder import read_folder
from digitnet.data.datasets.mnist_like import read_emnist, read_idx_set, read_qmnist
from digitnet.data.datasets.shipped import read_digits8x8, read_sample
from digitnet.data.datasets.usps import read_usps
from digitnet.data.fetch import is_available, read_files
from digitnet.data.fetch.cache import expand
from digitnet.errors import InputError, unknown_name

_READERS = {
    "mnist": read_idx_set,
    "fashion_mnist": read_idx_set,
    "kmnist": read_idx_set,
    "emnist_digits": read_emnist,
    "emnist_letters": read_emnist,
    "qmnist": read_qmnist,
    "qmnist50k": read_qmnist,
}

_MNIST_LICENCE = "CC BY-SA 3.0, Yann LeCun and Corinna Cortes"
_NIST = "not stated, NIST; Cohen, Afshar, Tapson and van Schaik 2017"
_QMNIST = "BSD 3-clause, Yadav and Bottou 2019"
# Name, training and test images, classes, source, licence and makers.
_TABLE = (
    ("mnist", 60_000, 10_000, 10, "mirrors, npm", _MNIST_LICENCE),
    ("sample", 5_000, 1_000, 10, "part of digitnet", _MNIST_LICENCE),
    ("usps", 7_291, 2_007, 10, "LIBSVM's site", "not stated, AT&T and US Postal Service 1989"),
    ("fashion_mnist", 60_000, 10_000, 10, "mirrors, Debian", "MIT, Zalando Research 2017"),
    ("kmnist", 60_000, 10_000, 10, "CODH's site", "CC BY-SA 4.0, CODH 2018"),
    ("emnist_digits", 240_000, 40_000, 10, "NIST's site, 562 MB", _NIST),
    ("emnist_letters", 124_800, 20_800, 26, "NIST's site, 562 MB", _NIST),
    ("qmnist", 60_000, 10_000, 10, "its authors' site", _QMNIST),
    ("qmnist50k", 60_000, 50_000, 10, "its authors' site", _QMNIST),
    ("digits8x8", 1_297, 500, 10, "part of scikit-learn", "CC BY 4.0, Alpaydin and Kaynak 1998"),
)
NAMES = tuple(row[0] for row in _TABLE)


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
        name: a name that ``list_datasets`` gives, or a folder with one subfolder of pictures for
            each class. A folder that is called like a data set is reached as ``./name``.
        data_dir: a folder with the raw files, used instead of the cache and the network.
        crops: whether the pictures of a folder are cut from rows of writing; see ``ink.find``.
        offline: never use the network; default ``DIGITNET_OFFLINE``.
        progress: is called with a line of text at each step of what takes time.
            What is part of a package needs none of these four, a folder of pictures only ``crops``.

    Returns:
        New arrays, which the caller may change.

    Raises:
        UsageError: there is no data set of this name.
        MissingExtraError: a package is not installed that the data set comes from, or that brings
            its images to 28 × 28.
        InputError, IntegrityError, DataUnavailableError, StorageError: as ``fetch.fetch`` and, of a
            folder, ``folder.read_folder``.
    """
    if name == "sample":
        return read_sample()
    if name == "digits8x8":
        return read_digits8x8()
    if name == "usps":
        return read_usps(read_files("usps", data_dir=data_dir, offline=offline, progress=progress))
    if name in _READERS:
        files = read_files(str(name), data_dir=data_dir, offline=offline, progress=progress)
        return _READERS[str(name)](str(name), files)
    return read_folder(_existing(name), progress or (lambda _: None), crops=crops)


def check_name(name: str | Path) -> None:
    """Check that there is a data set of this name, or a folder, and read nothing of it.

    Raises:
        UsageError, InputError: there is none, as for ``load_dataset``.
    """
    if name not in NAMES:
        _existing(name)


def _existing(name: str | Path) -> Path:
    """Return the folder that ``name`` means, if there is one."""
    path = expand(name)
    # Not Path.is_dir, which raises for names that no file can have.
    if str(name) and os.path.isdir(path):  # noqa: PTH112
        return path
    if isinstance(name, Path) or any(mark in name for mark in (os.sep, ".", "~")):
        raise InputError(
            f"There is no folder {name}. Name a data set ({', '.join(NAMES)}) or a folder with one "
            "subfolder of pictures for each class."
        )
    error = unknown_name("data set", name, NAMES)
    error.args = (f"{error} Or name a folder with one subfolder of pictures for each class.",)
    raise error


def list_datasets() -> list[DatasetInfo]:
    """Return what there is to load; hashes the files that are here (seconds, if all are)."""
    return [DatasetInfo(*row, _is_here(row[0])) for row in _TABLE]


def _is_here(name: str) -> bool:
    if name == "digits8x8":
        return importlib.util.find_spec("sklearn") is not None
    return name == "sample" or is_available(name)
