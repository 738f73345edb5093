"""The network of a model file, opened: what each of its layers makes of images.

Guarantees:

- The weights are those of the model file, and so are the answers, to 1e-5; batch normalisation is
  part of the convolution before it, as weights and a bias.
- Every network that ``CNN`` exports can be opened, if it sees an image at one place and pools at
  one phase. Of others, and of an ensemble, whose networks have layers of their own, there is the
  graph from images to answers, and a sentence that says why no layers are shown.

The graph takes ``images``, float32 (N, 1, 28, 28) in [0, 1] as the model file's ``image`` gives
them; ``keep_1``, ``keep_2`` …, float32 (1, channels, 1, 1), 1 or 0 for each filter of a convolution
that is to count; and ``last_weight`` (outputs, units) and ``last_bias`` (outputs,), which stand in
for the last layer's own. It gives ``probabilities``, ``ood_score``, ``features`` and ``logits``;
``maps_1`` …, what each convolution and its activation make; ``pooled_1`` … of those that are
pooled; ``weighed_1`` … of those that are weighed (squeeze and excite); ``hidden``, what the last
layer sees; ``pixels``, the images as the first convolution takes them, with what the network does
to their brightness; and ``weight_1``, ``bias_1`` …, ``weight_last``, ``bias_last``, the weights
themselves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from digitnet.errors import InputError, IntegrityError
from digitnet.reading.runtime import onnxruntime

IMAGE_SIZE = 28
_ANSWERS = ("probabilities", "ood_score", "features")
# The largest input gives the largest output, so that pooling may come before or after.
_NEVER_FALLING = frozenset({"Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh"})
# What activations are made of: SiLU is Sigmoid and Mul, GELU is Div, Erf, Add, Mul and Mul.
_CURVES = _NEVER_FALLING | {"Add", "Div", "Erf", "Mul"}
# What else stands between the image and the last layer, and after it: it is copied as it is.
_PLAIN = _CURVES | {
    "Cast",
    "Concat",
    "Flatten",
    "Gather",
    "Gemm",
    "MatMul",
    "Neg",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "Slice",
    "Softmax",
    "Sub",
}
# Squeeze and excite, after the means of the maps.
_WEIGHING = ("Gemm", "Relu", "Gemm", "Sigmoid", "Unsqueeze", "Unsqueeze", "Mul")
# What the last layer sees, by the operator that makes it: its kind, and its name.
_HIDDEN = {
    "ReduceMean": ("mean", "Means"),
    "Concat": ("max-mean", "Largest and means"),
    "Flatten": ("flat", "All cells"),
}
_IR, _OPSET = 8, 18


class _UnshownError(Exception):
    """The layers cannot be shown; it says why, to whoever wants to see them."""


@dataclass(frozen=True)
class Layer:
    """One layer as the page shows it.

    Attributes:
        name: in words.
        kind: "convolution", "pooling", "weighing" or "dense"; of what the last layer sees also
            "mean", "max-mean" or "flat", where no dense layer makes it from the maps.
        output: name of the graph's output that holds what it makes.
        shape: channels, height, width; or units.
        weight: name of the output that holds its weights; empty if it has none.
        keep: name of the input that switches its filters off; empty if there is none.
        side: of a convolution's filters, in cells.
        stride: cells from one place of a filter to the next.
        padding: zeros at each edge of what a convolution takes.
        adds: whether a convolution adds what it takes to its sums.
    """

    name: str
    kind: str
    output: str
    shape: tuple[int, ...] = ()
    weight: str = ""
    keep: str = ""
    side: int = 0
    stride: int = 1
    padding: int = 0
    adds: bool = False


@dataclass
class OpenedGraph:
    """The graph while it is made, and its layers."""

    model: ModelProto
    nodes: list[NodeProto] = field(default_factory=list)
    inputs: dict[str, list[Any]] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)

    def add(self, kind: str, inputs: list[str], output: str, like: NodeProto | None = None) -> str:
        """Add a node, with the attributes of another, and return the name of what it makes."""
        node = helper.make_node(kind, inputs, [output])
        node.attribute.extend(like.attribute if like is not None else [])
        self.nodes.append(node)
        return output

    def keep(self, name: str, array: NDArray[np.float32]) -> str:
        """Add weights and return their name."""
        self.model.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def count(self, kind: str) -> int:
        """Return how many layers of a kind there are by now."""
        return sum(layer.kind == kind for layer in self.layers)


@dataclass
class _Convolution:
    """A convolution and what belongs to it, as they follow one another in a model file."""

    node: NodeProto
    value: str
    """What the nodes so far make."""
    norm: NodeProto | None = None
    added: str = ""
    """What is added to the sums."""
    activation: list[NodeProto] = field(default_factory=list)
    pooling: NodeProto | None = None
    pools_first: bool = False
    """Whether pooling comes before the activation."""

    @property
    def must_pool_first(self) -> bool:
        """Whether pooling before the activation gives other numbers than after it."""
        falls = [node.op_type for node in self.activation if node.op_type not in _NEVER_FALLING]
        return self.pools_first and (bool(falls) or len(self.activation) > 1)


def opened(content: bytes) -> tuple[bytes, list[Layer], str]:
    """Return the graph of a model file's network as an ONNX file, and its layers in order.

    Where layers cannot be shown, there are none; the sentence that comes third, else empty, says
    why.
    """
    graph, unshown = OpenedGraph(onnx.load_model_from_string(content)), ""
    _make_whole(graph.model.graph)
    nodes = _after_image(graph.model.graph)
    try:
        _open(graph, list(nodes))
    except _UnshownError as error:
        graph, unshown = OpenedGraph(graph.model, nodes), str(error)
    made = _serialized(graph)
    return made, _measured(graph, made), unshown


def _open(graph: OpenedGraph, nodes: list[NodeProto]) -> None:
    last = _last_layer(graph.model.graph)
    if last is None:
        raise _UnshownError(
            "This model is several networks that answer as one. Each has layers of its own, which "
            "are not shown here."
        )
    if any(map(stacks_images, nodes)):
        raise _UnshownError(
            "This model sees each image, or maps of it, at several places, and each layer has a "
            "map of every place. They are not shown here."
        )
    while nodes:
        node = nodes.pop(0)
        following = [each.op_type for each in nodes[: len(_WEIGHING)]]
        if node.op_type == "Conv":
            nodes = _add_convolution(graph, node, nodes)
        elif node.op_type == "ReduceMean" and following == list(_WEIGHING):
            _add_weighing(graph, [node, *nodes[: len(_WEIGHING)]])
            nodes = nodes[len(_WEIGHING) :]
        elif node == last:
            _add_last(graph, node)
        elif node.op_type in _PLAIN:
            graph.nodes.append(node)
        else:
            raise _unknown(node.op_type)


def stacks_images(node: NodeProto) -> bool:
    """Return whether a node stacks views of an image along the batch."""
    return node.op_type == "Concat" and helper.get_node_attr_value(node, "axis") == 0


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
    _name_alike(graph)


def _name_alike(graph: GraphProto) -> None:
    """Call weights that are stored once, because they are equal, by one name."""
    stored = {each.name for each in graph.initializer}
    same = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Identity" and node.input[0] in stored
    }
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]


def described(layers: list[Layer], unshown: str) -> str:
    """Return layers as JSON, and the sentence that says why there are none."""
    return json.dumps({"layers": [asdict(layer) for layer in layers], "unshown": unshown})


def _after_image(graph: GraphProto) -> list[NodeProto]:
    """Return what is computed from the canonical image, in order."""
    known, found = {"image"}, []
    for node in graph.node:
        if known.intersection(node.input):
            known.update(node.output)
            found.append(node)
    return found


def _last_layer(graph: GraphProto) -> NodeProto | None:
    """Return the node of the last layer; an ensemble has none, but several."""
    # Of an ensemble nothing but the answer follows the features, which are those of all members.
    followed = [node for node in _after_image(graph) if "features" in node.input]
    return next((node for node in followed if node.op_type == "Gemm"), None)


def _add_convolution(graph: OpenedGraph, node: NodeProto, rest: list[NodeProto]) -> list[NodeProto]:
    """Add a convolution, its activation and pooling, in this order; return what is left.

    Pooling before an activation that never falls gives the same numbers, but there the maps of the
    whole image would not be seen. Before one that falls it stays, and the activation with it.
    """
    number = 1 + graph.count("convolution")
    if number == 1:
        graph.outputs.append(graph.add("Identity", [node.input[0]], "pixels"))
    found, rest = _convolution(graph, node, rest)
    names = _weights(graph, found, number)
    value = graph.add("Conv", [node.input[0], *names], f"sums_{number}", node)
    if found.added:
        value = graph.add("Add", [value, found.added], f"added_{number}")
    if not found.must_pool_first:
        value = _add_activation(graph, found, value, f"active_{number}")
    maps, keep = f"maps_{number}", f"keep_{number}"
    graph.inputs[keep] = [1, _array(graph, names[0]).shape[0], 1, 1]
    value = graph.add("Mul", [value, keep], maps)
    graph.outputs.append(maps)
    _show_weights(graph, names, number)
    graph.layers.append(_convolution_layer(found, number))
    if found.pooling is not None:
        value = graph.add("MaxPool", [maps], f"largest_{number}", found.pooling)
        if found.must_pool_first:
            value = _add_activation(graph, found, value, f"active_{number}")
        graph.outputs.append(graph.add("Identity", [value], f"pooled_{number}"))
        graph.layers.append(Layer(f"Pooling {number}", "pooling", f"pooled_{number}"))
    graph.add("Identity", [value], found.value)
    return rest


def _convolution(
    graph: OpenedGraph, node: NodeProto, nodes: list[NodeProto]
) -> tuple[_Convolution, list[NodeProto]]:
    """Return what belongs to a convolution, and the nodes that are left."""
    found, fixed = _Convolution(node, node.output[0]), _constants(graph.model.graph)
    while nodes:
        node = nodes[0]
        kind, others = node.op_type, [name for name in node.input if name != found.value]
        if len(others) == len(node.input):
            break
        if kind == "MaxPool" and found.pooling is None:
            found.pooling, found.pools_first = node, not found.activation
        elif kind == "BatchNormalization" and found.norm is None and not found.activation:
            found.norm = node
        elif kind == "Add" and not (found.added or found.activation) and not fixed & {*others}:
            found.added = others[0]
        elif kind in _CURVES and not found.activation:
            found.activation = _activation(found.value, nodes, fixed)
            nodes = nodes[len(found.activation) - 1 :]
            node = found.activation[-1]
        else:
            break
        found.value, nodes = node.output[0], nodes[1:]
    if not found.activation:
        raise _unknown("convolution without an activation")
    return found, nodes


def _activation(value: str, nodes: list[NodeProto], fixed: set[str]) -> list[NodeProto]:
    """Return the nodes at the beginning that take nothing but a value, cell by cell."""
    known, found = fixed | {value}, list[NodeProto]()
    for node in nodes:
        if node.op_type not in _CURVES or not known.issuperset(node.input):
            break
        known.update(node.output)
        found.append(node)
    return found


def _add_activation(graph: OpenedGraph, found: _Convolution, value: str, output: str) -> str:
    """Add an activation of a value."""
    source = found.activation[0].input[0]
    last = found.activation[-1]
    for node in found.activation:
        inputs = [value if name == source else name for name in node.input]
        graph.add(node.op_type, inputs, output if node is last else node.output[0], node)
    return output


def _convolution_layer(found: _Convolution, number: int) -> Layer:
    of = {each.name: list(each.ints) for each in found.node.attribute}
    return Layer(
        name=f"Convolution {number}",
        kind="convolution",
        output=f"maps_{number}",
        weight=f"weight_{number}",
        keep=f"keep_{number}",
        side=of["kernel_shape"][0],
        stride=of["strides"][0],
        padding=of["pads"][0],
        adds=bool(found.added),
    )


def _weights(graph: OpenedGraph, found: _Convolution, number: int) -> list[str]:
    """Return the names of weight and bias, into which batch normalisation is multiplied."""
    if found.norm is None:
        if len(found.node.input) < 3:
            raise _unknown("convolution without a bias")
        return list(found.node.input[1:])
    weight = _array(graph, found.node.input[1])
    bias = _array(graph, found.node.input[2]) if len(found.node.input) > 2 else np.float32(0)
    scale, shift, mean, variance = (_array(graph, name) for name in found.norm.input[1:])
    epsilon = next(each.f for each in found.norm.attribute if each.name == "epsilon")
    factor = (scale / np.sqrt(variance + epsilon)).astype(np.float32)
    if found.pooling is not None and found.pools_first and not (factor > 0).all():
        raise _unknown("normalisation that turns the largest cell into the smallest")
    return [
        graph.keep(f"normal_weight_{number}", weight * factor[:, None, None, None]),
        graph.keep(f"normal_bias_{number}", shift + (bias - mean) * factor),
    ]


def _constants(graph: GraphProto) -> set[str]:
    """Return the names of all numbers that stand in a graph."""
    made = (name for node in graph.node if node.op_type == "Constant" for name in node.output)
    return {each.name for each in graph.initializer} | {*made}


def _array(graph: OpenedGraph, name: str) -> NDArray[np.float32]:
    """Return weights, or a constant, by name."""
    source = graph.model.graph
    stored = [each for each in source.initializer if each.name == name]
    stored += [node.attribute[0].t for node in source.node if name in node.output]
    return numpy_helper.to_array(stored[0]).astype(np.float32)


def _add_weighing(graph: OpenedGraph, nodes: list[NodeProto]) -> None:
    """Add squeeze and excite: maps times weights that follow from the means of all of them."""
    number = 1 + graph.count("weighing")
    graph.nodes += nodes
    graph.outputs.append(graph.add("Identity", [nodes[-1].output[0]], f"weighed_{number}"))
    graph.layers.append(Layer(f"Weighing {number}", "weighing", f"weighed_{number}"))


def _add_last(graph: OpenedGraph, node: NodeProto) -> None:
    """Add the last layer, which takes its weights from outside, after what it sees."""
    units, inputs = _array(graph, node.input[1]).shape
    maker = next(each for each in graph.nodes if node.input[0] in each.output)
    kind, name = _HIDDEN.get(maker.op_type, ("dense", "Dense"))
    graph.add("Identity", [node.input[0]], "hidden")
    graph.layers.append(Layer(name, kind, "hidden"))
    _show_weights(graph, node.input[1:], "last")
    graph.inputs |= {"last_weight": [units, inputs], "last_bias": [units]}
    graph.add("Gemm", [node.input[0], "last_weight", "last_bias"], node.output[0], node)
    graph.add("Identity", [node.output[0]], "logits")
    graph.outputs += ["hidden", "logits"]
    graph.layers.append(Layer("Output", "dense", "logits", weight="weight_last"))


def _show_weights(graph: OpenedGraph, names: Sequence[str], name: int | str) -> None:
    for kind, source in zip(("weight", "bias"), names, strict=True):
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


def _unknown(what: str) -> _UnshownError:
    return _UnshownError(
        f"The layers of this model are not shown: it has a step, {what}, that no network of "
        "digitnet has."
    )


def with_last_layer(content: bytes, weight: Any, bias: Any, about: dict[str, str]) -> bytes:
    """Return a model file with another last layer.

    Args:
        content: of a model file of digitnet.
        weight: float32 (outputs, units).
        bias: float32 (outputs,).
        about: what its metadata says besides, last, or instead.

    Raises:
        InputError: the shapes are not those of the file's own last layer.
        IntegrityError: it has no last layer, or is an ensemble, which has several.
    """
    model = onnx.load_model_from_string(content)
    last = _last_layer(model.graph)
    names = [] if last is None else last.input[1:]
    arrays = dict(zip(names, (weight, bias), strict=False))
    for stored in model.graph.initializer:
        if (array := arrays.pop(stored.name, None)) is None:
            continue
        if list(stored.dims) != list(array.shape):
            raise InputError(
                f"The last layer is {list(array.shape)}; that of the model is {list(stored.dims)}."
            )
        stored.CopyFrom(numpy_helper.from_array(array, stored.name))
    if arrays or last is None:
        raise IntegrityError("The model has no last layer that can be replaced.")
    values = {prop.key: prop.value for prop in model.metadata_props} | about
    helper.set_model_props(model, values)
    changed: bytes = model.SerializeToString(deterministic=True)
    return changed
