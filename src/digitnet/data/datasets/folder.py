"""A folder of the user's own pictures as a data set: one subfolder a class.

Every picture goes the way that a picture to be recognised goes: decoded, its ink found, canonical.

The test split is the folder ``test`` beside ``train`` where there are these two. Otherwise a fifth
of each class (at least one picture) is set aside: those whose files have the smallest SHA-256. So
the choice needs no seed, does not depend on names, and stays nearly the same when pictures are
added. Copies of one picture stay together: none is learnt from and tested with.

Guarantees:

- Nothing is left out in silence: a picture that cannot be used is an error that names it.
- The hash of the data set is that of the names of its classes and the content of its pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digitnet.data.datasets.dataset import Dataset
from digitnet.data.datasets.resizing import canonical_pictures
from digitnet.errors import InputError
from digitnet.files import storage_errors
from digitnet.reading.suffixes import SHOWN_SUFFIXES, SUFFIXES
from digitnet.text import count_of

SPLITS = ("train", "test")
TEST_SHARE = 0.2
MAX_PICTURES = 200_000
# As many as a model file may have, and as long.
MAX_CLASSES, MAX_NAME = 1000, 100

_SHOWN_ERRORS = 5
_LAYOUT = (
    "A folder of pictures holds one subfolder for each class, named as the class, with at least "
    "two pictures; or the subfolders train and test, each with such subfolders."
)


@dataclass(frozen=True)
class _Read:
    """One picture: which class, the SHA-256 of its file, and its canonical image."""

    label: int
    digest: str
    image: NDArray[np.uint8]


def read_folder(
    folder: Path, tell: Callable[[str], None] = lambda _: None, *, crops: bool = False
) -> Dataset:
    """Return the pictures of a folder as a data set.

    Args:
        folder: an existing folder; see the module for what it holds.
        tell: is called with a line of text about what takes time or is left out.
        crops: whether the pictures are cut from rows of writing; see ``ink.find``.

    Raises:
        InputError: the folder is laid out otherwise, or a picture cannot be read or holds no ink.
        StorageError: the folder cannot be read.
        MissingExtraError: PyTorch is not installed.
    """
    with storage_errors(folder, "read"):
        folder = folder.resolve()
        parts = _parts(folder)
        names = _class_names(folder, parts[0])
        _tell_of_loose(parts, tell)
        files = [_files(part, names, tell) for part in parts]
    count = sum(len(each) for part in files for each in part)
    if count > MAX_PICTURES:
        raise InputError(f"{folder} holds {count:,} pictures; {MAX_PICTURES:,} are allowed.")
    tell(f"Reading {count:,} pictures of {len(names)} classes in {folder} …")
    read = _read_all(folder, files, crops)
    _tell_of_contradictions(folder, names, [each for part in read for each in part], tell)
    if len(read) == len(SPLITS):
        train, test = read
        _check_splits(folder, names, train, test, tell)
    else:
        train, test = _set_aside(folder, names, read[0])
    return Dataset(
        name=str(folder),
        train_images=_images(train),
        train_labels=_labels(train),
        test_images=_images(test),
        test_labels=_labels(test),
        class_names=names,
        sha256={"pictures": _digest(names, train, test)},
    )


def _parts(folder: Path) -> list[Path]:
    """Return the folders that hold the classes: one, or those of both splits."""
    found = {each.name for each in _subfolders(folder)}
    if not found.intersection(SPLITS):
        return [folder]
    if found != set(SPLITS):
        raise InputError(
            f"{folder} holds the subfolders {', '.join(sorted(found)[:_SHOWN_ERRORS])}. Where one "
            f"is called train or test, there must be both and no other. {_LAYOUT}"
        )
    return [folder / split for split in SPLITS]


def _tell_of_loose(parts: Sequence[Path], tell: Callable[[str], None]) -> None:
    """Tell of pictures that lie beside the folders of classes, and so have no class."""
    for part in parts:
        names = [each.name.lower() for each in part.iterdir() if not each.is_dir()]
        loose = sum(name.endswith(SUFFIXES) for name in names if not name.startswith("."))
        if loose:
            told = count_of(loose, "picture")
            tell(f"note: {told} in {part} left out: not in the folder of a class.")


def _subfolders(folder: Path) -> list[Path]:
    hidden = (".", "__MACOSX")
    return [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(hidden)]


def _class_names(folder: Path, part: Path) -> tuple[str, ...]:
    """Return the names of the classes: numbers by their value, then the others."""
    names = [each.name for each in _subfolders(part)]
    if not 2 <= len(names) <= MAX_CLASSES:
        raise InputError(
            f"{part} holds {count_of(len(names), 'subfolder')}; 2 to {MAX_CLASSES:,} classes are "
            f"allowed. {_LAYOUT}"
        )
    for name in names:
        if not name.isprintable() or len(name) > MAX_NAME:
            raise InputError(
                f"{folder} holds a subfolder called {name!r:.120}; the name of a class has up to "
                f"{MAX_NAME} characters that can be printed. Rename it."
            )
    return tuple(
        sorted(names, key=lambda n: (not n.isdecimal(), int(n) if n.isdecimal() else 0, n))
    )


def _files(part: Path, names: tuple[str, ...], tell: Callable[[str], None]) -> list[list[Path]]:
    """Return the pictures of each class of a split, sorted by name."""
    unknown = {each.name for each in _subfolders(part)} - set(names)
    if unknown:
        raise InputError(
            f"{part} holds the subfolder {min(unknown)}, which the folder beside it has not; both "
            "must have the same classes."
        )
    return [_pictures(part / name, tell) if (part / name).is_dir() else [] for name in names]


def _pictures(folder: Path, tell: Callable[[str], None]) -> list[Path]:
    if deeper := _subfolders(folder):
        raise InputError(
            f"{folder} holds another folder, {deeper[0].name}; pictures must lie in the folder of "
            "their class itself."
        )
    shown = [each for each in sorted(folder.iterdir()) if not each.name.startswith(".")]
    pictures = [each for each in shown if each.name.lower().endswith(SUFFIXES)]
    if len(pictures) < len(shown):
        left_out = count_of(len(shown) - len(pictures), "file")
        tell(f"note: {left_out} in {folder} left out: no name of a picture (.png, .jpg and so on).")
    return pictures


def _read_all(folder: Path, files: list[list[list[Path]]], crops: bool) -> list[list[_Read]]:
    """Return the pictures of each split; one error tells of all that cannot be used."""
    read: list[list[_Read]] = [[] for _ in files]
    errors: list[str] = []
    for part, classes in zip(read, files, strict=True):
        for label, paths in enumerate(classes):
            for path in paths:
                try:
                    part.append(_read(path, label, crops))
                except InputError as error:
                    errors.append(str(error))
    if errors:
        told = "\n".join(f"  - {error}" for error in errors[:_SHOWN_ERRORS])
        more = f"\n  and {len(errors) - _SHOWN_ERRORS:,} more" if errors[_SHOWN_ERRORS:] else ""
        raise InputError(
            f"{len(errors):,} of the pictures in {folder} cannot be used. Remove or replace them:\n"
            f"{told}{more}"
        )
    return read


def _tell_of_contradictions(
    folder: Path, names: tuple[str, ...], read: Sequence[_Read], tell: Callable[[str], None]
) -> None:
    """Tell of pictures that lie in the folders of several classes."""
    labels: dict[str, set[int]] = {}
    for each in read:
        labels.setdefault(each.digest, set()).add(each.label)
    torn = [sorted(found) for found in labels.values() if len(found) > 1]
    if torn:
        first = " and ".join(names[label] for label in torn[0][:2])
        tell(
            f"note: {count_of(len(torn), 'picture')} in {folder} in the folders of several classes "
            f"(one in {first}); what is learnt from one, the other contradicts."
        )


def _read(path: Path, label: int, crops: bool) -> _Read:
    # OpenCV takes a tenth of a second, which other data sets need not wait for.
    from digitnet.reading import ink, pictures

    found = ink.find(pictures.decode(path), crop=crops)
    if found.box is None:
        raise InputError(f"{path} holds no ink: nothing stands out from its ground.")
    with storage_errors(path, "read"), path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return _Read(label, digest, canonical_pictures([found.pixels])[0])


def _set_aside(
    folder: Path, names: tuple[str, ...], read: Sequence[_Read]
) -> tuple[list[_Read], list[_Read]]:
    """Divide the pictures: of each class those with the smallest hashes are for testing."""
    train, test = [], []
    for label, name in enumerate(names):
        mine = sorted((each for each in read if each.label == label), key=lambda e: e.digest)
        if len(mine) < 2:
            raise InputError(
                f"The class {name} in {folder} has {count_of(len(mine), 'picture')} "
                f"({SHOWN_SUFFIXES}); each class needs at least two, one to learn from and one to "
                "test with."
            )
        # Copies count once, and go where the first of them goes.
        digests = sorted({each.digest for each in mine})
        if len(digests) < 2:
            raise InputError(
                f"The class {name} in {folder} has copies of 1 picture only; each class needs two "
                "that differ, one to learn from and one to test with."
            )
        tested = set(digests[: max(1, round(TEST_SHARE * len(digests)))])
        test += [each for each in mine if each.digest in tested]
        train += [each for each in mine if each.digest not in tested]
    return train, test


def _check_splits(
    folder: Path,
    names: tuple[str, ...],
    train: Sequence[_Read],
    test: Sequence[_Read],
    tell: Callable[[str], None],
) -> None:
    """Refuse a class that nothing can be learnt of; tell of what is on both sides."""
    if not test:
        raise InputError(f"{folder / 'test'} holds no picture. Put some in the folders of classes.")
    known = {each.label for each in train}
    for label, name in enumerate(names):
        if label not in known:
            raise InputError(
                f"The class {name} has no picture ({SHOWN_SUFFIXES}) in {folder / 'train'}; put "
                "some there, or remove its folders."
            )
    both = {each.digest for each in train} & {each.digest for each in test}
    if both:
        tell(
            f"note: {len(both):,} of the pictures in {folder} are in train and in test; what is "
            "measured on pictures that were learnt from says nothing."
        )


def _images(read: Sequence[_Read]) -> NDArray[np.uint8]:
    return np.stack([each.image for each in read])


def _labels(read: Sequence[_Read]) -> NDArray[np.int64]:
    return np.array([each.label for each in read], np.int64)


def _digest(names: tuple[str, ...], *splits: Sequence[_Read]) -> str:
    """Return a hash of classes, splits, labels and the content of every file."""
    digest = hashlib.sha256("\0".join(names).encode())
    for split in splits:
        for each in split:
            digest.update(f"\n{each.label} {each.digest}".encode())
        digest.update(b"\n")
    return digest.hexdigest()
