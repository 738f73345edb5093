import dataclasses
import errno
import gzip
import json
import pickle
import random
import resource
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from digitnet.errors import DigitnetError, InputError, IntegrityError, StorageError
from digitnet.network.cnn import CNN, predict_logits
from digitnet.network.config import AugmentationConfig, ModelConfig, TrainConfig
from digitnet.network.recipes import recipe
from digitnet.training import checkpoint
from digitnet.training.checkpoint import load_model, read_tensors, save_model, write_tensors

NAMES = tuple("0123456789")
SMALL = ModelConfig(channels=(2, 3), dense=(4,), batch_norm=True)
CONFIG = TrainConfig(recipe="mine", seed=7, model=SMALL, augmentation=AugmentationConfig(shift=2))
in_one_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)


def about(names: tuple[str, ...]) -> dict[str, object]:
    return {"class_names": list(names), "epochs": 1}


def random_model(config, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CNN(config)
        for value in model.state_dict().values():
            if value.is_floating_point() and value.dim():
                value.normal_().abs_()
    return model


def saved(path, config=CONFIG):
    save_model(path, random_model(config.model), config, about(NAMES))
    return path.read_bytes()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a whole and small model file."""
    return saved(tmp_path_factory.mktemp("good") / "model.safetensors")


def parse(content):
    """Return header and data of a safetensors file."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def compose(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def with_about(content, change):
    """Return the file with ``change`` applied to the description in its header."""
    header, data = parse(content)
    about = json.loads(header["__metadata__"]["digitnet"])
    about = change(about)
    text = about if isinstance(about, str) else json.dumps(about)
    return compose({**header, "__metadata__": {"digitnet": text}}, data)


def refused(file, content, says="."):
    """Assert that a file of this content is refused by a sentence that names it."""
    file.write_bytes(content)
    with pytest.raises(IntegrityError, match=says) as caught:
        load_model(file)
    message = str(caught.value)
    assert str(file) in message
    assert message.endswith(".")
    assert len(message) < 2000


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(),
        SMALL,
        ModelConfig(channels=(1,), dense=(), num_classes=2),
        recipe("tiny").model,
    ],
    ids=["reference", "small", "least", "tiny"],
)
def test_what_is_saved_is_loaded_bit_for_bit(model, file, sample):
    config = dataclasses.replace(CONFIG, model=model)
    original = random_model(model)
    save_model(file, original, config, about(NAMES[: model.num_classes]))
    loaded = load_model(file)
    assert loaded.config == model
    assert not loaded.training
    for name, value in original.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == value.dtype
        assert torch.equal(found, value)
    assert all(p.requires_grad for p in loaded.parameters())
    images = torch.from_numpy(sample.test_images[:20])
    assert torch.equal(predict_logits(loaded, images), predict_logits(original, images))
    assert load_model(str(file)).config == model


def test_the_same_model_is_the_same_file(file):
    assert saved(file) == saved(file)


def test_the_file_describes_itself(good, file):
    file.write_bytes(good)
    tensors, about = read_tensors(file, "model")
    assert about["kind"] == "model"
    assert about["schema_version"] == 1
    assert about["model"] == CONFIG.as_dict()["model"]
    assert about["class_names"] == list(NAMES)
    assert (about["recipe"], about["data"], about["seed"]) == ("mine", "mnist", 7)
    assert "28, 28" in about["input"]
    assert {"mean", "std"} <= tensors.keys()


TENSORS = st.dictionaries(
    st.text("abc._1", min_size=1, max_size=6),
    st.tuples(
        st.sampled_from([torch.float32, torch.int64, torch.uint8]),
        st.lists(st.integers(0, 3), max_size=3),
    ),
    max_size=4,
)


@in_one_folder
@given(TENSORS, st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4)))
def test_any_tensors_and_any_description_come_back(tmp_path, specs, about):
    file = tmp_path / "any.safetensors"
    tensors = {
        name: torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype)
        for name, (dtype, shape) in specs.items()
    }
    write_tensors(file, "checkpoint", tensors, {"mine": about})
    found, described = read_tensors(file, "checkpoint")
    assert described == {"kind": "checkpoint", "schema_version": 1, "mine": about}
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_tensors_that_lie_crosswise_in_memory_are_written(file):
    pictures = torch.rand(2, 3, 4, 5)
    tensors = {
        "turned": torch.rand(3, 4).T,
        "step": torch.rand(3, 4)[:, ::2],
        "last": pictures.to(memory_format=torch.channels_last),
        "one": torch.rand(1).expand(4),
    }
    write_tensors(file, "model", tensors, {})
    found, _ = read_tensors(file, "model")
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_a_network_in_memory_is_not_tied_to_its_file(good, file):
    # Somebody may copy another file over it; a mapped file would change or kill the process.
    file.write_bytes(good)
    model = load_model(file)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with file.open("r+b") as stream:
        stream.seek(-len(parse(good)[1]), 2)
        stream.write(b"\x11" * len(parse(good)[1]))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="in the way"):
        save_model(tmp_path / "file" / "model.safetensors", CNN(SMALL), CONFIG, about(NAMES))


def test_no_file_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "gone", tmp_path, "gone", "a\0b"):
        with pytest.raises(InputError) as caught:
            load_model(path)
        assert str(path) in str(caught.value)
    with pytest.raises((InputError, StorageError), match="nnn"):
        load_model("n" * 300)


def test_a_file_that_may_not_be_read_is_a_storage_error(good, file, monkeypatch):
    file.write_bytes(good)

    def refuse(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match=r"Cannot read .*Permission denied"):
        load_model(file)


class Canary:
    """An object whose unpickling leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def zip_of(value, file, new):
    torch.save(value, file, _use_new_zipfile_serialization=new)
    return file.read_bytes()


def test_a_pickle_is_never_run(tmp_path, file):
    trace = tmp_path / "trace"
    canary = Canary(trace)
    disguises = [
        pickle.dumps(canary),
        *(pickle.dumps(canary, protocol=protocol) for protocol in range(5)),
        zip_of({"w": canary}, tmp_path / "zip", new=True),
        zip_of({"w": canary}, tmp_path / "old", new=False),
        gzip.compress(pickle.dumps(canary)),
    ]
    for content in disguises:
        refused(file, content)
        with pytest.raises(IntegrityError):
            read_tensors(file, "checkpoint")
    assert not trace.exists()
    # The canary is alive: this is what a careless reader would have done.
    pickle.loads(disguises[0]).close()
    assert trace.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "damaged or not a safetensors file"),
        (b"x", "damaged or not a safetensors file"),
        (b"\0" * 8, "damaged"),
        (b"\0" * 4096, "damaged"),
        ((2**63).to_bytes(8, "little") + b"{}", "damaged"),
        ((2**64 - 1).to_bytes(8, "little") + b"{}", "damaged"),
        ((10**9).to_bytes(8, "little") + b"{}", "damaged"),
        (b"\x80\x04K\x01.", "a Python pickle"),
        (b"PK\x03\x04" + b"\0" * 40, "a zip archive"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 40, "an HDF5 file"),
        # Without the time of day: the content names the test, alike in each process of the tests.
        (gzip.compress(b"weights", mtime=0), "a gzip file"),
        (b"<!DOCTYPE html><title>404</title>", "a text page"),
        (b"<?xml version='1.0'?>", "a text page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "damaged"),
        (random.Random(0).randbytes(5000), "damaged"),
        (compose(b"[" * 50_000, b""), "damaged"),
        (compose(b"\xff\xfe", b""), "damaged"),
    ],
    ids=str,
)
def test_what_is_something_else_is_refused_by_what_it_is(content, says, file):
    refused(file, content, says)


def test_a_header_that_only_looks_like_something_else_is_read(file):
    # The first byte is the length of the header: 128 opens a pickle, 60 a web page.
    for length in (0x80, 0x3C, 0x180, 0x13C):
        header = json.dumps({"__metadata__": {"digitnet": "{}"}}).encode()
        header += b" " * (length - len(header))
        file.write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(IntegrityError, match="not one that digitnet wrote"):
            load_model(file)


def test_a_truncated_file_is_refused_wherever_it_ends(good, file):
    data = len(parse(good)[1])
    ends = {*range(0, len(good), 97), len(good) - 1, len(good) - data, 7, 8, 9}
    for end in ends:
        refused(file, good[:end], "damaged")
    refused(file, good + b"\0", "damaged")


def test_a_file_too_large_to_be_ours_is_refused_unread(file, good):
    with file.open("wb") as stream:
        stream.write(good)
        stream.truncate(checkpoint.MAX_FILE_BYTES + 1)
    with pytest.raises(IntegrityError, match=r"536,870,913 bytes; the limit is 536,870,912"):
        load_model(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: {**entry, "data_offsets": [0, 8]},
        lambda entry: {**entry, "data_offsets": [0, 2**63]},
        lambda entry: {**entry, "data_offsets": [-8, 8]},
        lambda entry: {**entry, "data_offsets": [n + 8 for n in entry["data_offsets"]]},
        lambda entry: {**entry, "data_offsets": entry["data_offsets"][::-1]},
        lambda entry: {**entry, "data_offsets": []},
        lambda entry: {**entry, "shape": [2**40, 2**40]},
        lambda entry: {**entry, "shape": [-1]},
        lambda entry: {**entry, "shape": "28"},
        lambda entry: {**entry, "dtype": "PICKLE"},
        lambda entry: {**entry, "dtype": "F64"},
        lambda entry: {"dtype": "F32"},
        lambda entry: None,
        lambda entry: "../../etc/passwd",
    ],
)
def test_a_header_that_does_not_add_up_is_refused(change, good, file):
    header, data = parse(good)
    for name in ("blocks.0.0.weight", "mean"):
        refused(file, compose({**header, name: change(header[name])}, data), "damaged")


def test_tensors_that_overlap_or_leave_holes_are_refused(good, file):
    header, data = parse(good)
    twin = {**header, "twin": header["mean"]}
    refused(file, compose(twin, data), "damaged")
    refused(file, compose(header, data + b"\0" * 8), "damaged")
    refused(file, compose({n: e for n, e in header.items() if n != "mean"}, data), "damaged")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"format": "pt"},
        {"digitnet": ""},
        {"digitnet": "not json"},
        {"digitnet": "null"},
        {"digitnet": "[]"},
        {"digitnet": '"model"'},
        {"digitnet": "3"},
        {"digitnet": "{}"},
        {"digitnet": '{"kind": "model"}'},
        {"digitnet": '{"schema_version": 1}'},
        {"digitnet": "[" * 100_000},
        {"digitnet": '{"a":' * 100_000},
        {"digitnet": '{"kind": "model", "schema_version": ' + "1" * 5000 + "}"},
    ],
    ids=lambda metadata: str(metadata)[:40],
)
def test_a_safetensors_file_of_somebody_else_is_refused(metadata, file):
    refused(file, save({"w": torch.zeros(2)}, metadata), "not one that digitnet wrote")


def test_the_kind_must_be_right(good, file):
    file.write_bytes(good)
    with pytest.raises(IntegrityError, match="is a digitnet model, but a checkpoint is needed"):
        read_tensors(file, "checkpoint")
    write_tensors(file, "checkpoint", {"w": torch.zeros(2)}, {})
    with pytest.raises(IntegrityError, match="is a digitnet checkpoint, but a model is needed"):
        load_model(file)


@pytest.mark.parametrize("version", [0, 2, 99, "1", None, [1]])
def test_a_file_of_another_format_is_refused(version, good, file):
    content = with_about(good, lambda about: {**about, "schema_version": version})
    refused(file, content, "this digitnet reads format 1")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["mean", "blocks.0.0.weight", "blocks.1.1.running_var"])
def test_weights_that_are_no_numbers_are_refused(value, name, file):
    model = random_model(SMALL)
    model.state_dict()[name].view(-1)[-1] = value
    save_model(file, model, CONFIG, about(NAMES))
    refused(file, file.read_bytes(), f"NaN or infinity in '{name}'")


DTYPES = [
    *(torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.bool, torch.complex64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu),
]


@pytest.mark.parametrize(
    "dtype", [t for t in DTYPES if t not in (torch.int32, torch.bool)], ids=str
)
def test_no_type_hides_a_number_that_is_none(dtype, file):
    write_tensors(file, "model", {"w": torch.tensor([1, float("nan")]).to(dtype)}, {})
    with pytest.raises(IntegrityError, match="'w'"):
        read_tensors(file, "model")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_tensor_of_another_type_is_refused(dtype, file):
    tensors = random_model(SMALL).state_dict()
    tensors["head.0.weight"] = torch.ones(4, 75).to(dtype)
    write_tensors(file, "model", tensors, {"model": CONFIG.as_dict()["model"]})
    refused(file, file.read_bytes())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop("head.0.bias"), r"'head\.0\.bias' is missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "'extra' is .* needs none"),
        (lambda t: t.clear(), "hold"),
        (lambda t: t.update(mean=torch.zeros(2)), r"'mean' is torch\.float32 \(2,\), but"),
        (lambda t: t.update(mean=torch.zeros((), dtype=torch.int64)), r"'mean' is torch\.int64"),
        (
            lambda t: t.update({"head.0.weight": torch.zeros(75, 4)}),
            r"'head\.0\.weight' is torch\.float32 \(75, 4\), but .* needs torch\.float32 \(4, 75\)",
        ),
    ],
    ids=["missing", "extra", "none", "shape", "type", "turned"],
)
def test_tensors_that_do_not_fit_are_refused_by_name(change, says, file):
    tensors = random_model(SMALL).state_dict()
    change(tensors)
    write_tensors(file, "model", tensors, {"model": CONFIG.as_dict()["model"]})
    refused(file, file.read_bytes(), says)


IMPOSSIBLE = [
    3,
    None,
    [],
    "reference",
    {"chanels": [2, 3]},
    {"channels": []},
    {"channels": [2, 3, 4, 5, 6, 7]},
    {"channels": [0]},
    {"channels": [2.5]},
    {"channels": ["2"]},
    {"channels": {}},
    {"activation": "eval"},
    {"activation": ["relu"]},
    {"kernel_size": 10**400},
    {"dropout": float("nan")},
    {"dropout": 10**400},
    {"num_classes": -1},
    # Giants: sizes that no memory, no index and no double can hold.
    *({"channels": [10**power, 10**power]} for power in (9, 12, 18, 30)),
    *({"dense": [10**power]} for power in (9, 18, 30)),
    {"dense": [1] * 3000},
]


@pytest.mark.parametrize("model", IMPOSSIBLE, ids=lambda model: str(model)[:40])
def test_a_description_that_cannot_be_built_is_refused(model, good, file):
    refused(file, with_about(good, lambda about: {**about, "model": model}))


def test_a_model_that_is_not_described_is_refused(good, file):
    # Not taken for the reference network by default.
    content = with_about(good, lambda about: {n: v for n, v in about.items() if n != "model"})
    refused(file, content, "describ")


def test_a_description_of_a_giant_costs_no_memory(good, file):
    weights = {"channels": [3000, 9000], "dense": []}  # a gigabyte of them
    # Few weights, but matrices of a gigabyte and more are made of them.
    matrices = {
        "stem": 4096,
        "channels": [4096] * 3,
        "convs_per_block": 8,
        "padding": True,
        "separable": True,
        "shared_filters": True,
        "mixtures": 1,
        "symmetric": True,
        "global_pooling": "mean",
        "dense": [],
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for model in (weights, matrices):
        refused(file, with_about(good, lambda about, model=model: {**about, "model": model}))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 100_000  # kilobytes


def loads_or_says_why(file, content):
    file.write_bytes(content)
    try:
        model = load_model(file)
    except DigitnetError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert str(file) in message
        return
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


@in_one_folder
@given(st.data())
def test_a_file_with_changed_bytes_loads_or_says_why(good, file, data):
    content = bytearray(good)
    inside = st.integers(0, len(good) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        at = min(data.draw(inside | st.integers(0, 2500)), len(content))
        kind = data.draw(st.sampled_from(["change", "insert", "delete", "repeat"]))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        if kind == "change":
            content[at : at + len(piece)] = piece
        elif kind == "insert":
            content[at:at] = piece
        elif kind == "delete":
            del content[at : at + data.draw(st.integers(1, 200))]
        else:
            content[at:at] = content[at : at + data.draw(st.integers(1, 200))]
    loads_or_says_why(file, bytes(content))


@in_one_folder
@given(st.binary(max_size=64), st.binary(max_size=64))
@example(b"{}", b"")
def test_a_file_with_any_header_loads_or_says_why(file, header, data):
    loads_or_says_why(file, compose(header, data))
    loads_or_says_why(file, header + data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@in_one_folder
@given(
    st.sampled_from(sorted(CONFIG.as_dict()["model"])), VALUES | st.lists(st.integers(), max_size=4)
)
def test_any_value_of_a_setting_loads_or_says_why(good, file, name, value):
    def change(about):
        return {**about, "model": {**about["model"], name: value}}

    loads_or_says_why(file, with_about(good, change))


@in_one_folder
@given(st.sampled_from(["kind", "schema_version", "model", "class_names", "seed"]), VALUES)
def test_any_value_in_the_description_loads_or_says_why(good, file, name, value):
    loads_or_says_why(file, with_about(good, lambda about: {**about, name: value}))


@in_one_folder
@given(st.sampled_from(["dtype", "shape", "data_offsets", None]), VALUES, st.data())
def test_any_value_in_the_header_loads_or_says_why(good, file, part, value, data):
    header, tensors = parse(good)
    name = data.draw(st.sampled_from(sorted(header)))
    header[name] = {**header[name], part: value} if part else value
    loads_or_says_why(file, compose(header, tensors))
