"""Writing files so that a crash at any instant leaves the old file or the new one, never a mix.

Guarantees:

- ``write_atomic`` writes a file beside the target, fsyncs it, renames it, and fsyncs the folder
  (but on Windows, which cannot).
- A full disk, a read-only folder and a missing permission become a ``StorageError`` that says what
  to do.
- ``hold_lock`` lets one process at a time work in a folder; a killed process holds nothing.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from digitnet.errors import StorageError, UsageError

# By name, because not every system has every number.
_REMEDIES = {
    "ENOSPC": "The disk is full; free some space or choose another folder.",
    "EDQUOT": "Your disk quota is used up; free some space or choose another folder.",
    "EROFS": "That file system is read-only; choose another folder.",
    "EACCES": "You have no permission there; choose a folder of your own.",
    "EPERM": "You have no permission there; choose a folder of your own.",
    "ENOTDIR": "A part of that path is a file, not a folder; choose another path.",
    "EEXIST": "A file of that name is in the way; choose another path.",
}


@contextlib.contextmanager
def storage_errors(path: Path, action: str = "write") -> Iterator[None]:
    """Turn an ``OSError`` of the block into a ``StorageError`` that names ``path``."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(errno.errorcode.get(error.errno or 0, ""), "")
        reason = error.strerror or str(error)
        raise StorageError(f"Cannot {action} {path}: {reason}. {remedy}".rstrip()) from error


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace ``path`` by ``content`` in one step, durable when this returns.

    Args:
        path: where the file goes; its folder is made when missing.
        content: the whole content; text is written as UTF-8, bytes of file names that are not
            valid text as backslash escapes.

    Raises:
        StorageError: the disk is full or the folder cannot be written; ``path`` then holds the
            old content (or, if only the last fsync failed, the new one).
    """
    if not path.name:
        raise StorageError(f"Cannot write {path}: it is a folder. Name a file.")
    data = content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The dot and the suffix show that what a killed process leaves is not a result.
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; NaN and infinity are refused."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    # Paths and arguments may hold bytes that are not valid UTF-8; this writes them as escapes.
    write_atomic(path, text.encode(errors="backslashreplace"))


def make_folder(path: Path) -> Path:
    """Make ``path`` and its parents, and return it."""
    with storage_errors(path, "make the folder"):
        path.mkdir(parents=True, exist_ok=True)
    return path


def is_occupied(folder: Path) -> bool:
    """Return whether there is a folder that holds more than hidden files.

    Hidden are the lock, and what a killed process was writing.
    """
    with storage_errors(folder, "read"):
        return folder.is_dir() and any(not each.name.startswith(".") for each in folder.iterdir())


@contextlib.contextmanager
def hold_lock(folder: Path, *, wait: float = 0) -> Iterator[None]:
    """Keep other processes from working in ``folder`` during the block.

    Raises:
        UsageError: another process holds it, and did so for ``wait`` seconds.
    """
    # Imported here: reading pictures takes no lock, and starts a twentieth faster without it.
    from filelock import FileLock, Timeout

    with storage_errors(folder, "lock"):
        try:
            held = FileLock(folder / ".lock", timeout=wait).acquire()
        except Timeout as error:
            message = f"Another process is working in {folder}; wait until it ends."
            raise UsageError(message) from error
    with held:
        yield


def _sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` durable."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders.
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
