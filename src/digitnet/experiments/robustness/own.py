"""The user's own sets: an .npz file of pictures, or a folder of picture files for each digit.

An .npz file holds pictures, and what they show:

- pictures: ``x``, uint8 (N, H, W); or, of different sizes, ``data``, uint8, all pixels one after
  another, with ``offset``, N + 1 integers, and ``shape``, integers (N, 2): picture i is
  ``data[offset[i]:offset[i + 1]].reshape(shape[i])``;
- what they show: ``y`` or ``label``, N integers from 0 to 9; or, of pictures that are no digits,
  ``kind``, N names;
- optional: ``split``, N integers, 1 for test; ``source``, N names. Both are measured apart too.

A folder has one folder for each digit, ``0`` to ``9``, not all of them needed, with picture files.

Guarantees:

- A file is foreign: nothing in it is executed, its size is checked before it is unpacked, and
  shapes, types and ranges before it is used.
- Whatever cannot be used is an ``InputError`` that names the file, what was found and what is
  allowed. Nothing is left out silently.
"""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.data.dataset import DIGIT_NAMES
from digitnet.errors import InputError, UsageError
from digitnet.experiments.robustness.built_in import NON_DIGITS
from digitnet.experiments.robustness.sets import Drawn, Part, PictureSet, Plan, parts_by
from digitnet.files import storage_errors

OWN = "own"

# Unpacked; a hundred thousand pictures of 100 × 100 pixels.
MAX_BYTES = 2**30
_LONGEST_SIDE = 20_000
_ARRAYS = ("x", "data", "offset", "shape", "y", "label", "kind", "split", "source")
_FORMS = (
    "Needed are pictures ('x', or 'data' with 'offset' and 'shape') and what they show "
    "('y' or 'label', or 'kind' for pictures of no digits)"
)
# What zipfile and numpy raise at a file that is damaged, hostile or something else.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    EOFError,
    KeyError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
_Arrays = Mapping[str, NDArray[Any]]


def own(paths: Iterable[Path]) -> list[Plan]:
    """Return a plan for each path, named after it; every file is read and checked now.

    Raises:
        InputError: a path does not exist, or is nothing that the module describes.
        StorageError: it cannot be read.
        UsageError: two paths give one name.
    """
    plans: dict[str, Plan] = {}
    for path in paths:
        plan = _plan(path)
        if plan.name in plans:
            raise UsageError(
                f"Two sets would be called '{plan.name}', the second from {path}; rename one."
            )
        plans[plan.name] = plan
    return list(plans.values())


def _plan(path: Path) -> Plan:
    with storage_errors(path, "read"):
        if path.is_dir():
            made = _from_folder(path)
        elif path.is_file():
            made = from_arrays(_read_npz(path), path)
        else:
            raise InputError(f"There is no file or folder {path}.")
    group = NON_DIGITS if made.labels is None else OWN
    whole = path.resolve()
    return Plan(group, whole.name if path.is_dir() else whole.stem, lambda: made)


def _from_folder(folder: Path) -> PictureSet:
    allowed = list(DIGIT_NAMES)
    visible = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    for path in visible:
        if path.name not in allowed or not path.is_dir():
            raise InputError(
                f"{folder} holds '{path.name}'; a folder to measure holds nothing but folders "
                "named 0 to 9, each with pictures of that digit."
            )
    files = [file for path in visible for file in _files(path)]
    if not files:
        raise InputError(f"{folder} holds no pictures; put them into folders named 0 to 9.")
    labels = np.array([int(file.parent.name) for file in files], np.int64)
    return PictureSet(files, labels)


def _files(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    for path in files:
        if not path.is_file():
            raise InputError(f"{path} is no file; {folder} may hold nothing but pictures.")
    return files


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
    except _UNREADABLE as error:
        raise InputError(
            f"{path} is no .npz file of plain arrays ({type(error).__name__}: {error}). "
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
    pictures = _packed(arrays, path) if "data" in arrays else _even(arrays, path)
    count = len(pictures)
    names = [name for name in ("y", "label") if name in arrays]
    if names:
        labels = _labels(arrays[names[0]], names[0], count, path)
        return PictureSet(pictures, labels, _parts(arrays, count, path))
    if "kind" not in arrays:
        raise _unknown_form(arrays, path)
    return PictureSet(pictures, None, parts_by(_names(arrays, "kind", count, path)))


def _even(arrays: _Arrays, path: Path) -> list[NDArray[np.uint8]]:
    if "x" not in arrays:
        raise _unknown_form(arrays, path)
    x = arrays["x"]
    if x.dtype != np.uint8 or x.ndim != 3 or 0 in x.shape or max(x.shape[1:]) > _LONGEST_SIDE:
        raise InputError(
            f"{path}: 'x' is {x.dtype} {x.shape}; pictures must be uint8 (N, H, W), none of them 0."
        )
    return list(x)


def _packed(arrays: _Arrays, path: Path) -> Drawn:
    if not {"data", "offset", "shape"} <= arrays.keys():
        raise _unknown_form(arrays, path)
    data, offset, shape = arrays["data"], arrays["offset"], arrays["shape"]
    count = len(shape) if shape.ndim == 2 else 0
    whole = offset.dtype.kind in "iu" and shape.dtype.kind in "iu"
    if not (
        count
        and whole
        and data.dtype == np.uint8
        and data.ndim == 1
        and shape.shape == (count, 2)
        and offset.shape == (count + 1,)
    ):
        raise InputError(
            f"{path}: 'data' is {data.dtype} {data.shape}, 'offset' {offset.dtype} {offset.shape} "
            f"and 'shape' {shape.dtype} {shape.shape}; they must be uint8 (M,), integers (N + 1,) "
            "and integers (N, 2), N from 1."
        )
    _check_places(offset, shape, len(data), path)
    return Drawn(count, partial(_unpacked, data, offset.astype(np.int64), shape.astype(np.int64)))


def _check_places(offset: NDArray[Any], shape: NDArray[Any], length: int, path: Path) -> None:
    """Refuse sizes and places that do not fit each other; first of all those that overflow."""
    sides_fit = bool(((shape > 0) & (shape <= _LONGEST_SIDE)).all())
    places_fit = bool(((offset >= 0) & (offset <= length)).all())
    if not (sides_fit and places_fit):
        raise InputError(
            f"{path}: sides in 'shape' must be from 1 to {_LONGEST_SIDE:,}, and places in "
            f"'offset' from 0 to the {length:,} pixels of 'data'."
        )
    pixels = shape.astype(np.int64).prod(axis=1)
    wrong = np.flatnonzero(np.diff(offset.astype(np.int64)) != pixels)
    if wrong.size:
        index = int(wrong[0])
        raise InputError(
            f"{path}: picture {index} has shape {tuple(shape[index].tolist())}, but 'offset' gives "
            f"it {int(offset[index + 1]) - int(offset[index])} pixels."
        )


def _unpacked(
    data: NDArray[np.uint8], offset: NDArray[np.int64], shape: NDArray[np.int64], index: int
) -> NDArray[np.uint8]:
    return data[offset[index] : offset[index + 1]].reshape(shape[index])


def _labels(labels: NDArray[Any], name: str, count: int, path: Path) -> NDArray[np.int64]:
    if labels.dtype.kind not in "iu" or labels.shape != (count,):
        raise InputError(
            f"{path}: '{name}' is {labels.dtype} {labels.shape}; for {count} pictures it must be "
            f"integers ({count},)."
        )
    if labels.min() < 0 or labels.max() >= len(DIGIT_NAMES):
        raise InputError(
            f"{path}: '{name}' goes from {labels.min()} to {labels.max()}; labels are 0 to "
            f"{len(DIGIT_NAMES) - 1}."
        )
    return labels.astype(np.int64)


def _names(arrays: _Arrays, name: str, count: int, path: Path) -> NDArray[np.str_]:
    names = arrays[name]
    if names.dtype.kind not in "Uiu" or names.shape != (count,):
        raise InputError(
            f"{path}: '{name}' is {names.dtype} {names.shape}; for {count} pictures it must be "
            f"text or integers ({count},)."
        )
    return names.astype(np.str_)


def _parts(arrays: _Arrays, count: int, path: Path) -> tuple[Part, ...]:
    parts: tuple[Part, ...] = ()
    if "split" in arrays:
        test = _names(arrays, "split", count, path) == "1"
        parts = (Part("test", test),) if test.any() else ()
    if "source" in arrays:
        parts += parts_by(_names(arrays, "source", count, path))
    return parts


def _unknown_form(arrays: _Arrays, path: Path) -> InputError:
    found = ", ".join(f"'{name}'" for name in arrays) or "none of them"
    return InputError(f"{path} holds {found}. {_FORMS}.")
