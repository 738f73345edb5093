"""The IDX format of MNIST: a magic number, the dimensions, then unsigned bytes or integers.

Guarantees:

- ``parse_idx`` and ``parse_int_idx`` take any bytes and return an array or raise
  ``IntegrityError``, nothing else.
- Nothing is allocated before the header has been found to agree with the length of the content.
- ``parse_idx(encode_idx(array))`` is ``array``.
"""

from __future__ import annotations

import math
import struct

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import IntegrityError

# Two zero bytes, the code of the type, and then one byte with the number of dimensions.
_MAGIC = b"\x00\x00\x08"
_INT_MAGIC = b"\x00\x00\x0c"
# Labels have one dimension, images have three.
_MAX_DIMENSIONS = 3


def idx_header(shape: tuple[int, ...]) -> bytes:
    """Return the bytes that stand before the values of a uint8 array of this shape."""
    return _MAGIC + struct.pack(f">B{len(shape)}I", len(shape), *shape)


def encode_idx(array: NDArray[np.uint8]) -> bytes:
    """Return ``array`` (uint8, one to three dimensions) as the content of an IDX file."""
    return idx_header(array.shape) + np.ascontiguousarray(array).tobytes()


def parse_idx(content: bytes, name: str = "the IDX file") -> NDArray[np.uint8]:
    """Return the array that ``content`` holds.

    Args:
        content: a whole raw (not compressed) IDX file of unsigned bytes.
        name: how an error names the content, for example the file name.

    Returns:
        A new uint8 array, C-contiguous and writable, with one to three dimensions.

    Raises:
        IntegrityError: the magic number is another, or the length is not what the header says.
    """
    shape, start = _header(content, name, _MAGIC, "unsigned bytes", 1)
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def parse_int_idx(content: bytes, name: str = "the IDX file") -> NDArray[np.int64]:
    """Return the array that ``content`` holds, of 32-bit integers, as ``parse_idx`` does for bytes.

    Returns:
        A new int64 array, C-contiguous and writable, with one to three dimensions.

    Raises:
        IntegrityError: the magic number is another, or the length is not what the header says.
    """
    shape, start = _header(content, name, _INT_MAGIC, "32-bit integers", 4)
    return np.frombuffer(content, ">i4", offset=start).reshape(shape).astype(np.int64)


def _header(
    content: bytes, name: str, magic: bytes, kind: str, size: int
) -> tuple[tuple[int, ...], int]:
    """Return the shape that the header of an IDX file gives, and where the values begin."""
    if len(content) < 4 or content[:3] != magic or not 1 <= content[3] <= _MAX_DIMENSIONS:
        raise IntegrityError(
            f"{name} is no IDX file of {kind}: it starts with '{content[:4].hex(' ')}', "
            f"not with '{magic.hex(' ')}' and a number of dimensions from 1 to {_MAX_DIMENSIONS}."
        )
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise IntegrityError(f"{name} ends inside its header, after {len(content)} bytes.")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    if math.prod(shape) * size != len(content) - start:
        raise IntegrityError(
            f"{name} says that it holds {' × '.join(map(str, shape))} values, "
            f"but {len(content) - start:,} bytes follow its header."
        )
    return shape, start
