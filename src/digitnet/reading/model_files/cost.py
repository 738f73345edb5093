"""How large a graph's tensors grow, found out without running it.

Weights may be few and what they are multiplied out to may be more than any memory holds. The shape
of every tensor is inferred here for one ink of 160 × 160 pixels, the largest that the finder cuts
out, and bounded.

The only operator of the allowed ones whose result has a size that inference cannot tell is Range,
by which the canonical image numbers the pixels of an axis. It must run from 0 by 1 to the size of
an axis of 160 pixels, ``Cast(Gather(Shape(tensor), axis))``, and nothing else.
"""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper, shape_inference
from onnx.helper import make_node

from digitnet.errors import IntegrityError

SIDE = 160
# For one ink: 64 MB. Thirty times what a network of 170,000 parameters makes.
MAX_ELEMENTS = 2**24
_TYPES = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL)

_Shapes = dict[str, tuple[int, ...]]


def check_cost(model: ModelProto, name: str) -> None:
    """Refuse a model, already found well-formed, that makes tensors too large or of unknown size.

    Raises:
        IntegrityError: there is such a tensor.
    """
    shapes = tensor_shapes(model, name)
    elements = 0
    for node in model.graph.node:
        for output in filter(None, node.output):
            if output not in shapes:
                _refuse(name, f"makes a tensor {output!r:.60} of a size that cannot be foreseen")
            elements += math.prod(shapes[output])
        if node.op_type == "Conv":
            elements += _columns(node, shapes)
        if node.op_type == "Range":
            _check_range(model, node, shapes, name)
    if elements > MAX_ELEMENTS:
        _refuse(name, f"makes {elements:,} numbers out of one ink; at most {MAX_ELEMENTS:,} may be")


def tensor_shapes(model: ModelProto, name: str) -> _Shapes:
    """Return the shape of each tensor, of those whose shape and type are certain, for one ink."""
    plan = ModelProto()
    plan.CopyFrom(model)
    ink = plan.graph.input[0].type.tensor_type.shape
    for dim, size in zip(ink.dim, (1, 1, SIDE, SIDE), strict=True):
        dim.dim_value = size
    for value in plan.graph.output:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del plan.graph.value_info[:]  # Claims of the file.
    counted = numpy_helper.from_array(np.arange(SIDE, dtype=np.float32))
    for node in plan.graph.node:
        if node.op_type == "Range":
            node.CopyFrom(make_node("Constant", [], list(node.output), value=counted))
    try:
        inferred = shape_inference.infer_shapes(
            plan, check_type=True, strict_mode=True, data_prop=True
        )
    except (shape_inference.InferenceError, ValueError, RuntimeError) as error:
        _refuse(name, f"holds shapes that do not fit: {' '.join(str(error).split())[:160]}")
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input):
        tensor = value.type.tensor_type
        dims = tensor.shape.dim
        certain = all(dim.HasField("dim_value") for dim in dims) and tensor.HasField("shape")
        if certain and tensor.elem_type in _TYPES:
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    return shapes


def _columns(node: NodeProto, shapes: _Shapes) -> int:
    """Return how many numbers a convolution gathers: its kernels' size at each output pixel."""
    weights, output = shapes.get(node.input[1], ()), shapes[node.output[0]]
    return math.prod(weights[1:]) * math.prod(output[2:])


def _check_range(model: ModelProto, node: NodeProto, shapes: _Shapes, name: str) -> None:
    makers = {output: maker for maker in model.graph.node for output in maker.output}
    first, limit, step = node.input
    axis = _axis_of(makers, limit)
    counts = _constant(makers, first) == 0 and _constant(makers, step) == 1
    if axis is None or not counts or shapes.get(axis[0], ())[axis[1] :][:1] != (SIDE,):
        _refuse(name, "holds a Range that does not count the pixels of an axis")


def _axis_of(makers: dict[str, NodeProto], value: str) -> tuple[str, int] | None:
    """Return tensor and axis whose size a value is, when it certainly is one."""
    axis: float | None = None
    for kind in ("Cast", "Gather", "Shape"):
        node = makers.get(value)
        if node is None or node.op_type != kind:
            return None
        if kind == "Gather":
            axis = _constant(makers, node.input[1])
        if kind == "Shape" and node.attribute:  # A part of the shape.
            return None
        value = node.input[0]
    return None if axis is None or axis < 0 else (value, int(axis))


def _constant(makers: dict[str, NodeProto], value: str) -> float | None:
    """Return the one number of a constant; None when it is something else."""
    node = makers.get(value)
    if node is None or node.op_type != "Constant":
        return None
    array = numpy_helper.to_array(node.attribute[0].t)
    return float(array) if array.ndim == 0 else None


def _refuse(name: str, reason: str) -> NoReturn:
    raise IntegrityError(
        f"{name} {reason}. It is not run; `digitnet export RUN` writes a model file that is."
    )
