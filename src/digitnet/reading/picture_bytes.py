"""The bytes of a picture, from a path, an open file, a data URL or standard input, and its name.

Guarantees:

- At most ``MAX_BYTES`` and one more are read, be it from a file or an endless stream.
- Only regular files are read by path: a folder, a named pipe or a device is recognised without
  waiting for it.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import numpy as np

from digitnet.errors import InputError, UsageError
from digitnet.text import escaped

_T = TypeVar("_T")
MAX_BYTES = 50_000_000

# A stream allocates as much as one call may read, however short the file.
_PART = 1 << 20
_NAME_LENGTH = 80
# Opening a named pipe waits for a writer, and opening a terminal may make it ours: should a path
# become one after it was looked at, these do neither. Windows has neither, but text mode.
_FLAGS = sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))
_REMEDIES = {
    errno.ENOENT: "Check the path and the spelling.",
    errno.ENOTDIR: "A part of that path is a file, not a folder; check the path.",
    errno.ELOOP: "The link leads back to itself; give the path of the picture.",
    errno.ENAMETOOLONG: "This is not a path; pass the content of a picture as bytes.",
}


def describe(source: object) -> str:
    """Return a short name of a picture for messages: ``photo.jpg``, ``<bytes>``, ``<stdin>`` …."""
    if isinstance(source, str) and _is_data_url(source):
        return "<data URL>"
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "<bytes>"
    if isinstance(source, np.ndarray):
        return "<array>"
    path: Any = source
    if not isinstance(source, (str, os.PathLike)):
        # Open files and Pillow images know the path they were opened from.
        path = getattr(source, "name" if hasattr(source, "name") else "filename", None)
        if not path or not isinstance(path, (str, os.PathLike)):
            return f"<{type(source).__name__}>"
    text = os.fsdecode(path)
    # The end of a long path says more than its beginning.
    text = text if len(text) <= _NAME_LENGTH else "…" + text[1 - _NAME_LENGTH :]
    return "<stdin>" if path == "-" else escaped(text) or "''"


def several(pictures: Iterable[_T], verb: str) -> Iterator[_T]:
    """Return the pictures one after the other.

    Args:
        pictures: a list or a generator of them.
        verb: the method that takes one, for the message.

    Raises:
        UsageError: it is one picture, or no pictures at all.
    """
    single = isinstance(pictures, (str, bytes, bytearray, os.PathLike))
    flat = isinstance(pictures, np.ndarray) and pictures.ndim < 3
    file = hasattr(pictures, "read") or hasattr(pictures, "getbands")
    if single or flat or file or not isinstance(pictures, Iterable):
        raise UsageError(
            f"Expected a list or a generator of pictures, got {type(pictures).__name__}; "
            f"{verb} takes one picture."
        )
    return iter(pictures)


def read(source: object, name: str) -> bytes:
    """Return the whole content of a path, an open file, a data URL or the standard input.

    Raises:
        InputError: it cannot be read, or has more than ``MAX_BYTES``.
    """
    if isinstance(source, str) and source == "-":
        source = getattr(sys.stdin, "buffer", None)
        if source is None:
            raise InputError("There is no standard input to read a picture from; give a path.")
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
    elif isinstance(source, str) and _is_data_url(source):
        content = source.encode(errors="replace")
    elif isinstance(source, (str, os.PathLike)):
        content = _read_path(source, name)
    elif callable(getattr(source, "read", None)):
        content = _read_stream(source, name)
        if not content:
            raise InputError(
                f"{name} is empty or has nothing left to read. If it was read before, rewind it "
                "with seek(0)."
            )
    else:
        raise InputError(
            f"{name} is not a picture. Allowed: a path, '-', the bytes of a file, a file open for "
            "reading bytes, a data URL, a Pillow image or an array."
        )
    if _is_data_url(content):
        content = _from_data_url(content, name)
    if len(content) > MAX_BYTES:
        raise InputError(
            f"{name} has more than {MAX_BYTES:,} bytes, the most that a picture may have. "
            "Save it smaller."
        )
    return content


def _is_data_url(text: str | bytes) -> bool:
    start = text[:16].encode(errors="replace") if isinstance(text, str) else text[:16]
    return start.lstrip()[:5].lower() == b"data:"


def _from_data_url(url: bytes, name: str) -> bytes:
    """Return the bytes in a data URL (RFC 2397), forgiving white space and missing padding."""
    about, comma, text = url.partition(b",")
    content = unquote_to_bytes(text)
    if comma and not about.rstrip().lower().endswith(b";base64"):
        return content
    packed = b"".join(content.split()).rstrip(b"=")
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise InputError(f"{name} is not valid base64: {error}. Copy it again, whole.") from error


def _read_path(path: str | os.PathLike[str], name: str) -> bytes:
    if isinstance(path, str) and re.match(r"\s*https?://", path, re.IGNORECASE):
        raise InputError("The text is a web address, not a path. Download the picture first.")
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  it may be bytes
        if stat.S_ISDIR(mode):
            raise InputError(f"{name} is a folder. Give the path of one picture in it.")
        if not stat.S_ISREG(mode):
            raise InputError(
                f"{name} is a named pipe, a socket or a device, not a file. "
                "Pass '-' and send the picture to the standard input."
            )
        with os.fdopen(os.open(path, _FLAGS), "rb") as stream:
            return _read_stream(stream, name)
    except ValueError as error:  # a NUL or half a surrogate pair in the name
        raise InputError(f"{name} cannot be the name of a file: {error}.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0, "")
        raise InputError(f"Cannot read {name}: {reason}. {remedy}".rstrip()) from error


def _read_stream(stream: Any, name: str) -> bytes:
    """Return what is left in an open file, or one byte more than allowed."""
    content = bytearray()
    while len(content) <= MAX_BYTES:
        try:
            part = stream.read(min(MAX_BYTES + 1 - len(content), _PART))
        except Exception as error:  # closed, open for writing, or whatever its reader raises
            raise InputError(f"Cannot read {name}: {error}.") from error
        if not isinstance(part, bytes):
            raise InputError(
                f"{name} gave {type(part).__name__}, not bytes. Open it for reading bytes ('rb')."
            )
        if not part:
            break
        content += part
    return bytes(content)
