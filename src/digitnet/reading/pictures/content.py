"""The bytes of a picture, from a path, an open file or the standard input, and its name.

Guarantees:

- Never more than ``MAX_BYTES`` and one are read, of a file or of an endless stream.
- Only files are opened by path: a folder, a named pipe and a device are told apart without waiting
  on them.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import Any

import numpy as np

from digitnet.errors import InputError
from digitnet.text import escaped

MAX_BYTES = 50_000_000

# Memory for as much as one call may read is taken at once, however short the file.
_PART = 1 << 20
_NAME_LENGTH = 80
_KINDS = (
    (stat.S_ISDIR, "a folder", "Give the path of one picture in it."),
    (stat.S_ISFIFO, "a named pipe", "Pass '-' and send the picture to the standard input."),
    (stat.S_ISCHR, "a device", "Pass '-' and send the picture to the standard input."),
    (stat.S_ISBLK, "a device", "Give the path of a picture."),
)
_REMEDIES = {
    errno.ENOENT: "Check the path and the spelling.",
    errno.ENOTDIR: "A part of that path is a file, not a folder; check the path.",
    errno.EACCES: "You have no permission to read it.",
    errno.EPERM: "You have no permission to read it.",
    errno.ELOOP: "The link leads back to itself; give the path of the picture.",
    errno.ENAMETOOLONG: "A name is that long only when it is no path; picture content is bytes.",
}


def describe(source: object) -> str:
    """Return a short name of a picture for messages: ``photo.jpg``, ``<bytes>``, ``<stdin>`` …."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "<bytes>"
    if isinstance(source, np.ndarray):
        return "<array>"
    path: Any = source
    if not isinstance(source, (str, os.PathLike)):
        # Open files and Pillow images know the path that they were opened from.
        path = getattr(source, "filename", None) or getattr(source, "name", None)
        if not path or not isinstance(path, (str, os.PathLike)):
            return f"<{type(source).__name__}>"
    return "<stdin>" if path == "-" else _printable(os.fsdecode(path))


def _printable(path: str) -> str:
    """Return a path that fits in a message: the end of a long one, strange characters escaped."""
    if len(path) > _NAME_LENGTH:
        path = "…" + path[-(_NAME_LENGTH - 1) :]
    return escaped(path) or "''"


def read(source: object, name: str) -> bytes:
    """Return the whole content of a path, an open file or the standard input."""
    if isinstance(source, str) and source == "-":
        source = getattr(sys.stdin, "buffer", None)
        if source is None:
            raise InputError("There is no standard input to read a picture from; give a path.")
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        content = _read_path(source, name)
    elif callable(getattr(source, "read", None)):
        content = _read_stream(source, name)
        if not content and _was_read(source):
            raise InputError(
                f"{name} has nothing left to read. If it was read before, go back with seek(0)."
            )
    else:
        rows = (
            " Rows of numbers become an array by np.asarray."
            if isinstance(source, (list, tuple))
            else ""
        )
        raise InputError(
            f"{name} is no picture. Allowed: a path, '-', the bytes of a file, a file open for "
            f"reading bytes, a Pillow image or a NumPy array.{rows}"
        )
    if len(content) > MAX_BYTES:
        raise InputError(
            f"{name} has more than {MAX_BYTES:,} bytes, the most that a picture may have. "
            "Save it smaller."
        )
    return content


def _was_read(stream: Any) -> bool:
    """Tell whether an open file stands anywhere but at its beginning."""
    try:
        return bool(stream.tell() > 0)
    except (AttributeError, OSError, ValueError):
        return False


def _read_path(path: str | os.PathLike[str], name: str) -> bytes:
    if isinstance(path, str):
        _check_not_content(path)
    try:
        # Opening a named pipe waits for a writer, and opening a terminal may make it ours.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            _check_kind(os.fstat(descriptor).st_mode, name)
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                return _read_stream(stream, name)
        finally:
            os.close(descriptor)
    except ValueError as error:  # a NUL or half a surrogate pair in the name
        raise InputError(f"{name} cannot be the name of a file: {error}.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0, "")
        raise InputError(f"Cannot read {name}: {reason}. {remedy}".rstrip()) from error


def _check_kind(mode: int, name: str) -> None:
    for is_kind, kind, remedy in _KINDS:
        if is_kind(mode):
            raise InputError(f"{name} is {kind}, not a picture. {remedy}")


def _check_not_content(text: str) -> None:
    """Refuse a text that is an address or the picture itself: a ``str`` is a path."""
    start = text[:64].lstrip().lower()
    if start.startswith("data:"):
        raise InputError(
            "The text is a data URL, not a path. Decode it first (base64.b64decode of the part "
            "after the comma) and pass the bytes."
        )
    if start.startswith(("http://", "https://")):
        raise InputError("The text is a web address, not a path. Download the picture first.")


def _read_stream(stream: Any, name: str) -> bytes:
    """Return what is left in an open file, or one byte more than allowed."""
    content = bytearray()
    while len(content) <= MAX_BYTES:
        try:
            part = stream.read(min(MAX_BYTES + 1 - len(content), _PART))
        except (OSError, ValueError) as error:  # closed, or open for writing
            raise InputError(f"Cannot read {name}: {error}.") from error
        if not isinstance(part, bytes):
            raise InputError(
                f"{name} gave {type(part).__name__}, not bytes. Open it for reading bytes ('rb')."
            )
        if not part:
            break
        content += part
    return bytes(content)
