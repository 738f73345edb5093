"""Several networks that answer as one: the mean of their probabilities, in torch and in a file."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from digitnet.errors import IntegrityError
from digitnet.network.cnn import CNN
from digitnet.network.config import ModelConfig
from digitnet.network.ensemble import Ensemble, answer, pooled
from digitnet.network.export import Calibration, build, golden_inks
from digitnet.network.finder import Finder
from digitnet.reading.model_file import READ, ModelFile, checked
from digitnet.serving.layers_graph import opened, with_last_layer

ROBUST = ModelConfig(
    channels=(4, 8), padding=True, batch_norm=True, dense=(6,), canonical=True, reject=True
)


def networks(config: ModelConfig, number: int = 3) -> list[CNN]:
    torch.manual_seed(0)
    made = [CNN(config).eval() for _ in range(number)]
    with torch.no_grad():
        for one in made:
            one.head[-1].weight *= 20  # as sure as trained networks are
    return made


@pytest.fixture(scope="module")
def members() -> list[CNN]:
    return networks(ROBUST)


@pytest.fixture(scope="module")
def file(members: list[CNN]) -> ModelFile:
    about = {"class_names": json.dumps([str(digit) for digit in range(10)])}
    content, _ = build(Ensemble(members).eval(), Finder().eval(), Calibration(), about)
    return checked("the ensemble", content)


@torch.inference_mode()
@pytest.mark.parametrize("config", [ModelConfig(channels=(3,), dense=()), ROBUST])
def test_an_ensemble_gives_the_mean_of_its_members_probabilities(config: ModelConfig) -> None:
    images = torch.rand(5, 1, 28, 28)
    members = networks(config)
    digits, score, features = answer(Ensemble(members), images)
    alone = [answer(member, images) for member in members]
    expected = torch.stack([each[0].softmax(1) for each in alone]).mean(0)
    torch.testing.assert_close(digits.softmax(1), expected)
    torch.testing.assert_close(score, torch.stack([each[1] for each in alone]).mean(0))
    torch.testing.assert_close(features, torch.cat([each[2] for each in alone], 1))


def test_what_is_too_small_for_a_float_is_not_lost() -> None:
    sure = torch.tensor([[300.0, 0.0]])
    logarithm = pooled([sure, sure])
    assert torch.isfinite(logarithm).all()
    assert logarithm[0, 1].item() == pytest.approx(-300)


def test_an_ensemble_has_the_parameters_of_all(members: list[CNN]) -> None:
    assert Ensemble(members).num_parameters == 3 * members[0].num_parameters


@torch.inference_mode()
def test_the_file_gives_the_same_mean(file: ModelFile, members: list[CNN]) -> None:
    inks = np.stack([golden_inks()[4][None]] * 2)
    probabilities, score, image, features = file.of_inks(READ, inks)
    alone = [answer(member, torch.from_numpy(image)) for member in members]
    expected = np.mean([each[0].softmax(1).numpy() for each in alone], axis=0)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(score, np.mean([each[1].numpy() for each in alone], 0), rtol=1e-4)
    assert features.shape == (2, 3 * 6)


def test_its_layers_are_not_shown_and_none_of_them_is_replaced(file: ModelFile) -> None:
    graph, layers, unshown = opened(file.content)
    assert layers == []
    assert "several networks" in unshown
    session = onnxruntime.InferenceSession(graph)
    inks = np.stack([golden_inks()[4][None]] * 2)
    *expected, image = file.of_inks(("probabilities", "ood_score", "features", "image"), inks)
    wanted = ["probabilities", "ood_score", "features"]
    for ours, theirs in zip(session.run(wanted, {"images": image}), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    weight, bias = np.zeros((11, 6), np.float32), np.zeros(11, np.float32)
    with pytest.raises(IntegrityError, match="no last layer"):
        with_last_layer(file.content, weight, bias, {})
