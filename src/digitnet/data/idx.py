"""IDX, the format of MNIST, and what copies of data come in: gzip, compress, tar and ``.npz``.

Guarantees:

- Any bytes give the content or an ``IntegrityError``, nothing else.
- No more than a stated number of bytes is unpacked, so a decompression bomb costs no memory.
- Nothing is written to disk, so no name in an archive can lead anywhere; no pickle is read.
- ``parse_idx(encode_idx(array))`` is ``array``.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import math
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import IntegrityError

# Two zero bytes and the code of the type; then comes one byte with the number of dimensions.
_MAGIC = {"u1": b"\x00\x00\x08", "i4": b"\x00\x00\x0c"}
# Labels have one dimension, images have three.
_MAX_DIMENSIONS = 3

# What Python's and NumPy's readers raise on damaged archives.
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError),
    # A header that promises too much is a MemoryError, an encrypted member a RuntimeError.
    *(ValueError, MemoryError, RuntimeError),
    # Headers of arrays are Python's literals, which may be anything.
    *(tokenize.TokenError, OverflowError, TypeError, LookupError),
)


def encode_idx(array: NDArray[np.uint8]) -> bytes:
    """Return ``array`` (uint8, one to three dimensions) as the content of an IDX file."""
    header = struct.pack(f">B{array.ndim}I", array.ndim, *array.shape)
    return _MAGIC["u1"] + header + np.ascontiguousarray(array).tobytes()


def parse_idx(
    content: bytes, name: str = "the IDX file", kind: Literal["u1", "i4"] = "u1"
) -> NDArray[Any]:
    """Return the array in ``content``.

    Args:
        content: a whole raw (not compressed) IDX file.
        name: what an error calls the content, for example the file name.
        kind: the type of its values: "u1", unsigned bytes, or "i4", 32-bit integers.

    Returns:
        A new array, uint8 or int32, C-contiguous and writable, with one to three dimensions.

    Raises:
        IntegrityError: the magic number is wrong, or the length does not match the header.
    """
    magic, dimensions = content[:3], content[3] if len(content) > 3 else 0
    start = 4 + 4 * dimensions
    if magic != _MAGIC[kind] or not 1 <= dimensions <= _MAX_DIMENSIONS or len(content) < start:
        raise IntegrityError(
            f"{name} is not an IDX file: its {len(content):,} bytes start with "
            f"'{content[:4].hex(' ')}', not with '{_MAGIC[kind].hex(' ')}', a number of dimensions "
            f"from 1 to {_MAX_DIMENSIONS}, and their sizes."
        )
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    if math.prod(shape) * int(kind[1]) != len(content) - start:
        raise IntegrityError(
            f"The header of {name} announces {' × '.join(map(str, shape))} values, "
            f"but {len(content) - start:,} bytes follow it."
        )
    return np.frombuffer(content, f">{kind}", offset=start).reshape(shape).astype(kind)


def gunzip(content: bytes, most: int, name: str) -> bytes:
    """Return what the gzip file ``content`` holds.

    Args:
        content: a whole file, of one member or several.
        most: how many bytes it may unpack to.
        name: what an error calls it.

    Raises:
        IntegrityError: it is damaged, cut off, not gzip, or unpacks to more than ``most`` bytes.
    """
    if not content:
        raise IntegrityError(f"{name} is empty.")
    with _damage(name), gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        return _read(stream, most, name)


def uncompress(content: bytes, most: int, name: str) -> bytes:
    """Return what ``content`` holds, a file of Unix's compress (``.Z``): LZW, 9 to 16 bits a code.

    Raises:
        IntegrityError: it is damaged, another format, or unpacks to more than ``most`` bytes.
    """
    with _damage(name):
        flags = content[2] if content[:2] == b"\x1f\x9d" and len(content) > 2 else 0
        longest, clears = flags & 31, flags & 128
        if not 9 <= longest <= 16:
            raise ValueError("no header of compress")
        unpacked = b"".join(_lzw(content[3:], longest, bool(clears), most))
    if len(unpacked) > most:
        raise IntegrityError(f"{name} unpacks to more than the expected {most:,} bytes.")
    return unpacked


def _lzw(packed: bytes, longest: int, clears: bool, most: int) -> Iterator[bytes]:
    """Yield the words of an LZW stream until they have ``most`` bytes."""
    words = [bytes([byte]) for byte in range(256)] + [b""] * clears
    first, place, start, width, last, total = len(words), 0, 0, 9, b"", 0
    while total <= most:
        # Codes come in groups of eight; a group is left, full or not, when the width changes.
        if len(words) >= 1 << width and width < longest:
            place = start = start - (start - place) // (8 * width) * (8 * width)
            width += 1
        if place + width > 8 * len(packed):
            return
        bits = int.from_bytes(packed[place // 8 : place // 8 + 4], "little")
        code = bits >> place % 8 & (1 << width) - 1
        place += width
        if clears and code == 256:
            place = start = start - (start - place) // (8 * width) * (8 * width)
            width, last = 9, b""
            del words[first:]
            continue
        if code > len(words) or (code == len(words) and not last):
            raise ValueError(f"the code {code} is not known yet")
        word = words[code] if code < len(words) else last + last[:1]
        if last and len(words) < 1 << longest:
            words.append(last + word[:1])
        last, total = word, total + len(word)
        yield word


def tar_member(path: Path, member: str, most: int) -> bytes | None:
    """Return the regular file called ``member``, in any folder of the gzip-compressed tar ``path``.

    Returns:
        Its content; None when there is no such file.

    Raises:
        IntegrityError: the archive is damaged or unpacks to more than ``most`` bytes.
        OSError: ``path`` cannot be read.
    """
    with path.open("rb") as packed:
        content = gunzip(packed.read(most), most, path.name)
    with _damage(path.name), tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for info in archive:
            if info.isreg() and PurePosixPath(info.name).name == member:
                stream = archive.extractfile(info)
                return stream.read() if stream else None
    return None


def npz_arrays(path: Path, keys: set[str], most: int) -> dict[str, NDArray[np.uint8]]:
    """Return those arrays of an ``.npz`` file that are among ``keys``, as uint8 in C order.

    Raises:
        IntegrityError: the file is damaged, or one of these is not an array of whole numbers or
            takes more than ``most`` bytes.
    """
    arrays = {}
    with _damage(path.name), zipfile.ZipFile(path) as archive:
        for key in sorted(keys):
            if f"{key}.npy" in archive.namelist():
                with archive.open(f"{key}.npy") as packed:
                    stream = io.BytesIO(_read(packed, most, f"{key} in {path.name}"))
                array = np.lib.format.read_array(stream, allow_pickle=False)
                if array.dtype.kind not in "iu":
                    raise ValueError(f"{key} has the type {array.dtype}")
                arrays[key] = np.ascontiguousarray(array, np.uint8)
    return arrays


@contextlib.contextmanager
def _damage(name: str) -> Iterator[None]:
    """Turn what a reader raises on damaged content into an ``IntegrityError``."""
    try:
        yield
    except _DAMAGE as error:
        reason = "".join(letter for letter in f"{error}"[:120] if letter.isprintable())
        reason = f"{name} is damaged or in another format ({type(error).__name__}: {reason})."
        raise IntegrityError(reason) from error


def _read(stream: IO[bytes] | gzip.GzipFile, most: int, name: str) -> bytes:
    content = stream.read(most + 1)
    if len(content) > most:
        raise IntegrityError(f"{name} unpacks to more than the expected {most:,} bytes.")
    return content
