"""What is in an ONNX file: the checks that need its parser.

Guarantees:

- A graph that passes consists of known operators over tensors of float32, int64 and booleans; it
  has no loops, branches, functions or operators of other makers, and refers to no other file.
- Its weights are finite numbers, as many as their shapes say.
- Its input and outputs are those that ``digitnet.network.export`` writes, and what it computes for
  one ink is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from digitnet.errors import IntegrityError
from digitnet.reading.model_files.cost import check_cost

OPSET = 18
# The shipped model has two hundred nodes.
MAX_NODES = 5000
# No kernel, stride or axis of ours is larger; a huge padding would be a huge tensor.
_MAX_ATTRIBUTE = 64
_MAX_RANK = 8

# What the export writes for any network that digitnet can build, and close kin. None makes a
# tensor of a size that it takes from a value, but Range, which check_cost ties to a shape.
OPERATORS = frozenset(
    """
    Add Cast Clip Constant Conv Div Elu Erf Flatten Gather Gemm LeakyRelu LessOrEqual MatMul Max
    MaxPool Min Mul Neg Range Reciprocal ReduceLogSumExp ReduceMax ReduceSum Relu Shape Sigmoid
    Slice Softmax Sub Tanh Transpose Unsqueeze

    Abs AveragePool BatchNormalization Concat Equal Exp GlobalAveragePool Greater GreaterOrEqual
    Identity Less Log LogSoftmax Pow ReduceMean ReduceMin Reshape Split Sqrt Squeeze Where
    """.split()  # noqa: SIM905
)
_NUMBERS: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype("<f4"),
    TensorProto.INT64: np.dtype("<i8"),
    TensorProto.BOOL: np.dtype("?"),
}
# Names and axes as export.py gives them: a number is the size, None may be any.
_INPUT = {"ink": (None, 1, None, None)}
_OUTPUTS = {
    "probabilities": (None, None),
    "ood_score": (None,),
    "image": (None, 1, 28, 28),
    "features": (None, None),
}


def check_graph(content: bytes, name: str, classes: int) -> None:
    """Refuse an ONNX file that holds anything but a network as digitnet writes it.

    Args:
        content: the whole file.
        name: how an error names it.
        classes: how many probabilities it should give.

    Raises:
        IntegrityError: it holds something else, in a sentence that says what.
    """
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError):
        _refuse(name, "is damaged: it cannot be parsed")
    _check_versions(model, name)
    _check_nodes(model.graph, name)
    for tensor in _tensors(model.graph):
        _check_tensor(tensor, name)
    _check_interface(model.graph, name, classes)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        _refuse(name, f"holds a graph that does not add up: {_first_line(error)}")
    check_cost(model, name)


def _check_versions(model: ModelProto, name: str) -> None:
    opsets = [(opset.domain, opset.version) for opset in model.opset_import]
    if opsets != [("", OPSET)]:
        _refuse(name, f"uses the operator sets {opsets!r:.80}; only ONNX's own, {OPSET}, is read")
    for what in ("functions", "training_info", "configuration"):
        if len(getattr(model, what, ())):
            _refuse(name, f"holds {what}")
    graph = model.graph
    if graph.sparse_initializer:
        _refuse(name, "holds sparse weights")
    if len(graph.node) > MAX_NODES:
        _refuse(name, f"has {len(graph.node):,} nodes; at most {MAX_NODES:,} are read")


def _check_nodes(graph: GraphProto, name: str) -> None:
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            called = f"{node.op_type!r:.60}" + f" of {node.domain!r:.60}" * bool(node.domain)
            _refuse(name, f"uses the operator {called}, which no network of digitnet needs")
        for attribute in node.attribute:
            _check_attribute(node, attribute, name)


def _check_attribute(node: NodeProto, attribute: AttributeProto, name: str) -> None:
    numbers = [attribute.i, *attribute.ints]
    known = (
        AttributeProto.INT,
        AttributeProto.INTS,
        AttributeProto.FLOAT,
        AttributeProto.STRING,
    )
    is_constant = node.op_type == "Constant" and attribute.name == "value"
    if is_constant and attribute.type == AttributeProto.TENSOR:
        return
    # A graph within an attribute would be a loop or a branch; a reference needs a function.
    hides = attribute.HasField("g") or attribute.graphs or attribute.ref_attr_name
    hides = hides or attribute.HasField("t") or attribute.tensors or attribute.type not in known
    if hides or node.op_type == "Constant":
        _refuse(name, f"holds a {node.op_type} with an attribute of an unknown kind")
    if any(abs(number) > _MAX_ATTRIBUTE for number in numbers) or not math.isfinite(attribute.f):
        _refuse(name, f"holds a {node.op_type} whose {attribute.name!r:.40} is out of range")


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Yield all weights and constants."""
    yield from graph.initializer
    for node in graph.node:
        if node.op_type == "Constant":
            yield from (attribute.t for attribute in node.attribute)


def _check_tensor(tensor: TensorProto, name: str) -> None:
    called = f"the tensor {tensor.name!r:.60}"
    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
        _refuse(name, f"keeps {called} in another file")
    if tensor.data_type not in _NUMBERS:
        _refuse(name, f"holds {called} of a type that digitnet does not write")
    dtype = _NUMBERS[tensor.data_type]
    size = math.prod(tensor.dims)
    if len(tensor.dims) > _MAX_RANK or any(n < 0 for n in tensor.dims):
        _refuse(name, f"holds {called} of an impossible shape")
    # Numbers may also stand in other fields; torch writes none there, and one place is checked.
    held = len(tensor.raw_data)
    if held != size * dtype.itemsize or tensor.HasField("segment"):
        _refuse(name, f"holds {called} of {size:,} numbers, for which {held:,} bytes are there")
    if dtype.kind == "f" and not np.isfinite(np.frombuffer(tensor.raw_data, dtype)).all():
        _refuse(name, f"holds NaN or infinity in {called}")


def _check_interface(graph: GraphProto, name: str, classes: int) -> None:
    """Refuse other inputs and outputs than those of digitnet.network.export."""
    if [value.name for value in graph.input] != list(_INPUT):
        _refuse(name, f"takes other inputs than {', '.join(_INPUT)}")
    if [value.name for value in graph.output] != list(_OUTPUTS):
        _refuse(name, f"gives other outputs than {', '.join(_OUTPUTS)}")
    wanted = _INPUT | _OUTPUTS | {"probabilities": (None, classes)}
    for value in (*graph.input, *graph.output):
        if not _fits(value, wanted[value.name]):
            shape = " × ".join("any" if n is None else str(n) for n in wanted[value.name])
            _refuse(name, f"has '{value.name}' of another type or shape than float32 {shape}")


def _fits(value: ValueInfoProto, shape: tuple[int | None, ...]) -> bool:
    tensor = value.type.tensor_type
    found = tensor.shape.dim
    return (
        value.type.HasField("tensor_type")
        and tensor.elem_type == TensorProto.FLOAT
        and len(found) == len(shape)
        # The size of an axis that should have one size; any other may be named or numbered.
        and all(n is None or n == dim.dim_value for dim, n in zip(found, shape, strict=True))
        and not any(dim.HasField("dim_value") for dim in found[:1])
    )


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160].rstrip(".")


def _refuse(name: str, reason: str) -> NoReturn:
    raise IntegrityError(
        f"{name} {reason}. It is not run; `digitnet export RUN` writes a model file that is."
    )
