"""The file of a network alone: opened where it is timed, and refused where pictures are read."""

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from digitnet.errors import InputError, IntegrityError
from digitnet.network.cnn import CNN
from digitnet.network.config import ModelConfig
from digitnet.network.network_export import build_network
from digitnet.reading.model_file import load_model_file
from digitnet.reading.network_file import checked_network, open_network


@pytest.fixture(scope="module")
def content():
    torch.manual_seed(0)
    model = CNN(ModelConfig(channels=(4,), dense=(), num_classes=2)).eval()
    return build_network(model, 1.0, {"class_names": json.dumps(["no", "yes"])})[0]


@pytest.fixture
def file(tmp_path, content):
    (tmp_path / "network.onnx").write_bytes(content)
    return tmp_path / "network.onnx"


def changed(content, **metadata):
    model = onnx.load_model_from_string(content)
    said = {entry.key: entry.value for entry in model.metadata_props} | metadata
    helper.set_model_props(model, said)
    return model.SerializeToString()


def test_a_network_says_what_it_is_and_answers(file, content):
    network = open_network(file)
    assert (network.content, network.class_names) == (content, ("no", "yes"))
    rows = network.probabilities(np.zeros((3, 1, 28, 28), np.float32))
    assert rows.shape == (3, 2)
    assert rows.sum(1) == pytest.approx(1)
    with pytest.raises(IntegrityError, match="cannot be run"):
        network.probabilities(np.zeros((3, 28, 28), np.float32))


def test_a_model_file_is_none(tmp_path):
    assert checked_network("it", load_model_file().content) is None
    with pytest.raises(InputError, match="There is no model file"):
        open_network(tmp_path / "gone.onnx")


def test_what_is_no_sound_network_is_refused(content):
    model = onnx.load_model_from_string(content)
    model.graph.output[0].name = "answers"
    model.graph.node[-1].output[0] = "answers"
    wrong = {
        "damaged": content[:-5],
        "format '2'": changed(content, schema_version="2"),
        "class_names": changed(content, class_names="none"),
        "inputs and outputs": model.SerializeToString(),
    }
    for says, other in wrong.items():
        with pytest.raises(IntegrityError, match=f"^it .*{says}"):
            checked_network("it", other)


def test_what_reads_pictures_refuses_it_and_names_the_other_file(file, tmp_path, run_cli):
    with pytest.raises(IntegrityError, match="network alone") as caught:
        load_model_file(file)
    assert "model.onnx instead" in str(caught.value)
    done = run_cli("read", "--model", file, tmp_path / "picture.png")
    assert (done.code, done.stderr) == (5, f"Error: {caught.value}\n")
