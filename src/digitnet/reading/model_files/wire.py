"""The outer structure of an ONNX file, read without a parser.

An ONNX file is a message of protocol buffers. Parsing one of hostile make can take a hundred times
its size in memory, for a million empty nodes are a few bytes each. This reads three levels of
fields, takes no memory, and tells how much of the file is description and how much is weights.

The encoding is described at <https://protobuf.dev/programming-guides/encoding/>, the numbers of
the fields stand in ``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator

from digitnet.errors import IntegrityError

# What digitnet writes takes 30 kB beside the weights, in some hundred fields.
MAX_DESCRIPTION = 2**20
MAX_FIELDS = 20_000

_GRAPH, _METADATA = 7, 14  # of ModelProto
_INITIALIZER = 5  # of GraphProto
_RAW_DATA = 9  # of TensorProto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto


def check_outline(content: bytes, name: str) -> None:
    """Refuse a file that a parser should not see.

    Raises:
        IntegrityError: it is no message of protocol buffers, or holds too much beside its weights.
    """
    with memoryview(content) as whole:
        weights = sum(
            len(raw)
            for graph in _of(whole, _GRAPH, name)
            for tensor in _of(graph, _INITIALIZER, name)
            for raw in _of(tensor, _RAW_DATA, name)
        )
    if len(content) - weights > MAX_DESCRIPTION:
        raise IntegrityError(
            f"{name} holds {len(content) - weights:,} bytes beside its weights; a model file of "
            f"digitnet holds at most {MAX_DESCRIPTION:,}."
        )


def read_metadata(content: bytes, name: str) -> dict[str, str]:
    """Return the metadata of an ONNX file.

    Raises:
        IntegrityError: the file is damaged, or a key stands there twice.
    """
    pairs = []
    with memoryview(content) as whole:
        for entry in _of(whole, _METADATA, name):
            parts = {number: bytes(value) for number, value in _fields(entry, name)}
            pairs.append((parts.get(_KEY, b""), parts.get(_VALUE, b"")))
    try:
        metadata = {key.decode(): value.decode() for key, value in pairs}
    except UnicodeDecodeError as error:
        raise _damaged(name) from error
    if len(metadata) < len(pairs):
        raise _damaged(name)
    return metadata


def _of(message: memoryview, wanted: int, name: str) -> Iterator[memoryview]:
    """Yield the content of the fields of one number."""
    return (value for number, value in _fields(message, name) if number == wanted)


def _fields(message: memoryview, name: str) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field of a message; a number's content is empty."""
    position = count = 0
    while position < len(message):
        count += 1
        key, position = _varint(message, position, name)
        length = 0
        match key & 7:
            case 0:
                _, position = _varint(message, position, name)
            case 1:
                position += 8
            case 2:
                length, position = _varint(message, position, name)
            case 5:
                position += 4
            case _:
                raise _damaged(name)
        if position + length > len(message) or count > MAX_FIELDS:
            raise _damaged(name)
        yield key >> 3, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int, name: str) -> tuple[int, int]:
    """Return a number of variable length and the position behind it."""
    value = 0
    for place, byte in enumerate(message[position : position + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, position + place + 1
    raise _damaged(name)


def _damaged(name: str) -> IntegrityError:
    return IntegrityError(
        f"{name} is damaged or no ONNX file. Copy it again from its source, or make it again with "
        "`digitnet export RUN`."
    )
