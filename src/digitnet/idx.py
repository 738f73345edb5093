"""The IDX format of MNIST: a magic number, the dimensions, then unsigned bytes.

Guarantees:

- ``parse_idx`` takes any bytes and returns an array or raises ``IntegrityError``, nothing else.
- Nothing is allocated before the header has been found to agree with the length of the content.
- ``parse_idx(encode_idx(array))`` is ``array``.
"""

from __future__ import annotations

import math
import struct

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import IntegrityError

# Two zero bytes, the code of "unsigned byte", and then one byte with the number of dimensions.
_MAGIC = b"\x00\x00\x08"
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
    if len(content) < 4 or content[:3] != _MAGIC or not 1 <= content[3] <= _MAX_DIMENSIONS:
        raise IntegrityError(
            f"{name} is no IDX file of unsigned bytes: it starts with '{content[:4].hex(' ')}', "
            f"not with '00 00 08' and a number of dimensions from 1 to {_MAX_DIMENSIONS}."
        )
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise IntegrityError(f"{name} ends inside its header, after {len(content)} bytes.")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    if math.prod(shape) != len(content) - start:
        raise IntegrityError(
            f"{name} says that it holds {' × '.join(map(str, shape))} values, "
            f"but {len(content) - start:,} bytes follow its header."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()
