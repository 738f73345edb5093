"""The bytes of an ONNX file of unknown origin, checked before ONNX Runtime sees them.

Guarantees:

- Nothing in a file that passes can refer to another file or memory, loop, or hide a second graph.
- Whatever is wrong is an ``UnsoundError``, which ``refused`` turns into an ``IntegrityError`` that
  names the file and says what to do.

ONNX Runtime parses the file, infers types and shapes, checks the weights against their shapes, and
says which inputs, outputs and metadata there are. What it cannot promise about a malicious file is
checked here on the bytes, by the few rules of the encoding that it is written in
(<https://protobuf.dev/programming-guides/encoding/>); field numbers are those of ``onnx.proto``.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from digitnet.errors import IntegrityError

# Of a usual model, 850 nodes take 110 kB besides the weights, in 10,500 fields.
MAX_BYTES, MAX_DESCRIPTION, MAX_FIELDS = 128 * 2**20, 2**20, 20_000
# No kernel, stride, axis, padding or number of groups of ours is larger.
_MAX_INTEGER = 128


# What the export writes for any network that digitnet can build, and close kin. None makes a tensor
# many times as large as what goes in by a value alone, except Range, see _counts_pixels, and
# Resize, see _doubles. What many of them make together is tried when it is loaded.
_OPERATORS = frozenset(
    b"""
    Add Cast Clip Constant Conv Div Elu Erf Flatten Gather Gemm LeakyRelu LessOrEqual MatMul Max
    MaxPool Min Mul Neg Range Reciprocal ReduceLogSumExp ReduceMax ReduceSum Relu Shape Sigmoid
    Slice Softmax Sub Tanh Transpose Unsqueeze

    And Concat DepthToSpace Equal Exp Floor Greater Identity Less NonZero Not Or Pow ReduceMean
    ReduceMin Reshape Resize Split Sqrt Squeeze TopK

    Abs AveragePool BatchNormalization GlobalAveragePool GreaterOrEqual Log LogSoftmax Where
    """.split()
)
_TENSOR = dict.fromkeys((1, 8, 12), "text") | {2: "data type", 9: "weights"}
# The messages of such a file and what is in their fields; "text" is whatever needs no check. Any
# other field is refused: functions, training, graphs and sparse tensors in attributes, operators of
# other domains, weights in other files.
_FIELDS: dict[str, dict[int, str]] = {
    "model": dict.fromkeys((1, 2, 3, 4, 5, 6, 8, 14), "text") | {7: "graph"},
    "graph": dict.fromkeys((2, 10, 11, 12), "text") | {1: "node", 5: "initializer"},
    "node": {1: "input", 2: "output", 3: "text", 4: "operator", 5: "attribute", 6: "text"},
    "attribute": dict.fromkeys((1, 2, 4, 13, 20), "text")
    | {3: "integer", 5: "constant", 8: "integer"},
    "initializer": _TENSOR,
    "constant": _TENSOR,
}
# Numbers with a point, by the data type of a tensor: of single and of half precision.
_FLOATS: dict[bytes, np.dtype[Any]] = {b"\1": np.dtype("<f4"), b"\n": np.dtype("<f2")}
# Fields that deserve better words.
_REFUSED = {("node", 7): "uses an operator of another domain"} | dict.fromkeys(
    [("initializer", 13), ("initializer", 14), ("constant", 13), ("constant", 14)],
    "keeps weights in another file",
)

# What people pass by mistake, by its first bytes. An ONNX file starts with its version, 8.
_OTHERS = (
    (rb"PK\x03\x04", "a ZIP archive, such as PyTorch (.pt) and Keras (.keras) write"),
    (rb"\x80[\x02-\x05]", "a Python pickle"),
    (rb".{6}\0\0\{", "the weights of a run (safetensors)"),
    (rb"\x89HDF", "an HDF5 file, such as Keras writes"),
    (rb".{4}TFL3", "a TensorFlow Lite model"),
    (rb".{4}ORTM", "a model in ONNX Runtime's own format"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|\x28\xb5\x2f\xfd|Rar!", "an archive"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP", "a picture"),
    (rb"version https://git-lfs", "a pointer of Git LFS, whose file was not fetched"),
    (rb"\s*<", "a text page (HTML or XML)"),
    (rb"\s*[{\[]", "a JSON text"),
)

_Node: TypeAlias = defaultdict[str, list[memoryview]]


class UnsoundError(Exception):
    """What is wrong with a file, as the rest of a sentence that begins with its name."""


@contextlib.contextmanager
def refused(name: str) -> Iterator[None]:
    """Turn what is wrong with a file into an ``IntegrityError`` that names it."""
    try:
        yield
    except IntegrityError:  # of a block inside
        raise
    except Exception as error:  # ONNX Runtime's have no base of their own
        reason = " ".join(str(error).split())[:300].rstrip(".")
        if not isinstance(error, UnsoundError):
            reason = f"cannot be run: {reason}"
        raise IntegrityError(
            f"{name} {reason}. Only files as `digitnet export RUN` writes them are run."
        ) from error


def check_content(content: bytes) -> None:
    """Refuse a file with anything in it that no network of digitnet needs.

    Raises:
        UnsoundError: there is.
    """
    if not content:
        raise UnsoundError("is empty (0 bytes)")
    if len(content) > MAX_BYTES:
        raise UnsoundError(f"has more than {MAX_BYTES:,} bytes, the most that is allowed")
    for pattern, what in _OTHERS:
        if re.match(pattern, content[:64], re.DOTALL):
            raise UnsoundError(f"is {what}, not a model file (ONNX)")
    nodes = _checked_nodes(content)
    if not all(map(_is_finite, nodes)):
        raise UnsoundError("holds NaN or infinity among its weights")
    makers = {bytes(output): node for node in nodes for output in node["output"]}
    if not all(_counts_pixels(node, makers) for node in nodes if b"Range" in node["operator"]):
        raise UnsoundError("holds a Range that does not count the pixels of an axis")
    if not all(_doubles(node, makers) for node in nodes if b"Resize" in node["operator"]):
        raise UnsoundError("holds a Resize that does more than double a map")


def _is_finite(node: _Node) -> bool:
    """Return whether the weights of a node, if it has any, hold neither NaN nor infinity."""
    kind = _FLOATS.get(bytes(node["data type"][0])) if node["data type"] else None
    if kind is None:
        return True
    whole = (weights[: len(weights) - len(weights) % kind.itemsize] for weights in node["weights"])
    return all(bool(np.isfinite(np.frombuffer(each, kind)).all()) for each in whole)


def _checked_nodes(content: bytes) -> list[_Node]:
    """Return the parts of each node of the graph, and then of each of its weights."""
    described = len(content)
    nodes: list[_Node] = []
    for count, (part, value) in enumerate(_parts(memoryview(content), "model")):
        if count == MAX_FIELDS:
            raise UnsoundError(f"has more than {MAX_FIELDS:,} parts")
        if part in ("node", "initializer"):
            nodes.append(defaultdict(list))
        elif part in ("input", "output", "operator", "data type", "weights"):
            nodes[-1][part].append(value)
        if part == "operator" and bytes(value) not in _OPERATORS:
            called = bytes(value[:60]).decode(errors="replace")
            raise UnsoundError(f"uses the operator {called!r}, which no network of digitnet needs")
        if part == "integer" and abs(_signed(value)) > _MAX_INTEGER:
            raise UnsoundError(f"holds an attribute beyond {_MAX_INTEGER}")
        described -= len(value) if part == "weights" else 0
    if described > MAX_DESCRIPTION:
        raise UnsoundError(
            f"holds {described:,} bytes besides its weights; at most {MAX_DESCRIPTION:,} are read"
        )
    return nodes


def _parts(message: memoryview, kind: str) -> Iterator[tuple[str, memoryview]]:
    """Yield kind and bytes of each field of a message and of the messages in it, in order."""
    for number, value in _fields(message):
        part = _FIELDS[kind].get(number)
        if part is None:
            unknown = f"holds a {kind} with field {number}, which no network of digitnet needs"
            raise UnsoundError(_REFUSED.get((kind, number), unknown))
        yield part, value
        if part in _FIELDS:
            yield from _parts(value, part)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and bytes of each field of a message; the bytes of a varint are as encoded."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        start = position
        match key & 7:
            case 0:
                _, position = _varint(message, position)
            case 5:
                position += 4
            case 2:
                length, start = _varint(message, position)
                position = start + length
            case _:
                position = len(message) + 1
        # No field of ONNX has a number above 31.
        if position > len(message) or key > 0xFF:
            raise UnsoundError("is damaged or not an ONNX file")
        yield key >> 3, message[start:position]


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return a number of variable length and the position behind it."""
    value = 0
    for place, byte in enumerate(message[position : position + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, position + place + 1
    raise UnsoundError("is damaged or not an ONNX file")


def _signed(value: memoryview) -> int:
    """Return the number of a varint; of what is packed otherwise, one that is out of any range."""
    number, end = _varint(value, 0)
    return number - (number >> 63 << 64) if end == len(value) else 2**63


def _counts_pixels(node: _Node, makers: dict[bytes, _Node]) -> bool:
    """Return whether a Range runs from 0 by 1 to the size of an axis: then it cannot be large.

    So the canonical image numbers pixels: up to ``Cast(Gather(Shape(tensor), axis))``.
    """
    first, limit, step = map(bytes, (*node["input"], b"", b"", b"")[:3])
    ends = (makers.get(name, _Node(list))["weights"] for name in (first, step))
    if [*ends] != [[np.float32(0).tobytes()], [np.float32(1).tobytes()]]:
        return False
    for operator in (b"Cast", b"Gather", b"Shape"):
        maker = makers.get(limit, _Node(list))
        if maker["operator"] != [operator] or not maker["input"]:
            return False
        limit = bytes(maker["input"][0])
    return True


def _doubles(node: _Node, makers: dict[bytes, _Node]) -> bool:
    """Return whether a Resize makes height and width twice as large, by a constant."""
    names = [bytes(name) for name in node["input"]]
    scales = makers.get(names[2], _Node(list))["weights"] if len(names) == 3 else []
    return [bytes(each) for each in scales] == [np.array([1, 1, 2, 2], np.float32).tobytes()]
