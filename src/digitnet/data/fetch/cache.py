"""The cache folder: its place, its state, its lock, and how files get into it.

Guarantees:

- What counts as good has been read and hashed just now.
- Files appear whole; a damaged one is kept beside as ``<name>.corrupt``.
- Every error about the folder says how to have the cache elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from filelock import BaseFileLock, FileLock, Timeout

from digitnet.data.fetch.catalogue import RawDataset
from digitnet.data.fetch.copies import read_file
from digitnet.data.fetch.raw import RawFile
from digitnet.errors import IntegrityError, StorageError
from digitnet.files import make_folder, storage_errors, write_atomic

# Seconds to wait for another process that fetches; a download of 560 MB at 160 kB/s fits in.
LOCK_SECONDS = 3600.0


@dataclass(frozen=True)
class FileStatus:
    """What is known about one raw file of a data set on this machine.

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


@dataclass
class Found:
    """The files read so far: where each lies, what it holds, and the state of those not good."""

    paths: dict[str, Path] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    wrong: dict[str, FileStatus] = field(default_factory=dict)

    def add(self, name: str, path: Path, content: bytes) -> None:
        """Note that ``path`` holds the good ``content``."""
        self.wrong.pop(name, None)
        self.paths[name], self.contents[name] = path, content


def expand(path: Path | str) -> Path:
    """Return ``path`` with ``~`` replaced where there is such a user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user: the name is meant as it stands
        return Path(path)


def cache_dir() -> Path:
    """Return the cache folder: ``DIGITNET_CACHE_DIR``, else the platform's; it need not exist."""
    named = os.environ.get("DIGITNET_CACHE_DIR")
    if named:
        return expand(named)
    import pooch  # an eighth of a second that a named folder saves

    return Path(pooch.os_cache("digitnet"))


def file_status(path: Path, file: RawFile) -> tuple[FileStatus, bytes]:
    """Return what is known about ``path``, and its raw bytes if they are good."""
    missing = FileStatus(file.name, path, "missing", file.sha256), b""
    try:
        with storage_errors(path, "read"):
            if not path.is_file():
                return missing
        content = read_file(path, file)
    except IntegrityError as error:
        return FileStatus(file.name, path, "damaged", file.sha256, str(error)), b""
    except StorageError as error:
        # Another process has moved a damaged file aside since the line above.
        if isinstance(error.__cause__, FileNotFoundError):
            return missing
        raise
    return FileStatus(file.name, path, "good", file.sha256), content


def read_cache(folder: Path, dataset: RawDataset) -> Found:
    """Read and verify what ``folder`` holds of ``dataset``: the first form that is complete.

    Where none is, what there is of the form that can be fetched.
    """
    fetched = read_form(folder, dataset.files)
    if not fetched.wrong:
        return fetched
    others = (read_form(folder, files) for files in dataset.forms[1:])
    return next((found for found in others if not found.wrong), fetched)


def read_form(folder: Path, files: tuple[RawFile, ...]) -> Found:
    """Read and verify what ``folder`` holds of ``files``."""
    found = Found()
    for file in files:
        status, content = file_status(folder / file.name, file)
        if status.state == "good":
            found.add(file.name, status.path, content)
        else:
            found.wrong[file.name] = status
    return found


def store(path: Path, content: bytes) -> None:
    """Put ``content`` into the cache; what lies there, damaged, is moved aside."""
    with storage_errors(path, "move aside"):
        if path.exists():
            path.replace(path.with_name(f"{path.name}.corrupt"))
    write_atomic(path, content)


@contextlib.contextmanager
def locked(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of ``folder``, so that of many processes one fetches and the others wait."""
    make_folder(folder)
    lock = FileLock(folder / ".lock")
    with storage_errors(folder / ".lock", "lock"):
        _acquire(lock, tell)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, tell: Callable[[str], None]) -> None:
    """Take ``lock``, saying so if another process has it."""
    with contextlib.suppress(Timeout):
        lock.acquire(timeout=0)
        return
    tell("Waiting for another process that is fetching the same data …")
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout as error:
        raise StorageError(
            f"Another process has been holding {lock.lock_file} for {LOCK_SECONDS:g} seconds. "
            "Wait for it, or end it, and try again."
        ) from error


@contextlib.contextmanager
def cache_errors() -> Iterator[None]:
    """Add to a ``StorageError`` of the block how to have the cache elsewhere."""
    try:
        yield
    except StorageError as error:
        raise StorageError(
            f"{error} Set DIGITNET_CACHE_DIR to have the cache in another folder."
        ) from error
