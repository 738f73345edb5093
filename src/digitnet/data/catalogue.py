"""A data set by its name or its folder, and the list of what there is.

Guarantees:

- ``load_dataset`` returns verified content only, checked for shape, range and count.
- Images of another size become 28 × 28 by ``Canonical``, the same on every machine.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from digitnet.data import published
from digitnet.data.dataset import DIGIT_NAMES, Dataset
from digitnet.data.fetching import expand, fetch, is_available
from digitnet.data.picture_folder import read_folder
from digitnet.data.pins import known_datasets, pinned_datasets
from digitnet.errors import InputError, UsageError, unknown_name

_SHIPPED = {"sample": published.read_sample, "digits8x8": published.read_digits8x8}
_READERS = {
    "idx": published.read_idx_set,
    "emnist": published.read_emnist,
    "qmnist": published.read_qmnist,
    "usps": published.read_usps,
}


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
        crops: whether the pictures of a folder are cut from rows of writing; see ``find_ink``.
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
    if isinstance(name, str) and name in _SHIPPED:
        return _SHIPPED[name]()
    if isinstance(name, str) and name in pinned_datasets():
        copies = fetch(name, data_dir=data_dir, offline=offline, progress=progress)
        contents = {copy.name: copy.content for copy in copies}
        return _READERS[pinned_datasets()[name].format](name, contents)
    return read_folder(_existing(name), progress or (lambda _: None), crops=crops)


def check_name(name: str | Path) -> None:
    """Check that there is a data set of this name, or a folder, and read nothing of it.

    Raises:
        UsageError, InputError: there is none, as for ``load_dataset``.
    """
    if name not in known_datasets():
        _existing(name)


def list_datasets() -> list[DatasetInfo]:
    """Return what there is to load; hashes the files that are here (seconds, if all are)."""
    shown = ("train_images", "test_images", "source", "licence")
    return [
        DatasetInfo(
            name=name,
            classes=len(about.get("class_names", DIGIT_NAMES)),
            available=_is_here(name),
            **{field: about[field] for field in shown},
        )
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


def _is_here(name: str) -> bool:
    if name == "digits8x8":
        return importlib.util.find_spec("sklearn") is not None
    return name == "sample" or is_available(name)
