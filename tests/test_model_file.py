import contextlib
import gzip
import hashlib
import json
import os
import pickle
import random
import time
import zipfile

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from digitnet.errors import InputError, IntegrityError, StorageError
from digitnet.network.cnn import CNN
from digitnet.network.config import ModelConfig
from digitnet.network.export import Calibration, Recognition, _metadata, _to_onnx, finished
from digitnet.network.finder import Finder
from digitnet.reading import model_file as module
from digitnet.reading.model_file import READ, ModelFile, load_model_file
from digitnet.reading.onnx_content import MAX_BYTES, MAX_DESCRIPTION
from exported import ABOUT, CALIBRATION, model_file

in_one_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)


@pytest.fixture(scope="module")
def good():
    return model_file()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.onnx"


def refused(file, content, says="."):
    """Assert that a file of this content is refused by a sentence that names it."""
    file.write_bytes(content)
    with pytest.raises(IntegrityError, match=says) as caught:
        load_model_file(file)
    message = str(caught.value)
    assert message.startswith(str(file))
    assert message.count("Only files as") == 1
    assert message.endswith(".")
    assert len(message) < 600
    return message


def changed(content, change):
    """Return the file after ``change`` has done something to the model."""
    model = onnx.load_model_from_string(content)
    change(model)
    return model.SerializeToString()


def with_metadata(content, **values):
    """Return the file with other metadata; None takes a key away."""
    model = onnx.load_model_from_string(content)
    metadata = {entry.key: entry.value for entry in model.metadata_props} | values
    helper.set_model_props(model, {k: v for k, v in metadata.items() if v is not None})
    return model.SerializeToString()


# ---- what is sound


def test_what_digitnet_exports_is_loaded_with_what_it_says_of_itself(good, file):
    file.write_bytes(good)
    loaded = load_model_file(file)
    assert loaded.content == good
    assert loaded.sha256 == hashlib.sha256(good).hexdigest()
    assert loaded.name == str(file)
    assert loaded.class_names == tuple("0123456789")
    assert loaded.ood_threshold == CALIBRATION.ood_threshold
    assert ABOUT.items() <= loaded.metadata.items()
    assert load_model_file(str(file)) == loaded
    assert repr(good[:20]) not in repr(loaded)


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(channels=(2, 3), dense=(), activation="leaky_relu", num_classes=3),
        ModelConfig(channels=(2,), dense=(4,), activation="elu", convs_per_block=2),
        ModelConfig(channels=(2, 3, 4), dense=(4, 4), activation="silu", padding=True, reject=True),
        ModelConfig(channels=(2,), dense=(4,), activation="tanh", kernel_size=11, dropout=0.5),
        ModelConfig(channels=(256, 512), dense=(4,), activation="sigmoid", canonical=True),
    ],
    ids=lambda config: config.activation,
)
def test_every_kind_of_network_passes(config, file):
    names = json.dumps([f"class {n}" for n in range(config.num_classes)])
    about = {**ABOUT, "class_names": names}
    # Untrained, features may be large and differ by more than build allows.
    network = Recognition(CNN(config).eval(), Finder().eval())
    content = finished(_to_onnx(network), _metadata(Calibration(), about), half=False)
    file.write_bytes(content)
    assert len(load_model_file(file).class_names) == config.num_classes
    assert load_model_file(file).ood_threshold == float("inf")


def test_a_file_can_be_pickled_and_then_runs(good, file):
    file.write_bytes(good)
    loaded = load_model_file(file)
    file.unlink()
    again = pickle.loads(pickle.dumps(loaded))
    assert again == loaded
    ink = np.ones((2, 1, 9, 7), np.float32)
    for one, other in zip(again.of_inks(READ, ink), loaded.of_inks(READ, ink), strict=True):
        assert (one == other).all()


def test_a_run_folder_stands_for_its_model(good, tmp_path):
    with pytest.raises(InputError, match="is a folder, but not a run of digitnet"):
        load_model_file(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=f"has no model.onnx. `digitnet export {tmp_path}`"):
        load_model_file(tmp_path)
    (tmp_path / "model.onnx").write_bytes(good)
    assert load_model_file(tmp_path).name == str(tmp_path / "model.onnx")


def test_no_file_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "gone", "gone", "a\0b", tmp_path / "pipe", "/dev/null", ""):
        with pytest.raises(InputError):
            load_model_file(path)
    with pytest.raises((InputError, StorageError), match="nnn"):
        load_model_file("n" * 300)


# ---- the model that comes with digitnet


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Stand in for the installed package, with an empty folder of assets."""
    (tmp_path / "assets").mkdir()
    monkeypatch.setattr(module.resources, "files", lambda _: tmp_path)
    return tmp_path / "assets"


def test_the_shipped_model_is_compared_with_its_hash(good, package):
    (package / "digitnet.onnx").write_bytes(good)
    about = {"sha256": hashlib.sha256(good).hexdigest(), "more": "may stand there"}
    (package / "digitnet.json").write_text(json.dumps(about))
    loaded = load_model_file()
    assert isinstance(loaded, ModelFile)
    assert loaded.class_names == tuple("0123456789")
    assert loaded.name == "the model of digitnet"

    (package / "digitnet.onnx").write_bytes(good[:-1] + b"\0")
    with pytest.raises(
        IntegrityError, match=r"is damaged: its SHA-256 is \w{64}, and .* says \w{64}"
    ):
        load_model_file()


@pytest.mark.parametrize("text", [None, "", "{", "[]", "3", "{}", '{"sha": "a"}'])
def test_a_shipped_model_that_cannot_be_checked_is_refused(text, good, package):
    (package / "digitnet.onnx").write_bytes(good)
    if text is not None:
        (package / "digitnet.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"digitnet\.json says "):
        load_model_file()


def test_without_a_shipped_model_the_error_says_how_to_make_one(package):
    with pytest.raises(InputError, match=r"has no model: .*`digitnet export RUN`"):
        load_model_file()


# ---- what is something else


def zip_of(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"x")
    return path.read_bytes()


def test_what_is_something_else_is_refused_by_what_it_is(file, tmp_path):
    png = b"\x89PNG\r\n\x1a\n" + bytes(40)
    others = {
        "is empty": b"",
        "a ZIP archive": zip_of(tmp_path / "zip"),
        "a Python pickle": pickle.dumps({"weights": [1, 2, 3]}),
        "the weights of a run": save({"w": np.zeros(4, np.float32)}),
        "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(40),
        "TensorFlow Lite": b"\x1c\0\0\0TFL3" + bytes(40),
        "ONNX Runtime's own format": b"\x1c\0\0\0ORTM" + bytes(40),
        "an archive": gzip.compress(b"weights"),
        "a picture": png,
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
        "a text page": b"\n<!DOCTYPE html><title>404</title>",
        "a JSON text": b'{"model": 1}',
    }
    for says, content in others.items():
        message = refused(file, content, says)
        assert not content or "`digitnet export RUN`" in message


class Canary:
    """An object whose unpickling leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def test_a_pickle_is_never_run(file, tmp_path):
    trace = tmp_path / "trace"
    torch.save({"w": Canary(trace)}, tmp_path / "zip")
    for protocol in range(6):
        refused(file, pickle.dumps(Canary(trace), protocol=protocol))
    refused(file, (tmp_path / "zip").read_bytes())
    assert not trace.exists()


def test_a_file_too_large_to_be_ours_is_refused_unread(good, file):
    with file.open("wb") as stream:
        stream.write(good)
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(IntegrityError, match=r"more than 134,217,728 bytes"):
        load_model_file(file)


def test_a_truncated_file_is_refused_wherever_it_ends(good, file):
    for end in {*range(1, len(good), 4999), len(good) - 1}:
        refused(file, good[:end])
    refused(file, good + b"\0")


@in_one_folder
@given(st.binary(max_size=200))
@example(b"\x08\x08")
@example(b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")
@example(b"\x3a" + b"\xff" * 9 + b"\x01")
def test_random_bytes_are_refused(tmp_path, content):
    refused(tmp_path / "noise.onnx", content)
    refused(tmp_path / "noise.onnx", b"\x08\x08" + content)


@settings(in_one_folder, max_examples=40)
@given(st.data())
def test_flipped_bits_are_refused_or_harmless(tmp_path, capfd, data):
    content = bytearray(model_file())
    # Half of them where the graph is described, which is a small part of the file.
    graph_part = st.integers(0, 2000) | st.integers(len(content) - 12_000, len(content) - 1)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(graph_part | st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    file = tmp_path / "flipped.onnx"
    file.write_bytes(content)
    with contextlib.suppress(IntegrityError):
        assert load_model_file(file).content == content
    assert capfd.readouterr() == ("", "")


def test_a_name_that_is_not_text_is_refused_in_silence(good, file, capfd):
    def unfit(model):
        next(t for t in model.graph.initializer if len(t.dims) == 2).dims[:] = [3, 3]

    content = changed(good, unfit)
    assert b"head.0" in content
    refused(file, content.replace(b"head.0", b"\xff" * 6), "cannot be run")
    assert capfd.readouterr() == ("", "")


# ---- metadata


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"format": None}, "was not written by digitnet"),
        ({"format": "keras"}, "was not written by digitnet"),
        ({"schema_version": None}, "has format None"),
        ({"schema_version": "3"}, "has format '3', where this digitnet reads format 2"),
        ({"ood_threshold": None}, "ood_threshold=None"),
        ({"ood_threshold": "nan"}, "not a number"),
        ({"ood_threshold": "x" * 5000}, "not a number"),
        ({"class_names": None}, "class_names="),
        ({"class_names": "0,1"}, "class_names="),
        ({"class_names": "[" * 100_000}, "class_names="),
        ({"class_names": '{"0": 1}'}, "a JSON list"),
        ({"class_names": "[0, 1]"}, "a JSON list"),
        ({"class_names": '["0"]'}, "2 to 1,000 different names"),
        ({"class_names": '["0", "0"]'}, "different names"),
        ({"class_names": '["0", ""]'}, "different names"),
        ({"class_names": json.dumps(list(map(str, range(1001))))}, "2 to 1,000"),
        ({"class_names": '["0", "1"]'}, "has the inputs and outputs"),
    ],
)
def test_a_file_that_does_not_describe_itself_is_refused(values, says, good, file):
    refused(file, with_metadata(good, **values), says)


# ---- references to other files


LOCATIONS = [
    "../../../../../../etc/passwd",
    "/etc/passwd",
    "weights.bin",
    "link",
    "*/_ORT_MEM_ADDR_/*",
    "",
    "file:///etc/passwd",
    "\\\\server\\share",
]


def put_outside(tensor, location, size=64):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(size)}.items():
        tensor.external_data.add(key=key, value=value)


@pytest.mark.parametrize("location", LOCATIONS)
def test_weights_in_another_file_are_refused(location, good, file, tmp_path):
    (tmp_path / "weights.bin").write_bytes(bytes(2**20))
    (tmp_path / "link").symlink_to("/etc/passwd")

    def outside(model):
        put_outside(model.graph.initializer[0], location)

    refused(file, changed(good, outside), "in another file")


def test_half_a_reference_is_refused(good, file):
    def location_only(model):
        model.graph.initializer[0].external_data.add(key="location", value="weights.bin")

    def flag_only(model):
        model.graph.initializer[0].data_location = TensorProto.EXTERNAL

    for change in (location_only, flag_only):
        refused(file, changed(good, change), "in another file")


def test_a_reference_is_found_wherever_it_hides(good, file):
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    put_outside(tensor, "../secret")
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, [1])
    branch = helper.make_graph([], "branch", [], [output], initializer=[tensor])
    constant = helper.make_node("Constant", [], ["hidden"], value=tensor)

    def in_a_constant(model):
        model.graph.node.insert(0, constant)

    def in_a_branch(model):
        node = helper.make_node("If", ["c"], ["r"], then_branch=branch, else_branch=branch)
        model.graph.node.insert(0, node)

    def in_an_attribute_of_a_known_operator(model):
        model.graph.node[-1].attribute.append(helper.make_attribute("body", branch))

    def in_a_list_of_tensors(model):
        model.graph.node[-1].attribute.append(helper.make_attribute("extra", [tensor]))

    def in_a_sparse_constant(model):
        indices = numpy_helper.from_array(np.array([0]), "i")
        sparse = helper.make_sparse_tensor(tensor, indices, [4])
        node = helper.make_node("Constant", [], ["hidden"], sparse_value=sparse)
        model.graph.node.insert(0, node)

    def in_sparse_weights(model):
        indices = numpy_helper.from_array(np.array([0]), "i")
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(tensor, indices, [4]))

    def in_a_function(model):
        opset = [helper.make_opsetid("", 18)]
        model.functions.append(helper.make_function("d", "f", [], ["hidden"], [constant], opset))

    def in_training(model):
        model.training_info.add().initialization.initializer.append(tensor)

    for change in (
        in_a_constant,
        in_a_branch,
        in_an_attribute_of_a_known_operator,
        in_a_list_of_tensors,
        in_a_sparse_constant,
        in_sparse_weights,
        in_a_function,
        in_training,
    ):
        refused(file, changed(good, change))


# ---- operators


@pytest.mark.parametrize(
    ("kind", "domain"),
    [
        ("Relu", "com.microsoft"),
        ("Relu", "evil"),
        ("MyOp", ""),
        ("Loop", ""),
        ("Scan", ""),
        ("ConstantOfShape", ""),
        ("Expand", ""),
        ("Tile", ""),
        ("Resize", ""),
        ("Pad", ""),
        ("RandomNormal", ""),
        ("StringSplit", ""),
        ("ImageDecoder", ""),
        ("x" * 5000, "y" * 5000),
    ],
)
def test_other_operators_are_refused(kind, domain, good, file):
    def add(model):
        model.graph.node.append(helper.make_node(kind, ["features"], ["more"], domain=domain))

    refused(file, changed(good, add), "uses (the|an) operator")


def test_too_many_nodes_are_refused(good, file):
    def many(model):
        for number in range(5000):
            model.graph.node.append(helper.make_node("Relu", ["features"], [f"r{number}"]))

    refused(file, changed(good, many), "more than 20,000 parts")


# ---- weights


def with_dims(*dims):
    return lambda tensor: tensor.dims.__setitem__(slice(None), dims)


def of_type(data_type):
    return lambda tensor: setattr(tensor, "data_type", data_type)


def in_another_field(tensor):
    numbers = numpy_helper.to_array(tensor).ravel().tolist()
    tensor.ClearField("raw_data")
    tensor.float_data.extend(numbers)


@pytest.mark.parametrize(
    "change",
    [
        with_dims(2**29),
        with_dims(2**32, 2**32),
        with_dims(-1, -1),
        with_dims(*[1] * 1000),
        of_type(TensorProto.STRING),
        of_type(TensorProto.FLOAT16),
        of_type(TensorProto.DOUBLE),
        of_type(99),
        lambda tensor: tensor.ClearField("raw_data"),
        in_another_field,
        lambda tensor: setattr(tensor.segment, "begin", 0),
    ],
)
def test_weights_that_are_not_what_their_shape_says_are_refused(change, good, file):
    def first(model):
        change(next(tensor for tensor in model.graph.initializer if tensor.dims))

    refused(file, changed(good, first))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_numbers_are_refused(value, good, file):
    def spoil(tensor):
        array = numpy_helper.to_array(tensor).copy()
        array.flat[-1] = value
        tensor.raw_data = array.tobytes()

    def in_weights(model):
        spoil(model.graph.initializer[-1])

    def in_a_constant(model):
        constants = (node.attribute[0].t for node in model.graph.node if node.op_type == "Constant")
        spoil(next(t for t in constants if t.data_type == TensorProto.FLOAT))

    def in_half_precision(model):
        tensor = model.graph.initializer[-1]
        halves = numpy_helper.to_array(tensor).astype(np.float16)
        halves.flat[-1] = value
        tensor.CopyFrom(numpy_helper.from_array(halves, tensor.name))

    for change in (in_weights, in_a_constant, in_half_precision):
        refused(file, changed(good, change), "NaN or infinity")


# ---- inputs, outputs, structure


def dim(value, axis, size):
    value.type.tensor_type.shape.dim[axis].dim_value = size


@pytest.mark.parametrize(
    "change",
    [
        lambda g: setattr(g.input[0], "name", "x"),
        lambda g: g.input.append(g.input[0]),
        lambda g: g.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1])),
        lambda g: dim(g.input[0], 2, 64),
        lambda g: dim(g.input[1], 0, 1),
        lambda g: dim(g.input[1], 1, 3),
        lambda g: setattr(g.input[0].type.tensor_type, "elem_type", TensorProto.UINT8),
        lambda g: g.input[0].type.tensor_type.ClearField("shape"),
        lambda g: g.input[0].type.ClearField("tensor_type"),
        lambda g: g.input[0].type.sequence_type.SetInParent(),
        lambda g: g.output.pop(),
        lambda g: g.output.append(g.output.pop(0)),
        lambda g: dim(g.output[1], 0, 1),
    ],
)
def test_other_inputs_and_outputs_are_refused(change, good, file):
    says = "has the inputs and outputs|cannot be run"
    refused(file, changed(good, lambda model: change(model.graph)), says)


def test_a_graph_that_does_not_add_up_is_refused(good, file):
    def cyclic(model):
        node = next(n for n in model.graph.node if n.op_type == "Conv")
        node.input[0] = "probabilities"

    def dangling(model):
        model.graph.node[-1].input[0] = "nowhere"

    def twice(model):
        model.graph.node.append(model.graph.node[-1])

    def unknown_attribute(model):
        model.graph.node[-1].attribute.append(helper.make_attribute("colour", 3))

    def wrong_count(model):
        model.graph.node[-1].input.append("features")

    def unfit(model):
        node = next(n for n in model.graph.node if n.op_type == "Gemm")
        node.input[1] = next(t.name for t in model.graph.initializer if len(t.dims) == 4)

    for change in (cyclic, dangling, twice, unknown_attribute, wrong_count, unfit):
        refused(file, changed(good, change), "cannot be run|field 21|has the inputs")


# ---- bombs


def constant(name, value):
    array = np.asarray(value, np.float32)
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))


def ranged(first, limit, step):
    nodes = [constant("first", first), constant("limit", limit), constant("step", step)]
    return [*nodes, helper.make_node("Range", ["first", "limit", "step"], ["bomb"])]


def outer_product():
    """A thousand numbers, multiplied out to a thousand million."""
    nodes = [constant("a0", np.ones((1000, 1)))]
    nodes.append(helper.make_node("Transpose", ["a0"], ["b0"]))
    nodes.append(helper.make_node("Mul", ["a0", "b0"], ["a1"]))
    axes = numpy_helper.from_array(np.array([2]))
    nodes.append(helper.make_node("Constant", [], ["axes"], value=axes))
    nodes.append(helper.make_node("Unsqueeze", ["a1", "axes"], ["a2"]))
    return [*nodes, helper.make_node("Mul", ["a2", "b0"], ["bomb"])]


def of_a_value():
    """A Range up to a number that depends on the picture."""
    nodes = [helper.make_node("ReduceSum", ["ink"], ["limit"], keepdims=0)]
    nodes += [constant("first", 0), constant("step", 1)]
    return [*nodes, helper.make_node("Range", ["first", "limit", "step"], ["bomb"])]


def enlarged(what, scales):
    return helper.make_node("Resize", [what, "", scales], ["bomb"], mode="nearest")


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        (ranged(0, 1e9, 1), "Range"),
        (ranged(0, 160, 1e-9), "Range"),
        (ranged(-1e9, 160, 1), "Range"),
        (ranged(0, 160, 1), "Range"),
        (of_a_value(), "Range"),
        (outer_product(), "cannot be run"),
        ([constant("s", [1, 1, 9e4, 9e4]), enlarged("ink", "s")], "Resize"),
        ([enlarged("ink", "features")], "Resize"),
        ([helper.make_node("MaxPool", ["image"], ["bomb"], kernel_shape=[9**9] * 2)], "beyond 128"),
    ],
)
def test_what_would_fill_the_memory_is_refused_unrun(nodes, says, good, file):
    def add(model):
        for node in reversed(nodes):
            place = 0 if node.op_type == "Constant" else len(model.graph.node)
            model.graph.node.insert(place, node)
        # Nodes stand in the order of computing.
        constants = [n for n in model.graph.node if n.op_type == "Constant"]
        others = [n for n in model.graph.node if n.op_type != "Constant"]
        rest = [n for n in others if n not in nodes] + [n for n in nodes if n in others]
        del model.graph.node[:]
        model.graph.node.extend([*constants, *rest])

    refused(file, changed(good, add), says)


def test_a_convolution_of_huge_padding_is_refused(good, file):
    def pads(size):
        def change(model):
            node = [n for n in model.graph.node if n.op_type == "Conv"][-1]
            attribute = next(a for a in node.attribute if a.name == "pads")
            attribute.ints[:] = [size] * 4

        return change

    refused(file, changed(good, pads(10**6)), "beyond 128")
    refused(file, changed(good, pads(64)), "cannot be run")


def test_what_takes_too_long_is_refused(good, file, monkeypatch):
    side = np.ones((600, 600), np.float32)
    nodes = [constant("m0", side)]
    nodes += [helper.make_node("MatMul", [f"m{n}", "m0"], [f"m{n + 1}"]) for n in range(300)]
    monkeypatch.setattr(module, "_MAX_SECONDS", 0.05)

    def add(model):
        for node in reversed(nodes):
            model.graph.node.insert(0, node)

    refused(file, changed(good, add), "terminate")


def test_a_million_empty_nodes_are_refused_before_they_are_parsed(file):
    bombs = [b"\x0a\x00", b"\x2a\x00", b"\x72\x00"]
    for bomb in bombs:
        content = bomb * 2_000_000
        size = len(content)
        length = b""
        while size >= 128:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        message = b"\x08\x08\x3a" + length + bytes([size]) + content
        started = time.process_time()
        refused(file, message)
        refused(file, b"\x08\x08" + content)
        assert time.process_time() - started < 2


def test_much_besides_the_weights_is_refused(good, file):
    def chatty(model):
        model.doc_string = "x" * MAX_DESCRIPTION

    refused(file, changed(good, chatty), "besides its weights")


def test_noise_of_any_length_is_refused_quickly(file):
    content = b"\x08\x08" + random.Random(0).randbytes(4_000_000)
    refused(file, content, "damaged")
