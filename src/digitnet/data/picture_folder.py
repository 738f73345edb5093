"""A folder of your own pictures as a data set.

It holds one subfolder for each class, with its pictures; or the subfolders ``train`` and ``test``
(also called ``training`` and ``testing``), each with such subfolders; or pictures and the table
``labels.csv``, whose columns ``file`` and ``label`` give the class of each.

Every picture is decoded once and processed like a picture to be recognised. Classes with names of
one letter are signs, which digitnet's own model finds; others are things, whose pictures are taken
whole.

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
import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digitnet.data.dataset import Dataset
from digitnet.errors import InputError
from digitnet.files import storage_errors
from digitnet.reading.picture_formats import SHOWN_SUFFIXES, SUFFIXES
from digitnet.text import count_of

if TYPE_CHECKING:
    from digitnet.reading.recognizer import Recognizer

LABELS_FILE = "labels.csv"
TEST_SHARE = 0.2
# As many as a model file may have, and as long.
MAX_CLASSES, MAX_NAME = 1000, 100

_SHOWN_ERRORS = 5
_LAYOUT = (
    "A folder of pictures holds one subfolder for each class, named as the class, with at least "
    "three pictures; or the subfolders train and test, each with such subfolders; or pictures and "
    f"a table {LABELS_FILE} with the columns file and label."
)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class LabelledPicture:
    """A picture of a class.

    Args:
        path: its file.
        class_name: the name of its class.
        tests: whether it is to test with, not to learn from.
    """

    path: Path
    class_name: str
    tests: bool = False


def read_folder(folder: Path, progress: Progress, *, crops: bool = False) -> Dataset:
    """Return the pictures of a folder as a data set.

    Args:
        folder: an existing folder; see the module for what it holds.
        progress: is called with a line of text about what takes time or is left out.
        crops: whether the pictures are cut from rows of writing; the digit in the middle counts.

    Raises:
        InputError: the folder has another layout, a class has too few pictures, or a picture
            cannot be read or holds no ink.
        StorageError: the folder cannot be read.
        MissingExtraError: PyTorch is not installed.
    """
    with storage_errors(folder, "read"):
        folder = folder.resolve()
        listed = _listed(folder)
        names = _class_names(folder, listed)
        _note_left_out(folder, listed, progress)
        progress(f"Reading {len(listed):,} pictures of {len(names)} classes in {folder} …")
        signs = all(len(name) == 1 for name in names)
        images = _read_all(folder, listed, crops=crops, signs=signs)
        digests = np.array([hashlib.sha256(each.path.read_bytes()).hexdigest() for each in listed])
    _note_copies(folder, listed, digests, progress)
    labels = np.array([names.index(each.class_name) for each in listed], np.int64)
    tests = np.array([each.tests for each in listed])
    if not tests.any():
        # Whatever the files are called.
        order = np.lexsort((digests, labels))
        images, labels, digests = images[order], labels[order], digests[order]
        tests = _set_aside(labels, digests)
    counts = np.bincount(labels[~tests], minlength=len(names))
    if (few := counts.min()) < 2:
        lacks = f"The class {names[counts.argmin()]} in {folder} has {count_of(few, 'picture')}"
        raise InputError(f"{lacks} to learn from; it needs two, and a third to test with.")
    rows = np.array([f"\n{label} {each}" for label, each in zip(labels, digests, strict=True)])
    content = "".join(["\0".join(names), *rows[~tests], "\n", *rows[tests], "\n"])
    return Dataset(
        name=str(folder),
        train_images=images[~tests],
        train_labels=labels[~tests],
        test_images=images[tests],
        test_labels=labels[tests],
        class_names=names,
        sha256={"pictures": hashlib.sha256(content.encode()).hexdigest()},
    )


def _listed(folder: Path) -> list[LabelledPicture]:
    """Return the pictures of a folder of any of the three layouts."""
    if (folder / LABELS_FILE).is_file():
        return _from_table(folder)
    found = {each.name for each in _subfolders(folder)}
    splits = [found & {"train", "training"}, found & {"test", "testing"}]
    if not any(splits):
        return _from_class_folders(folder)
    if not all(splits) or len(found) > len(splits):
        shown = f"{folder} holds the subfolders {', '.join(sorted(found)[:_SHOWN_ERRORS])}"
        raise InputError(f"{shown}; train and test must both be there, and no other. {_LAYOUT}")
    train, test = (folder / split.pop() for split in splits)
    tests = _from_class_folders(test, tests=True)
    if not tests:
        raise InputError(f"The folder {test} holds no picture. Put some into its classes.")
    return _from_class_folders(train) + tests


def _from_class_folders(part: Path, *, tests: bool = False) -> list[LabelledPicture]:
    """Return the pictures in the folders of the classes, each sorted by name."""
    files: list[LabelledPicture] = []
    for folder in sorted(_subfolders(part), key=lambda each: _class_order(each.name)):
        if deeper := _subfolders(folder):
            raise InputError(f"{folder} holds another folder, {deeper[0].name}. {_LAYOUT}")
        pictures = [each for each in _files(folder) if each.name.lower().endswith(SUFFIXES)]
        if not pictures and not tests:
            lacks = f"The class {folder.name} has no picture ({SHOWN_SUFFIXES}) in {part}"
            raise InputError(f"{lacks}; put some there, or remove its folders.")
        files += [LabelledPicture(path, folder.name, tests) for path in pictures]
    return files


def _subfolders(folder: Path) -> list[Path]:
    hidden = (".", "__MACOSX")
    return [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(hidden)]


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and not p.is_dir())


def _from_table(folder: Path) -> list[LabelledPicture]:
    """Return the pictures that ``labels.csv`` lists, in its order."""
    table = folder / LABELS_FILE
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            columns, rows = list(reader.fieldnames or []), list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{table} is not a CSV table in UTF-8: {error}.") from error
    if sorted(columns) != ["file", "label"]:
        found = f"{table} has the columns {', '.join(columns) or '(none)'}"
        raise InputError(f"{found}; expected file and label, separated by a comma.")
    files: list[LabelledPicture] = []
    errors: list[str] = []
    seen: set[Path] = set()
    for number, row in enumerate(rows, 1):
        path = Path(os.path.normpath(folder / (row["file"] or "")))
        if None in row or None in row.values():
            errors.append(f"row {number} does not have two values")
        elif path in seen:
            errors.append(f"row {number}: {row['file']!r} is listed twice")
        elif not path.is_relative_to(folder) or not os.path.isfile(path):  # noqa: PTH113
            errors.append(f"row {number}: there is no file {row['file']!r} in the folder")
        else:
            files.append(LabelledPicture(path, row["label"].strip()))
        seen.add(path)
    _raise_all(f"of the rows of {table} cannot be used. What to correct:", errors)
    return files


def _class_order(name: str) -> tuple[bool, int, str]:
    """Order classes: numbers by their value, then the others."""
    return not name.isdecimal(), int(name) if name.isdecimal() else 0, name


def _class_names(folder: Path, files: list[LabelledPicture]) -> tuple[str, ...]:
    """Return the names of the classes, which are those of the training pictures."""
    names = {each.class_name for each in files if not each.tests}
    if not 2 <= len(names) <= MAX_CLASSES:
        found = f"{folder} holds {count_of(len(names), 'class', 'classes')}"
        raise InputError(f"{found}; 2 to {MAX_CLASSES:,} are allowed. {_LAYOUT}")
    for name in sorted({each.class_name for each in files}):
        if name not in names:
            raise InputError(f"{folder} has the class {name} only to test with. {_LAYOUT}")
        if not name or not name.isprintable() or len(name) > MAX_NAME:
            allowed = f"a name has 1 to {MAX_NAME} printable characters"
            raise InputError(f"{folder} has a class called {name!r:.120}; {allowed}. Rename it.")
    return tuple(sorted(names, key=_class_order))


def _note_left_out(folder: Path, files: list[LabelledPicture], progress: Progress) -> None:
    """Say which files lie in the folders of the pictures and are not among them."""
    used = {each.path for each in files} | {folder / LABELS_FILE}
    visited = {path.parent for path in used}
    visited |= {each.parent for each in visited if each != folder}
    if (folder / LABELS_FILE).is_file():
        visited |= {Path(place) for place, _, _ in os.walk(folder)}
    if others := sorted(path for each in visited for path in _files(each) if path not in used):
        left_out = f"{count_of(len(others), 'file')} in {folder} left out, {others[0].name} first"
        progress(f"note: {left_out}: not a picture (.png, .jpg and so on) with a class.")


def _read_all(
    folder: Path, listed: list[LabelledPicture], *, crops: bool, signs: bool
) -> NDArray[np.uint8]:
    """Return the canonical images (N, 28, 28); one error names all pictures that give none."""
    images: list[NDArray[np.uint8]] = []
    errors: list[str] = []
    for picture in listed:
        try:
            images.append(_canonical(picture.path, crops=crops, signs=signs))
        except InputError as error:
            errors.append(str(error))
    _raise_all(f"of the pictures in {folder} cannot be used. What to remove or replace:", errors)
    return np.stack(images)


def _canonical(path: Path, *, crops: bool, signs: bool) -> NDArray[np.uint8]:
    """Return the canonical image of a picture, (28, 28), as digitnet's own model sees it."""
    from digitnet.reading.pictures import load

    image = _recognizer().seen_in(load(path), crops=crops, signs=signs)
    if image is None:
        raise InputError(f"{path} holds no ink: nothing stands out from its background.")
    return image


@functools.cache
def _recognizer() -> Recognizer:
    # ONNX Runtime takes a tenth of a second, which other data sets need not wait for.
    from digitnet.reading.recognizer import Recognizer

    return Recognizer(threads=1)


def _raise_all(headline: str, errors: Sequence[str]) -> None:
    """Raise one error for all of these, if there are any, which begins with their number."""
    if errors:
        headline = f"{len(errors):,} {headline}"
        shown = "".join(f"\n  - {error}" for error in errors[:_SHOWN_ERRORS])
        more = len(errors) - _SHOWN_ERRORS
        raise InputError(headline + shown + (f"\n  and {more:,} more" if more > 0 else ""))


def _note_copies(
    folder: Path, listed: list[LabelledPicture], digests: NDArray[np.str_], progress: Progress
) -> None:
    """Say which pictures belong to several classes, or are both learnt from and tested with."""
    classes: dict[str, set[str]] = {}
    for digest, each in zip(digests, listed, strict=True):
        classes.setdefault(digest, set()).add(each.class_name)
    if torn := [sorted(names, key=_class_order) for names in classes.values() if len(names) > 1]:
        first = " and ".join(torn[0][:2])
        found = f"{count_of(len(torn), 'picture')} in {folder} in several classes (one in {first})"
        progress(f"note: {found}; what is learnt from one, the other contradicts.")
    splits = {(digest, each.tests) for digest, each in zip(digests, listed, strict=True)}
    if both := len(splits) - len(classes):
        found = f"{count_of(both, 'picture')} in {folder} both in train and in test"
        progress(f"note: {found}; what is measured on pictures learnt from says nothing.")


def _set_aside(labels: NDArray[np.int64], digests: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return which pictures to test with: of each class those with the smallest hashes."""
    tests = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        mine = labels == label
        # Copies count once, and stay together.
        distinct = np.unique(digests[mine])
        last = distinct[max(1, round(TEST_SHARE * len(distinct))) - 1]
        tests |= mine & (digests <= last)
    return tests
