"""The network of a model file, opened: what each of its layers makes of images.

Guarantees:

- The weights are those of the model file, and so are the answers, to 1e-5.
- Only networks of layers one after the other can be opened, which is what ``CNN`` exports; of
  another it is said that it cannot be shown.

The graph takes ``images``, float32 (N, 1, 28, 28) in [0, 1] as the model file's ``image`` gives
them; ``keep_1``, ``keep_2`` …, float32 (1, channels, 1, 1), 1 or 0 for each filter of a convolution
that is to count; and ``last_weight`` (outputs, units) and ``last_bias`` (outputs,), which stand in
for the last layer's own. It gives ``probabilities``, ``ood_score``, ``features`` and ``logits``;
``maps_1`` …, what each convolution and its activation make; ``pooled_1`` … of those that are
pooled; ``pixels``, the images as the first convolution takes them, with what the network does to
their brightness; and ``weight_1``, ``bias_1`` …, ``weight_last``, ``bias_last``, the weights
themselves.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from digitnet.errors import InputError, IntegrityError

IMAGE_SIZE = 28
_ANSWERS = ("probabilities", "ood_score", "features")
_ACTIVATIONS = frozenset({"Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh"})
# What else stands between the image and the last layer, and after it: it is copied as it is.
_PLAIN = frozenset(
    [
        "Add",
        "Cast",
        "Div",
        "Flatten",
        "Gather",
        "MatMul",
        "Mul",
        "Neg",
        "ReduceLogSumExp",
        "Slice",
        "Softmax",
        "Sub",
    ]
)
_IR, _OPSET = 8, 18


@dataclass(frozen=True)
class Layer:
    """One layer as the page shows it.

    Attributes:
        name: in words.
        kind: "convolution", "pooling" or "dense".
        output: name of the graph's output that holds what it makes.
        shape: channels, height, width; or units.
        weight: name of the output that holds its weights; empty if it has none.
        keep: name of the input that switches its filters off; empty if there is none.
    """

    name: str
    kind: str
    output: str
    shape: tuple[int, ...] = ()
    weight: str = ""
    keep: str = ""


@dataclass
class OpenedGraph:
    """The graph while it is made, and its layers."""

    model: ModelProto
    nodes: list[NodeProto] = field(default_factory=list)
    inputs: dict[str, list[Any]] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node and return the name of what it makes."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output


def opened(content: bytes) -> tuple[bytes, list[Layer]]:
    """Return the graph of a model file's network as an ONNX file, and its layers in order.

    Raises:
        IntegrityError: the network has other layers than those that can be shown.
    """
    graph = OpenedGraph(onnx.load_model_from_string(content))
    _make_whole(graph.model.graph)
    shapes = {each.name: list(each.dims) for each in graph.model.graph.initializer}
    nodes = _after_image(graph.model.graph)
    while nodes:
        node = nodes.pop(0)
        if node.op_type == "Conv":
            nodes = _add_convolution(graph, node, nodes, shapes)
        elif node.op_type == "Gemm":
            _add_dense(graph, node, nodes, shapes)
        elif node.op_type in _PLAIN or node.op_type in _ACTIVATIONS:
            graph.nodes.append(node)
        else:
            raise _unknown(node)
    made = _serialized(graph)
    return made, _measured(graph, made)


def _make_whole(graph: GraphProto) -> None:
    """Replace weights that are kept in half precision by what they are made when it is loaded."""
    halves = {
        each.name: each for each in graph.initializer if each.data_type == TensorProto.FLOAT16
    }
    for node in [each for each in graph.node if each.input[:1] and each.input[0] in halves]:
        weights = halves[node.input[0]]
        whole = numpy_helper.to_array(weights).astype(np.float32)
        weights.CopyFrom(numpy_helper.from_array(whole, node.output[0]))
        graph.node.remove(node)


def described(layers: list[Layer]) -> str:
    """Return layers as JSON."""
    return json.dumps({"layers": [asdict(layer) for layer in layers]})


def _after_image(graph: GraphProto) -> list[NodeProto]:
    """Return what is computed from the canonical image, in order."""
    known, found = {"image"}, []
    for node in graph.node:
        if known.intersection(node.input):
            known.update(node.output)
            found.append(node)
    return found


def _add_convolution(
    graph: OpenedGraph, node: NodeProto, rest: list[NodeProto], shapes: dict[str, list[int]]
) -> list[NodeProto]:
    """Add a convolution, its activation and pooling, in this order; return what is left.

    Pooling before an activation that never falls gives the same numbers, but there the maps of the
    whole image would not be seen.
    """
    number = 1 + sum(layer.kind == "convolution" for layer in graph.layers)
    weight = node.input[1]
    if number == 1:
        graph.outputs.append(graph.add("Identity", [node.input[0]], "pixels"))
    graph.nodes.append(node)
    pooling, activation, last, rest = _what_follows(node.output[0], rest)
    value = graph.add(activation.op_type, [node.output[0]], f"active_{number}")
    graph.nodes[-1].attribute.extend(activation.attribute)
    maps, keep = f"maps_{number}", f"keep_{number}"
    graph.inputs[keep] = [1, shapes[weight][0], 1, 1]
    value = graph.add("Mul", [value, keep], maps)
    graph.outputs.append(maps)
    _show_weights(graph, node, number)
    words = f"Convolution {number}"
    graph.layers.append(Layer(words, "convolution", maps, weight=f"weight_{number}", keep=keep))
    if pooling is not None:
        value = graph.add("MaxPool", [maps], f"pooled_{number}")
        graph.nodes[-1].attribute.extend(pooling.attribute)
        graph.outputs.append(value)
        graph.layers.append(Layer(f"Pooling {number}", "pooling", value))
    graph.add("Identity", [value], last)
    return rest


def _what_follows(
    value: str, nodes: list[NodeProto]
) -> tuple[NodeProto | None, NodeProto, str, list[NodeProto]]:
    """Return pooling and activation of a value, what they make, and the nodes that are left."""
    pooling: NodeProto | None = None
    activation: NodeProto | None = None
    while nodes and list(nodes[0].input) == [value]:
        node = nodes[0]
        if node.op_type == "MaxPool" and pooling is None:
            pooling = node
        elif node.op_type in _ACTIVATIONS and activation is None:
            activation = node
        else:
            break
        value, nodes = node.output[0], nodes[1:]
    if activation is None:
        raise _unknown(nodes[0] if nodes else None)
    return pooling, activation, value, nodes


def _add_dense(
    graph: OpenedGraph, node: NodeProto, rest: list[NodeProto], shapes: dict[str, list[int]]
) -> None:
    """Add a dense layer; the last one takes its weights from outside."""
    units, inputs = shapes[node.input[1]]
    last = not any(other.op_type == "Gemm" for other in rest)
    if not last:
        graph.nodes.append(node)
        return
    graph.add("Identity", [node.input[0]], "hidden")
    graph.layers.append(Layer("Dense", "dense", "hidden"))
    _show_weights(graph, node, "last")
    graph.inputs |= {"last_weight": [units, inputs], "last_bias": [units]}
    graph.add("Gemm", [node.input[0], "last_weight", "last_bias"], node.output[0], transB=1)
    graph.add("Identity", [node.output[0]], "logits")
    graph.outputs += ["hidden", "logits"]
    graph.layers.append(Layer("Output", "dense", "logits", weight="weight_last"))


def _show_weights(graph: OpenedGraph, node: NodeProto, name: int | str) -> None:
    for kind, source in zip(("weight", "bias"), node.input[1:], strict=True):
        graph.outputs.append(graph.add("Identity", [source], f"{kind}_{name}"))


def _serialized(graph: OpenedGraph) -> bytes:
    """Return the graph as a file, with the weights and constants that it needs."""
    used = {name for node in graph.nodes for name in node.input}
    source = graph.model.graph
    constants = [n for n in source.node if n.op_type == "Constant" and used & set(n.output)]
    weights = [each for each in source.initializer if each.name in used]
    graph.inputs = {"image": ["N", 1, IMAGE_SIZE, IMAGE_SIZE], **graph.inputs}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in graph.inputs.items()
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in (*_ANSWERS, *graph.outputs)
    ]
    made = helper.make_graph([*constants, *graph.nodes], "layers", inputs, outputs, weights)
    for place in (*made.input, *made.node):
        _rename(place, "image", "images")
    opset = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(made, opset_imports=opset, ir_version=_IR, producer_name="digitnet")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _measured(graph: OpenedGraph, content: bytes) -> list[Layer]:
    """Return the layers with the shapes of what they make."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [layer.output for layer in graph.layers]
    made = session.run(names, blank_feeds(session))
    return [replace(each, shape=made[k].shape[1:]) for k, each in enumerate(graph.layers)]


def blank_feeds(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """Return inputs for one blank image, with every filter on and a last layer of zeros."""
    feeds = {}
    for each in session.get_inputs():
        fill = np.ones if each.name.startswith("keep_") else np.zeros
        feeds[each.name] = fill([1 if side == "N" else side for side in each.shape], np.float32)
    return feeds


def _rename(place: Any, old: str, new: str) -> None:
    if isinstance(place, NodeProto):
        place.input[:] = [new if name == old else name for name in place.input]
    elif place.name == old:
        place.name = new


def _unknown(node: NodeProto | None) -> IntegrityError:
    what = f"an operator {node.op_type}" if node is not None else "a layer without an activation"
    return IntegrityError(
        f"The layers of this model cannot be shown: it has {what} where one layer should follow "
        "the other."
    )


def with_last_layer(content: bytes, weight: Any, bias: Any, about: dict[str, str]) -> bytes:
    """Return a model file with another last layer.

    Args:
        content: of a model file of digitnet.
        weight: float32 (outputs, units).
        bias: float32 (outputs,).
        about: what its metadata says besides, or instead.

    Raises:
        InputError: the shapes are not those of the file's own last layer.
        IntegrityError: it has no last layer, or is an ensemble, which has several.
    """
    model = onnx.load_model_from_string(content)
    # Of an ensemble nothing but the answer follows the features, which are those of all members.
    followed = [node for node in _after_image(model.graph) if "features" in node.input]
    last = [node for node in followed if node.op_type == "Gemm"]
    names = [*last[0].input[1:]] if last else []
    arrays = dict(zip(names, (weight, bias), strict=False))
    for stored in model.graph.initializer:
        if (array := arrays.pop(stored.name, None)) is None:
            continue
        if list(stored.dims) != list(array.shape):
            raise InputError(
                f"The last layer is {list(array.shape)}; that of the model is {list(stored.dims)}."
            )
        stored.CopyFrom(numpy_helper.from_array(array, stored.name))
    if arrays or not last:
        raise IntegrityError("The model has no last layer that can be replaced.")
    values = {prop.key: prop.value for prop in model.metadata_props} | about
    helper.set_model_props(model, dict(sorted(values.items())))
    changed: bytes = model.SerializeToString(deterministic=True)
    return changed
