"""The network alone as a file: torch's answers from any ONNX runtime, or no file."""

import json

import numpy as np
import onnx
import pytest
import torch

from digitnet.errors import IntegrityError
from digitnet.network import network_export
from digitnet.network.cnn import CNN
from digitnet.network.config import ModelConfig
from digitnet.network.ensemble import Ensemble
from digitnet.network.export import OPSET
from digitnet.network.network_export import build_network, golden_images
from digitnet.network.recipes import recipe
from digitnet.reading.network_file import checked_network

CANONICAL = ModelConfig(channels=(4, 8), batch_norm=True, canonical=True, reject=True)
THREE = ModelConfig(num_classes=3, activation="gelu", dense=())
CONFIGS = [recipe("fast").model, recipe("tiny").model, CANONICAL, THREE]


def network(config, seed=0):
    torch.manual_seed(seed)
    return CNN(config).eval()


def about(classes=10):
    return {"class_names": json.dumps([str(n) for n in range(classes)]), "recipe": "mine"}


def answers(content, images):
    return checked_network("it", content).probabilities(images.numpy())


@pytest.mark.parametrize("config", CONFIGS)
@torch.inference_mode()
def test_probabilities_are_those_of_the_network_at_its_temperature(config):
    model, images = network(config), golden_images()
    content, difference = build_network(model, 0.7, about(config.num_classes))
    assert difference <= 1e-4
    # What evaluate asks, and the output for none of the classes left out.
    expected = torch.softmax(model(images)[:, : config.num_classes] / 0.7, dim=1)
    assert answers(content, images) == pytest.approx(expected.numpy(), abs=1e-4)
    assert answers(content, images[:0]).shape == (0, config.num_classes)


@torch.inference_mode()
def test_a_canonical_network_makes_images_canonical_itself():
    model, images = network(CANONICAL), golden_images()[:9]
    moved = torch.roll(images, (3, -3), (2, 3))
    content, _ = build_network(model, 1.0, about())
    assert answers(content, moved) == pytest.approx(answers(content, images), abs=1e-3)
    plain, _ = build_network(network(recipe("fast").model), 1.0, about())
    assert np.abs(answers(plain, moved) - answers(plain, images)).max() > 0.01


@torch.inference_mode()
def test_several_networks_answer_with_the_mean_of_their_probabilities():
    members, images = [network(THREE, seed) for seed in range(3)], golden_images()
    content, difference = build_network(Ensemble(members).eval(), 1.0, about(3))
    assert difference <= 1e-4
    mean = sum(torch.softmax(each(images), dim=1) for each in members) / 3
    assert answers(content, images) == pytest.approx(mean.numpy(), abs=1e-4)


def test_half_precision_takes_half_the_bytes():
    model = network(recipe("fast").model)
    whole, half = (build_network(model, 1.0, about(), half=each) for each in (False, True))
    assert len(half[0]) < 0.6 * len(whole[0])
    assert 0 < half[1] <= 0.02
    assert build_network(model, 1.0, about())[0] == whole[0]


def test_the_file_is_whole_and_describes_itself():
    content, _ = build_network(network(THREE), 1.5, about(3))
    model = onnx.load_model_from_string(content)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert not any(t.external_data for t in model.graph.initializer)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["format"] == "digitnet-network"
    assert json.loads(said["class_names"]) == ["0", "1", "2"]
    assert float(said["temperature"]) == 1.5
    assert "28, 28) from 0 to 1, bright" in said["images"]
    assert "ood_threshold" not in said


@pytest.mark.parametrize("difference", [2e-4, float("nan")])
def test_a_difference_is_refused(monkeypatch, difference):
    monkeypatch.setattr(network_export, "parity", lambda *_: difference)
    with pytest.raises(
        IntegrityError, match=r"differ by \S+ on the golden images; more than 1e-04"
    ):
        build_network(network(THREE), 1.0, about(3))
