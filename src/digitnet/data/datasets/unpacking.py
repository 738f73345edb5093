"""Unpacking gzip, bzip2 and zip in memory.

Guarantees:

- No more than a given number of bytes is ever unpacked; a bomb is an ``IntegrityError``.
- Nothing is written, so no name in an archive can lead anywhere.
- Any bytes give the content or an ``IntegrityError``, nothing else.
"""

from __future__ import annotations

import bz2
import io
import zipfile
import zlib
from collections.abc import Callable
from typing import Protocol

from digitnet.data.fetch.arrays import ZIP_ERRORS
from digitnet.errors import IntegrityError


class _Decompressor(Protocol):
    """What zlib and bz2 have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def gunzip(content: bytes, most: int, name: str) -> bytes:
    """Return what is in gzip's ``content``.

    Args:
        content: a whole file, of one member or several.
        most: how many bytes it may unpack to.
        name: how an error names it.

    Raises:
        IntegrityError: it is damaged, cut off, no gzip file or larger than ``most``.
    """
    return _unpack(content, most, name, lambda: zlib.decompressobj(wbits=31))


def bunzip(content: bytes, most: int, name: str) -> bytes:
    """Return what is in bzip2's ``content``; arguments and errors as ``gunzip``."""
    return _unpack(content, most, name, bz2.BZ2Decompressor)


def zip_member(content: bytes, member: str, most: int, name: str) -> bytes:
    """Return one member of the zip archive ``content``, found by its exact name.

    Raises:
        IntegrityError: the archive is damaged, has no such member, or a larger one than ``most``.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(member) as stream:
            data = stream.read(most + 1)
    except KeyError as error:
        raise IntegrityError(f"{name} holds no {member}; it is another archive.") from error
    except ZIP_ERRORS as error:
        raise IntegrityError(
            f"{name} is no readable zip archive ({type(error).__name__})."
        ) from error
    return _within(data, most, f"{member} in {name}")


def _unpack(content: bytes, most: int, name: str, start: Callable[[], _Decompressor]) -> bytes:
    parts: list[bytes] = []
    left = most + 1
    while content and left > 0:
        member = start()
        try:
            parts.append(member.decompress(content, left))
        except (zlib.error, OSError, ValueError) as error:
            raise IntegrityError(f"{name} is damaged ({error}).") from error
        left -= len(parts[-1])
        if left > 0 and not member.eof:
            raise IntegrityError(f"{name} is damaged: it ends too early.")
        content = member.unused_data
    if not parts:
        raise IntegrityError(f"{name} is empty.")
    return _within(b"".join(parts), most, name)


def _within(data: bytes, most: int, name: str) -> bytes:
    if len(data) > most:
        raise IntegrityError(f"{name} unpacks to more than the {most:,} bytes that are expected.")
    return data
