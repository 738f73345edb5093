"""A folder of your own pictures as a data set.

It holds one subfolder for each class, with its pictures; or the subfolders ``train`` and ``test``
(also called ``training`` and ``testing``), each with such subfolders; or pictures and the table
``labels.csv``, whose columns ``file`` and ``label`` give the class of each.

Every picture is decoded once and processed like a picture to be recognised: its ink is located and
made canonical.

Where there is no test split, a fifth of each class (at least one picture) is set aside: those whose
files have the smallest SHA-256. So the choice needs no seed, does not depend on names, and stays
nearly the same when pictures are added. Copies of one picture stay together, so that none is both
learnt from and tested with.

Guarantees:

- Nothing is left out in silence: a picture that cannot be used is an error that names it.
- The hash of the data set is that of the names of its classes and the content of its pictures.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digitnet.data.dataset import Dataset, canonical_images
from digitnet.errors import InputError
from digitnet.files import storage_errors
from digitnet.reading.picture_formats import SHOWN_SUFFIXES, SUFFIXES
from digitnet.text import count_of

LABELS_FILE = "labels.csv"
TEST_SHARE = 0.2
MAX_PICTURES = 200_000
# As many as a model file may have, and as long.
MAX_CLASSES, MAX_NAME = 1000, 100

_TRAIN_FOLDERS, _TEST_FOLDERS = ("train", "training"), ("test", "testing")
_COLUMNS = ["file", "label"]
_SHOWN_ERRORS = 5
_LAYOUT = (
    "A folder of pictures holds one subfolder for each class, named as the class, with at least "
    "two pictures; or the subfolders train and test, each with such subfolders; or pictures and "
    f"a table {LABELS_FILE} with the columns file and label."
)

Progress = Callable[[str], None]
# The pictures of a split, each with the name of its class.
Listing = list[tuple[Path, str]]


@dataclass(frozen=True)
class ReadPicture:
    """A picture that was read: its label, the SHA-256 of its file, and its canonical image."""

    label: int
    digest: str
    image: NDArray[np.uint8]


def read_folder(folder: Path, progress: Progress, *, crops: bool = False) -> Dataset:
    """Return the pictures of a folder as a data set.

    Args:
        folder: an existing folder; see the module for what it holds.
        progress: is called with a line of text about what takes time or is left out.
        crops: whether the pictures are cut from rows of writing; see ``ink.find``.

    Raises:
        InputError: the folder has another layout, or a picture cannot be read or holds no ink.
        StorageError: the folder cannot be read.
        MissingExtraError: PyTorch is not installed.
    """
    with storage_errors(folder, "read"):
        folder = folder.resolve()
        listings = _listings(folder)
        names = _class_names(folder, listings)
        _note_left_out(folder, listings, progress)
    count = sum(map(len, listings))
    if count > MAX_PICTURES:
        raise InputError(f"{folder} holds {count:,} pictures; {MAX_PICTURES:,} are allowed.")
    progress(f"Reading {count:,} pictures of {len(names)} classes in {folder} …")
    splits = _read_all(folder, listings, names, crops)
    _note_copies(folder, names, splits, progress)
    train, test = splits if len(splits) > 1 else _set_aside(folder, names, splits[0])
    return Dataset(
        name=str(folder),
        train_images=np.stack([each.image for each in train]),
        train_labels=np.array([each.label for each in train], np.int64),
        test_images=np.stack([each.image for each in test]),
        test_labels=np.array([each.label for each in test], np.int64),
        class_names=names,
        sha256={"pictures": _digest(names, train, test)},
    )


def _listings(folder: Path) -> list[Listing]:
    """Return the pictures of each split that the folder has."""
    if (folder / LABELS_FILE).is_file():
        return [_from_table(folder)]
    found = {each.name for each in _subfolders(folder)}
    splits = [found & set(_TRAIN_FOLDERS), found & set(_TEST_FOLDERS)]
    if not any(splits):
        return [_from_class_folders(folder)]
    if not all(splits) or len(found) > len(splits):
        shown = f"{folder} holds the subfolders {', '.join(sorted(found)[:_SHOWN_ERRORS])}"
        raise InputError(f"{shown}; train and test must both be there, and no other. {_LAYOUT}")
    train, test = (folder / split.pop() for split in splits)
    listings = [_from_class_folders(train), _from_class_folders(test, all_filled=False)]
    if not listings[1]:
        raise InputError(f"The folder {test} holds no picture. Put some into its classes.")
    return listings


def _from_class_folders(part: Path, *, all_filled: bool = True) -> Listing:
    """Return the pictures in the folders of the classes, each sorted by name."""
    listing: Listing = []
    for folder in sorted(_subfolders(part), key=lambda each: _class_order(each.name)):
        if deeper := _subfolders(folder):
            raise InputError(f"{folder} holds another folder, {deeper[0].name}. {_LAYOUT}")
        pictures = [each for each in _files(folder) if each.name.lower().endswith(SUFFIXES)]
        if not pictures and all_filled:
            lacks = f"The class {folder.name} has no picture ({SHOWN_SUFFIXES}) in {part}"
            raise InputError(f"{lacks}; put some there, or remove its folders.")
        listing += [(path, folder.name) for path in pictures]
    return listing


def _subfolders(folder: Path) -> list[Path]:
    hidden = (".", "__MACOSX")
    return [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(hidden)]


def _files(folder: Path) -> list[Path]:
    shown = [each for each in folder.iterdir() if not each.name.startswith(".")]
    return sorted(each for each in shown if not each.is_dir())


def _from_table(folder: Path) -> Listing:
    """Return the pictures that ``labels.csv`` lists, in its order."""
    table = folder / LABELS_FILE
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            columns, rows = sorted(reader.fieldnames or []), list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{table} is not a CSV table in UTF-8: {error}.") from error
    if columns != _COLUMNS:
        found = f"{table} has the columns {', '.join(columns) or '(none)'}"
        raise InputError(f"{found}; expected file and label, separated by a comma.")
    listing: Listing = []
    errors: list[str] = []
    seen: set[Path] = set()
    for number, row in enumerate(rows, 1):
        path = Path(os.path.normpath(folder / (row["file"] or "")))
        if None in row or None in row.values():
            errors.append(f"row {number} does not have two values")
        elif not path.is_relative_to(folder):
            errors.append(f"row {number}: {row['file']!r} leads outside the folder")
        elif path in seen:
            errors.append(f"row {number}: {row['file']!r} is listed twice")
        elif not path.is_file():
            errors.append(f"row {number}: there is no file {row['file']!r}")
        else:
            listing.append((path, row["label"].strip()))
        seen.add(path)
    _raise_all(f"rows of {table} cannot be used. Correct them:", errors)
    return listing


def _class_order(name: str) -> tuple[bool, int, str]:
    """Order classes: numbers by their value, then the others."""
    return not name.isdecimal(), int(name) if name.isdecimal() else 0, name


def _class_names(folder: Path, listings: list[Listing]) -> tuple[str, ...]:
    """Return the names of the classes, which are those of the training pictures."""
    train, *others = ({name for _, name in listing} for listing in listings)
    if not 2 <= len(train) <= MAX_CLASSES:
        found = f"{folder} holds {count_of(len(train), 'class', 'classes')}"
        raise InputError(f"{found}; 2 to {MAX_CLASSES:,} are allowed. {_LAYOUT}")
    for unknown in (name for other in others for name in sorted(other - train)):
        raise InputError(f"{folder} has the class {unknown} only to test with. {_LAYOUT}")
    for name in train:
        if not name or not name.isprintable() or len(name) > MAX_NAME:
            allowed = f"a name has 1 to {MAX_NAME} printable characters"
            raise InputError(f"{folder} has a class called {name!r:.120}; {allowed}. Rename it.")
    return tuple(sorted(train, key=_class_order))


def _note_left_out(folder: Path, listings: list[Listing], progress: Progress) -> None:
    """Say which files lie in the folders of the pictures and are not among them."""
    used = {path for listing in listings for path, _ in listing}
    visited = {path.parent for path in used}
    visited |= {folder, *(each.parent for each in visited if each != folder)}
    others = sorted(path for each in visited for path in _files(each) if path not in used)
    if others := [path for path in others if path != folder / LABELS_FILE]:
        left_out = f"{count_of(len(others), 'file')} in {folder} left out, {others[0].name} first"
        progress(f"note: {left_out}: not a picture (.png, .jpg and so on) with a class.")


def _read_all(
    folder: Path, listings: list[Listing], names: tuple[str, ...], crops: bool
) -> list[list[ReadPicture]]:
    """Return the pictures of each split; one error names all that cannot be used."""
    labels = {name: label for label, name in enumerate(names)}
    errors: list[str] = []
    splits: list[list[ReadPicture]] = [[] for _ in listings]
    for split, listing in zip(splits, listings, strict=True):
        for path, name in listing:
            try:
                split.append(_read(path, labels[name], crops))
            except InputError as error:
                errors.append(str(error))
    _raise_all(f"of the pictures in {folder} cannot be used. Remove or replace them:", errors)
    return splits


def _read(path: Path, label: int, crops: bool) -> ReadPicture:
    # OpenCV takes a tenth of a second, which other data sets need not wait for.
    from digitnet.reading.ink.finder import find_ink
    from digitnet.reading.pictures import decode

    found = find_ink(decode(path), crop=crops)
    if found.box is None:
        raise InputError(f"{path} holds no ink: nothing stands out from its background.")
    with storage_errors(path, "read"), path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ReadPicture(label, digest, canonical_images([found.pixels])[0])


def _raise_all(headline: str, errors: Sequence[str]) -> None:
    """Raise one error for all of these, if there are any, which begins with their number."""
    if errors:
        headline = f"{len(errors):,} {headline}"
        shown = "".join(f"\n  - {error}" for error in errors[:_SHOWN_ERRORS])
        more = len(errors) - _SHOWN_ERRORS
        raise InputError(headline + shown + (f"\n  and {more:,} more" if more > 0 else ""))


def _note_copies(
    folder: Path, names: tuple[str, ...], splits: list[list[ReadPicture]], progress: Progress
) -> None:
    """Say which pictures belong to several classes, or are both learnt from and tested with."""
    labels: dict[str, set[int]] = {}
    for each in (each for split in splits for each in split):
        labels.setdefault(each.digest, set()).add(each.label)
    torn = [sorted(found) for found in labels.values() if len(found) > 1]
    if torn:
        first = " and ".join(names[label] for label in torn[0][:2])
        found = f"{count_of(len(torn), 'picture')} in {folder} in several classes (one in {first})"
        progress(f"note: {found}; what is learnt from one, the other contradicts.")
    both = set.intersection(*({each.digest for each in split} for split in splits))
    if len(splits) > 1 and both:
        found = f"{count_of(len(both), 'picture')} in {folder} both in train and in test"
        progress(f"note: {found}; what is measured on pictures learnt from says nothing.")


def _set_aside(
    folder: Path, names: tuple[str, ...], read: Sequence[ReadPicture]
) -> tuple[list[ReadPicture], list[ReadPicture]]:
    """Divide the pictures: of each class those with the smallest hashes are for testing."""
    train, test = [], []
    for label, name in enumerate(names):
        mine = sorted((each for each in read if each.label == label), key=lambda e: e.digest)
        # Copies count once, and go where the first of them goes.
        digests = sorted({each.digest for each in mine})
        if len(digests) < 2:
            lacks = f"The class {name} in {folder} has only 1 picture, copies aside"
            raise InputError(f"{lacks}; it needs one to learn from and one to test with.")
        tested = set(digests[: max(1, round(TEST_SHARE * len(digests)))])
        test += [each for each in mine if each.digest in tested]
        train += [each for each in mine if each.digest not in tested]
    return train, test


def _digest(names: tuple[str, ...], *splits: Sequence[ReadPicture]) -> str:
    """Return a hash of classes, splits, labels and the content of every file."""
    digest = hashlib.sha256("\0".join(names).encode())
    for split in splits:
        for each in split:
            digest.update(f"\n{each.label} {each.digest}".encode())
        digest.update(b"\n")
    return digest.hexdigest()
