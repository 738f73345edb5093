"""The user's own sets: an .npz file of pictures, or a folder of picture files for each digit.

An .npz file holds pictures, and what they show:

- pictures: ``x``, uint8 (N, H, W); or, of different sizes, ``data``, uint8, all pixels one after
  another, with ``offset``, N + 1 integers, and ``shape``, integers (N, 2): picture i is
  ``data[offset[i]:offset[i + 1]].reshape(shape[i])``;
- what they show: ``y`` or ``label``, N integers from 0 to 9; or N texts: numbers of any length,
  rows separated by ``|``. Of pictures that are not digits, ``kind``, N names, with no label or with
  words for one;
- optional: ``split``, N integers, 1 for test; ``kind`` and ``source``, N names: these are measured
  apart too. Of pictures that are not digits also ``digit_like``, N integers, 1 for what could
  fairly be read as one: the other parts are then of what could not.

A folder has one folder for each digit, ``0`` to ``9``, not all of them needed, with picture files.

Guarantees:

- Files are not trusted: nothing in one is executed, its size is checked before it is unpacked, and
  shapes, types and ranges before it is used.
- Whatever cannot be used is an ``InputError`` that names the file, what is wrong and what is
  allowed. Nothing is left out silently.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError, UsageError
from digitnet.experiments.picture_sets import (
    NON_DIGITS,
    NUMBERS,
    OWN,
    NamedSet,
    Parts,
    PictureSet,
    parts_by,
)
from digitnet.files import storage_errors

# Unpacked; a hundred thousand pictures of 100 × 100 pixels.
MAX_BYTES = 2**30
_LONGEST_SIDE = 20_000
_ARRAYS = (
    *("x", "data", "offset", "shape", "y", "label", "kind", "split", "source", "digit_like"),
)
_NUMBER = re.compile(r"[0-9]+(\|[0-9]+)*")
_FORMS = (
    "Needed are pictures ('x', or 'data' with 'offset' and 'shape') and what they show "
    "('y' or 'label', or 'kind' for pictures that are not digits)"
)
_Arrays = Mapping[str, NDArray[Any]]


def own_sets(paths: Iterable[Path]) -> list[NamedSet]:
    """Return a set for each path, named after it; every file is read and checked now.

    Raises:
        InputError: a path does not exist, or is not what the module describes.
        StorageError: it cannot be read.
        UsageError: two paths give one name.
    """
    sets: dict[str, NamedSet] = {}
    for path in paths:
        made = _own_set(path)
        if made.name in sets:
            raise UsageError(
                f"Two sets would be called '{made.name}', the second from {path}; rename one."
            )
        sets[made.name] = made
    return list(sets.values())


def _own_set(path: Path) -> NamedSet:
    with storage_errors(path, "read"):
        if not path.exists():
            raise InputError(f"There is no file or folder {path}.")
        folder = path.is_dir()
        made = _from_folder(path) if folder else from_arrays(_read_npz(path), path)
    name = path.resolve().name if folder else path.resolve().stem
    group = NUMBERS if made.texts else NON_DIGITS if made.labels is None else OWN
    return NamedSet(group, name, lambda: made)


def _from_folder(folder: Path) -> PictureSet:
    files: list[Path] = []
    for path in _visible(folder):
        if path.name not in map(str, range(10)) or not path.is_dir():
            raise InputError(
                f"{folder} holds '{path.name}'; it may hold nothing but folders named 0 to 9, each "
                "with pictures of that digit."
            )
        files += _visible(path)
    if not files:
        raise InputError(f"{folder} holds no pictures; put them into folders named 0 to 9.")
    for file in files:
        if not file.is_file():
            raise InputError(f"{file} is not a file; {file.parent} may hold nothing but pictures.")
    labels = np.array([int(file.parent.name) for file in files], np.int64)
    return PictureSet(len(files), files.__getitem__, labels)


def _visible(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file that the module's description names; others are not read."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise InputError(
                f"{path} would unpack to {size:,} bytes; the limit is {MAX_BYTES:,}. Split it."
            )
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files if name in _ARRAYS}
    except (InputError, OSError):
        raise
    except Exception as error:  # a dozen kinds, when a file is damaged, malicious or something else
        raise InputError(
            f"{path} is not an .npz file of plain arrays ({type(error).__name__}: {error}). "
            "numpy.savez writes one."
        ) from error


def from_arrays(arrays: _Arrays, path: Path) -> PictureSet:
    """Return the set that the arrays of a file hold.

    Args:
        arrays: by name, as the module describes.
        path: the file, for messages.

    Raises:
        InputError: an array is missing, or has another type, shape or range.
    """
    packed = {"data", "offset", "shape"} <= arrays.keys()
    label = next((name for name in ("y", "label") if name in arrays), None)
    if not (packed or "x" in arrays) or not (label or "kind" in arrays):
        held = ", ".join(f"'{name}'" for name in arrays) or "no array with a known name"
        raise InputError(f"{path} holds {held}. {_FORMS}.")
    made = _packed(arrays, path) if packed else _even(arrays, path)
    parts = _parts(arrays, made.count, path)
    if label and arrays[label].dtype.kind != "U":
        labels = _labels(arrays, label, made.count, path)
        return PictureSet(made.count, made.picture, labels, parts)
    if label and (texts := _texts(arrays, label, made.count, path)):
        return PictureSet(made.count, made.picture, None, parts, texts=texts)
    if "digit_like" in arrays:
        parts = _parts_by_likeness(arrays, made.count, parts, path)
    return PictureSet(made.count, made.picture, None, parts)


def _labels(arrays: _Arrays, name: str, count: int, path: Path) -> NDArray[np.int64]:
    labels = _column(arrays, name, "iu", count, path)
    if labels.min() < 0 or labels.max() > 9:
        raise InputError(
            f"{path}: '{name}' goes from {labels.min()} to {labels.max()}; labels are 0 to 9, and "
            "longer numbers texts."
        )
    return labels.astype(np.int64)


def _texts(arrays: _Arrays, name: str, count: int, path: Path) -> tuple[str, ...] | None:
    """Return numbers, rows separated by newlines; None where words say what is no digit."""
    texts = _column(arrays, name, "U", count, path).tolist()
    words = [text for text in texts if not _NUMBER.fullmatch(text)]
    if len(words) == count and "kind" in arrays:
        return None
    if words:
        raise InputError(
            f"{path}: '{name}' has {words[0]!r}; numbers are written with the digits 0 to 9, rows "
            "separated by '|'. Where no picture is a number, words are allowed, with 'kind'."
        )
    return tuple(text.replace("|", "\n") for text in texts)


def _require(fits: object, arrays: _Arrays, names: Iterable[str], wanted: str, path: Path) -> None:
    """Raise an ``InputError`` that describes the arrays ``names``, unless they are as wanted."""
    if not fits:
        held = ", ".join(f"'{name}' is {arrays[name].dtype} {arrays[name].shape}" for name in names)
        raise InputError(f"{path}: {held}; {wanted}.")


def _even(arrays: _Arrays, path: Path) -> PictureSet:
    x = arrays["x"]
    fits = x.dtype == np.uint8 and x.ndim == 3 and x.size and max(x.shape[1:]) <= _LONGEST_SIDE
    wanted = f"pictures must be uint8 (N, H, W), N from 1, H and W from 1 to {_LONGEST_SIDE:,}"
    _require(fits, arrays, ["x"], wanted, path)
    return PictureSet(len(x), x.__getitem__, None)


def _packed(arrays: _Arrays, path: Path) -> PictureSet:
    names = ("data", "offset", "shape")
    data, offset, shape = (arrays[name] for name in names)
    count = len(shape) if shape.ndim == 2 else 0
    forms = data.ndim == 1 and shape.shape == (count, 2) and offset.shape == (count + 1,)
    types = data.dtype == np.uint8 and offset.dtype.kind in "iu" and shape.dtype.kind in "iu"
    fits = count and forms and types and ((shape > 0) & (shape <= _LONGEST_SIDE)).all()
    sides = f"integers (N, 2) from 1 to {_LONGEST_SIDE:,}"
    wanted = f"they must be uint8 (M,), integers (N + 1,) and {sides}, N from 1"
    _require(fits, arrays, names, wanted, path)
    # Signed, so that an offset that is too large for it is below 0 and refused.
    starts, sizes = offset.astype(np.int64), shape.astype(np.int64)
    inside = (starts[:-1] >= 0) & (starts[1:] <= len(data))
    wrong = np.flatnonzero(~inside | (np.diff(starts) != sizes.prod(axis=1)))
    if wrong.size:
        index = int(wrong[0])
        raise InputError(
            f"{path}: picture {index} has shape {tuple(shape[index].tolist())}, but 'offset' puts "
            f"it at {offset[index]} to {offset[index + 1]} of the {len(data):,} pixels of 'data'."
        )
    return PictureSet(count, lambda i: data[starts[i] : starts[i + 1]].reshape(sizes[i]), None)


def _column(arrays: _Arrays, name: str, kinds: str, count: int, path: Path) -> NDArray[Any]:
    """Return an array that says something about each picture, of some kinds of NumPy's types."""
    fits = arrays[name].dtype.kind in kinds and arrays[name].shape == (count,)
    names = {"U": "text", "iu": "integers", "Uiu": "text or integers"}
    wanted = f"for {count} pictures it must be {names[kinds]} ({count},)"
    _require(fits, arrays, [name], wanted, path)
    return arrays[name]


def _parts(arrays: _Arrays, count: int, path: Path) -> Parts:
    parts: Parts = ()
    if "split" in arrays:
        test = _column(arrays, "split", "Uiu", count, path).astype(np.str_) == "1"
        parts = (("test", test),) if test.any() else ()
    for name in ("kind", "source"):
        if name in arrays:
            parts += parts_by(_column(arrays, name, "Uiu", count, path).astype(np.str_))
    return parts


def _parts_by_likeness(arrays: _Arrays, count: int, parts: Parts, path: Path) -> Parts:
    """Return what is digit-like, what is not, and of each part what is not."""
    like = _column(arrays, "digit_like", "iu", count, path) == 1
    both: Parts = (("not digit-like", ~like), ("digit-like", like))
    rest = ((name, chosen & ~like) for name, chosen in parts)
    return tuple((name, chosen) for name, chosen in (*both, *rest) if chosen.any())
