"""NumPy's files as copies of a data set: Keras's ``mnist.npz``, and arrays with a split.

Guarantees:

- What is returned is IDX, to be compared with the pinned hash by whoever asked for it.
- No pickle is read, nothing is written, and of each member no more is read than it may hold.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digitnet.data.fetch.raw import RawFile
from digitnet.data.idx import encode_idx, idx_header
from digitnet.errors import IntegrityError

# More than any .npy header of a plain array needs.
_NPY_SLACK = 4096
# Images, labels and split (0 training, 1 test) of a data set in one file, and the largest of them.
_SPLIT_KEYS = ("x", "y", "split")
_MOST_BYTES = 64 * 2**20

# What reading a damaged zip archive raises.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,  # an encrypted member; NotImplementedError, an unknown compression, is one
)


def read_npz(path: Path, files: tuple[RawFile, ...]) -> dict[str, bytes]:
    """Return the arrays of ``path`` that are among ``files`` as IDX, by name, not verified yet.

    Known are the keys of Keras's ``mnist.npz`` (``x_train`` and so on), and ``x``, ``y``,
    ``split`` for files called ``<data set>-train-images-idx3-ubyte`` and so on.

    Raises:
        IntegrityError: it is no readable ``.npz`` file.
    """
    contents = {}
    with _reading(path), zipfile.ZipFile(path) as archive:
        members = set(archive.namelist())
        for file in files:
            member = f"{file.npz_key}.npy"
            if file.npz_key and member in members:
                with archive.open(member) as stream:
                    contents[file.name] = _npy_to_idx(stream.read(file.size + _NPY_SLACK), file)
        unnamed = [file for file in files if not file.npz_key]
        if unnamed and members >= {f"{key}.npy" for key in _SPLIT_KEYS}:
            arrays = [_read_array(archive, f"{key}.npy") for key in _SPLIT_KEYS]
            found = _divide(*arrays)
            for file in unnamed:
                kind = file.name.partition("-")[2]
                if kind in found:
                    contents[file.name] = found[kind]
    return contents


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except ZIP_ERRORS as error:
        raise IntegrityError(
            f"{path} is not a readable .npz file ({type(error).__name__})."
        ) from error


def _npy_to_idx(npy: bytes, file: RawFile) -> bytes:
    """Put the IDX header of ``file`` before the values of a ``.npy`` array.

    The array's own header is skipped, not parsed: the values are verified by their hash, and
    another type, shape or order cannot have the same.
    """
    values = npy[10 + int.from_bytes(npy[8:10], "little") :]
    if "idx3" in file.name:
        return idx_header(((file.size - 16) // 784, 28, 28)) + values
    return idx_header((file.size - 8,)) + values


def _read_array(archive: zipfile.ZipFile, member: str) -> NDArray[np.generic]:
    """Return a plain array; a header that promises more than there is costs nothing.

    Raises:
        ValueError: it is no such array.
    """
    with archive.open(member) as packed:
        content = packed.read(_MOST_BYTES)
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(version)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if fortran or dtype.hasobject or dtype.kind not in "iu":
        raise ValueError(dtype)
    if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(shape)
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)


def _divide(
    images: NDArray[np.generic], labels: NDArray[np.generic], split: NDArray[np.generic]
) -> dict[str, bytes]:
    """Return images and labels of both splits as IDX, by the last part of a file's name.

    Raises:
        ValueError: the arrays do not fit each other.
    """
    fits = images.dtype == np.uint8 and images.ndim == 3
    if not fits or labels.shape != images.shape[:1] or split.shape != labels.shape:
        raise ValueError(images.shape, labels.shape, split.shape)
    found = {}
    for number, name in enumerate(("train", "test")):
        mine = split == number
        found[f"{name}-images-idx3-ubyte"] = encode_idx(images[mine].astype(np.uint8))
        found[f"{name}-labels-idx1-ubyte"] = encode_idx(labels[mine].astype(np.uint8))
    return found
