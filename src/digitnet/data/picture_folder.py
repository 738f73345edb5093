"""A folder of your own pictures as a data set.

It holds one subfolder for each class, with its pictures; or the subfolders ``train`` and ``test``
(also called ``training`` and ``testing``), each with such subfolders; or pictures and the table
``labels.csv``, whose columns ``file`` and ``label`` give the class of each.

Every picture goes the way that a picture to be recognised goes: decoded once, its ink found,
canonical.

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
from collections.abc import Callable, Iterable, Sequence
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
COLUMNS = ["file", "label"]
TEST_SHARE = 0.2
MAX_PICTURES = 200_000
# As many as a model file may have, and as long.
MAX_CLASSES, MAX_NAME = 1000, 100

_TRAIN_FOLDERS, _TEST_FOLDERS = ("train", "training"), ("test", "testing")
_SHOWN_ERRORS = 5
_LAYOUT = (
    "A folder of pictures holds one subfolder for each class, named as the class, with at least "
    "two pictures; or the subfolders train and test, each with such subfolders; or pictures and "
    f"a table {LABELS_FILE} with the columns file and label."
)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class LabelledFile:
    """A picture before it is read: where it is, and the name of its class."""

    path: Path
    class_name: str


@dataclass(frozen=True)
class ReadPicture:
    """A picture that was read: its label, the SHA-256 of its file, and its canonical image."""

    label: int
    digest: str
    image: NDArray[np.uint8]


def read_folder(
    folder: Path, progress: Progress = lambda _: None, *, crops: bool = False
) -> Dataset:
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
        names, splits = _layout(folder, progress)
    count = sum(map(len, splits))
    if count > MAX_PICTURES:
        raise InputError(f"{folder} holds {count:,} pictures; {MAX_PICTURES:,} are allowed.")
    progress(f"Reading {count:,} pictures of {len(names)} classes in {folder} …")
    read = _read_all(folder, splits, names, crops)
    _note_contradictions(folder, names, [each for split in read for each in split], progress)
    if len(read) == 1:
        train, test = _set_aside(folder, names, read[0])
    else:
        train, test = read
        _check_splits(folder, names, train, test, progress)
    return Dataset(
        name=str(folder),
        train_images=np.stack([each.image for each in train]),
        train_labels=np.array([each.label for each in train], np.int64),
        test_images=np.stack([each.image for each in test]),
        test_labels=np.array([each.label for each in test], np.int64),
        class_names=names,
        sha256={"pictures": _digest(names, train, test)},
    )


def _layout(folder: Path, progress: Progress) -> tuple[tuple[str, ...], list[list[LabelledFile]]]:
    """Return the names of the classes, and the pictures of each split that the folder has."""
    if (folder / LABELS_FILE).is_file():
        files = _from_table(folder, progress)
        return _class_names(folder, {each.class_name for each in files}), [files]
    parts = _parts(folder)
    names = _class_names(parts[0], {each.name for each in _subfolders(parts[0])})
    for part in parts:
        unknown = {each.name for each in _subfolders(part)} - set(names)
        if unknown:
            raise InputError(
                f"{part} holds the subfolder {min(unknown)}, which {parts[0]} does not; both must "
                "have the same classes."
            )
        if loose := len(_pictures(part)):
            progress(
                f"note: {count_of(loose, 'picture')} in {part} left out: not in the folder of a "
                "class."
            )
    return names, [_from_class_folders(part, names, progress) for part in parts]


def _parts(folder: Path) -> list[Path]:
    """Return the folders that hold the classes: one, or those of both splits."""
    found = {each.name for each in _subfolders(folder)}
    train, test = found & set(_TRAIN_FOLDERS), found & set(_TEST_FOLDERS)
    if not train and not test:
        return [folder]
    if len(train) != 1 or len(test) != 1 or len(found) != 2:
        raise InputError(
            f"{folder} holds the subfolders {', '.join(sorted(found)[:_SHOWN_ERRORS])}. Where one "
            f"is called train or test, there must be both and no other. {_LAYOUT}"
        )
    return [folder / train.pop(), folder / test.pop()]


def _subfolders(folder: Path) -> list[Path]:
    hidden = (".", "__MACOSX")
    return [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(hidden)]


def _files(folder: Path) -> list[Path]:
    shown = (each for each in folder.iterdir() if not each.name.startswith("."))
    return sorted(each for each in shown if not each.is_dir())


def _pictures(folder: Path) -> list[Path]:
    return [each for each in _files(folder) if each.name.lower().endswith(SUFFIXES)]


def _class_names(folder: Path, names: set[str]) -> tuple[str, ...]:
    """Return the names of the classes in order: numbers by their value, then the others."""
    if not 2 <= len(names) <= MAX_CLASSES:
        raise InputError(
            f"{folder} holds {count_of(len(names), 'class', 'classes')}; 2 to {MAX_CLASSES:,} are "
            f"allowed. {_LAYOUT}"
        )
    for name in names:
        if not name or not name.isprintable() or len(name) > MAX_NAME:
            raise InputError(
                f"{folder} has a class called {name!r:.120}; the name of a class has 1 to "
                f"{MAX_NAME} printable characters. Rename it."
            )
    return tuple(
        sorted(names, key=lambda n: (not n.isdecimal(), int(n) if n.isdecimal() else 0, n))
    )


def _from_class_folders(
    part: Path, names: tuple[str, ...], progress: Progress
) -> list[LabelledFile]:
    """Return the pictures in the folders of the classes, each sorted by name."""
    listed: list[LabelledFile] = []
    for folder in (part / name for name in names if (part / name).is_dir()):
        if deeper := _subfolders(folder):
            raise InputError(
                f"{folder} holds another folder, {deeper[0].name}; pictures must lie in the folder "
                "of their class itself."
            )
        pictures = _pictures(folder)
        if others := len(_files(folder)) - len(pictures):
            progress(
                f"note: {count_of(others, 'file')} in {folder} left out: not named as a picture "
                "(.png, .jpg and so on)."
            )
        listed += [LabelledFile(path, folder.name) for path in pictures]
    return listed


def _from_table(folder: Path, progress: Progress) -> list[LabelledFile]:
    """Return the pictures that ``labels.csv`` lists, in its order."""
    listed: list[LabelledFile] = []
    errors: list[str] = []
    seen: set[Path] = set()
    for line, row in _rows(folder / LABELS_FILE):
        name, label = row
        path = Path(os.path.normpath(folder / name))
        if not path.is_relative_to(folder):
            errors.append(f"line {line}: {name!r} leads outside the folder")
        elif path in seen:
            errors.append(f"line {line}: {name!r} is listed twice")
        elif not path.is_file():
            errors.append(f"line {line}: there is no file {name!r}")
        seen.add(path)
        listed.append(LabelledFile(path, label))
    _raise_all(f"{folder / LABELS_FILE} has {{}} lines that cannot be used. Correct them:", errors)
    if others := len(set(_pictures(folder)) - seen):
        progress(f"note: {count_of(others, 'picture')} in {folder} left out: not in {LABELS_FILE}.")
    return listed


def _rows(table: Path) -> list[tuple[int, list[str]]]:
    """Return file and label of each line of a table, with the number of the line."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, skipinitialspace=True)
            rows = [(reader.line_num, row) for row in reader if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{table} is not a CSV table in UTF-8: {error}.") from error
    columns = [name.strip().lower() for name in rows[0][1]] if rows else []
    if sorted(columns) != COLUMNS:
        raise InputError(
            f"{table} has the columns {', '.join(columns) or '(none)'}; expected file and label, "
            "separated by a comma, and no others."
        )
    for line, row in rows[1:]:
        if len(row) != len(COLUMNS):
            raise InputError(f"Line {line} of {table} has {len(row)} values instead of 2.")
    first = columns.index("file")
    return [(line, [row[first], row[1 - first].strip()]) for line, row in rows[1:]]


def _read_all(
    folder: Path, splits: list[list[LabelledFile]], names: tuple[str, ...], crops: bool
) -> list[list[ReadPicture]]:
    """Return the pictures of each split; one error names all that cannot be used."""
    labels = {name: label for label, name in enumerate(names)}
    errors: list[str] = []
    read: list[list[ReadPicture]] = []
    for split in splits:
        read.append([])
        for file in split:
            try:
                read[-1].append(_read(file.path, labels[file.class_name], crops))
            except InputError as error:
                errors.append(str(error))
    _raise_all(f"{{}} of the pictures in {folder} cannot be used. Remove or replace them:", errors)
    return read


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
    """Raise one error for all of these, if there are any; ``headline`` has {} for their number."""
    if not errors:
        return
    shown = "\n".join(f"  - {error}" for error in errors[:_SHOWN_ERRORS])
    more = f"\n  and {len(errors) - _SHOWN_ERRORS:,} more" if errors[_SHOWN_ERRORS:] else ""
    raise InputError(f"{headline.format(f'{len(errors):,}')}\n{shown}{more}")


def _note_contradictions(
    folder: Path, names: tuple[str, ...], read: Iterable[ReadPicture], progress: Progress
) -> None:
    """Say which pictures belong to several classes."""
    labels: dict[str, set[int]] = {}
    for each in read:
        labels.setdefault(each.digest, set()).add(each.label)
    torn = [sorted(found) for found in labels.values() if len(found) > 1]
    if torn:
        first = " and ".join(names[label] for label in torn[0][:2])
        progress(
            f"note: {count_of(len(torn), 'picture')} in {folder} in several classes (one in "
            f"{first}); what is learnt from one, the other contradicts."
        )


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
            copies = "copies of " if len(mine) > 1 else ""
            raise InputError(
                f"The class {name} in {folder} has {copies}{count_of(len(digests), 'picture')} "
                f"({SHOWN_SUFFIXES}); each class needs at least two that differ, one to learn from "
                "and one to test with."
            )
        tested = set(digests[: max(1, round(TEST_SHARE * len(digests)))])
        test += [each for each in mine if each.digest in tested]
        train += [each for each in mine if each.digest not in tested]
    return train, test


def _check_splits(
    folder: Path,
    names: tuple[str, ...],
    train: Sequence[ReadPicture],
    test: Sequence[ReadPicture],
    progress: Progress,
) -> None:
    """Refuse a class without training pictures; say which pictures are in both splits."""
    if not test:
        raise InputError(
            f"The test folder in {folder} holds no picture. Put some in the folders of classes."
        )
    known = {each.label for each in train}
    for label, name in enumerate(names):
        if label not in known:
            raise InputError(
                f"The class {name} in {folder} has no picture ({SHOWN_SUFFIXES}) to train on; put "
                "some there, or remove its folders."
            )
    both = {each.digest for each in train} & {each.digest for each in test}
    if both:
        progress(
            f"note: {len(both):,} of the pictures in {folder} are in train and in test; what is "
            "measured on pictures that were learnt from says nothing."
        )


def _digest(names: tuple[str, ...], *splits: Sequence[ReadPicture]) -> str:
    """Return a hash of classes, splits, labels and the content of every file."""
    digest = hashlib.sha256("\0".join(names).encode())
    for split in splits:
        for each in split:
            digest.update(f"\n{each.label} {each.digest}".encode())
        digest.update(b"\n")
    return digest.hexdigest()
