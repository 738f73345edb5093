"""The opened network: the answers of the model file, and every layer between."""

import itertools
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from digitnet import Recognizer
from digitnet.errors import InputError
from digitnet.network.cnn import CNN
from digitnet.network.config import ModelConfig
from digitnet.network.export import Calibration, build
from digitnet.network.finder import Finder
from digitnet.reading.model_file import checked
from digitnet.serving.layers_graph import blank_feeds, opened, with_last_layer
from serving import ink, recognizer


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(opened(recognizer().content)[0])


def run(session: Any, wanted: list[str], **changed: Any) -> list[Any]:
    feeds = blank_feeds(session) | changed
    if "last_weight" not in changed:
        own = session.run(["weight_last", "bias_last"], blank_feeds(session))
        feeds |= dict(zip(["last_weight", "last_bias"], own, strict=True))
    found: list[Any] = session.run(wanted, feeds)
    return found


def images(count: int) -> Any:
    seen = [recognizer().predict_ink(ink(k)).image for k in range(count)]
    return np.stack(seen)[:, None].astype(np.float32) / np.float32(255)


def test_it_answers_as_the_model_file_does(session: Any) -> None:
    probabilities, score = run(session, ["probabilities", "ood_score"], images=images(5))
    for k in range(5):
        expected = recognizer().predict_ink(ink(k))
        np.testing.assert_allclose(probabilities[k], expected.probabilities, atol=2e-3)
        assert score[k] == pytest.approx(expected.ood_score, abs=0.2)


def test_a_cell_is_the_sum_of_what_is_under_it(session: Any) -> None:
    seen = images(1)
    wanted = ["maps_1", "maps_2", "pooled_2", "weight_2", "bias_2"]
    first, second, pooled, weight, bias = run(session, wanted, images=seen)
    patch = first[0, :, 9:12, 13:16]
    total = (patch * weight[3]).sum() + bias[3]
    assert second[0, 3, 10, 14] == pytest.approx(max(total, 0), abs=1e-4)
    assert pooled[0, 3, 5, 7] == second[0, 3, 10:12, 14:16].max()


def test_the_first_sum_is_over_the_pixels_as_the_network_takes_them(session: Any) -> None:
    pixels, maps, weight, bias = run(
        session, ["pixels", "maps_1", "weight_1", "bias_1"], images=images(1)
    )
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(pixels[0, 0], 1), (3, 3))
    sums = np.einsum("yxab,oab->oyx", windows, weight[:, 0]) + bias[:, None, None]
    np.testing.assert_allclose(maps[0], np.maximum(sums, 0), atol=1e-5)


def test_a_filter_that_is_off_makes_nothing(session: Any) -> None:
    keep = np.ones((1, 16, 1, 1), np.float32)
    keep[0, 5] = 0
    (maps,) = run(session, ["maps_2"], images=images(1), keep_2=keep)
    assert not maps[0, 5].any()
    assert maps[0].any()


def test_layers_come_in_the_order_of_the_path() -> None:
    layers = opened(recognizer().content)[1]
    assert [each.kind for each in layers][-2:] == ["dense", "dense"]
    assert layers[0].shape == (16, 28, 28)
    assert layers[-1].shape == (11,)
    for before, after in itertools.pairwise(layers):
        if after.kind == "pooling":
            assert after.shape == (before.shape[0], before.shape[1] // 2, before.shape[2] // 2)


@pytest.mark.parametrize("channels", [(4, 6), (3,)])
def test_other_networks_of_layers_can_be_opened(channels: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = CNN(ModelConfig(channels=channels, dense=(8,))).eval()
    about = {"class_names": '["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]'}
    content, _ = build(model, Finder().eval(), Calibration(), about)
    graph, layers = opened(content)
    session = onnxruntime.InferenceSession(graph)
    picture = images(1)
    (logits,) = run(session, ["logits"], images=picture)
    with torch.inference_mode():
        expected = model.logits_of(torch.from_numpy(picture)).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert sum(each.kind == "convolution" for each in layers) == len(channels)


def test_what_is_no_row_of_layers_is_refused() -> None:
    model = CNN(ModelConfig(channels=(4,), convs_per_block=2, padding=True, residual=True)).eval()
    about = {"class_names": '["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]'}
    content, _ = build(model, Finder().eval(), Calibration(), about)
    with pytest.raises(InputError, match="cannot be shown"):
        opened(content)


def test_another_last_layer_is_all_that_changes() -> None:
    own = recognizer()
    session = onnxruntime.InferenceSession(opened(own.content)[0])
    weight, bias = session.run(["weight_last", "bias_last"], blank_feeds(session))
    same = checked("The same", with_last_layer(own.content, weight, bias, {"taught": "not"}))
    assert same.metadata["taught"] == "not"
    assert same.metadata["recipe"] == own.metadata["recipe"]
    # Zeros and ones trade places.
    weight[[0, 1]], bias[[0, 1]] = weight[[1, 0]], bias[[1, 0]]
    changed = checked("Changed", with_last_layer(own.content, weight, bias, {}))
    one = np.zeros((1, 1, 30, 30), np.float32)
    one[0, 0, 4:26, 14:17] = 1
    assert changed.of_inks(("probabilities",), one)[0].argmax() == 0
    with pytest.raises(InputError, match="last layer is"):
        with_last_layer(own.content, weight[:, :5], bias, {})
    assert Recognizer().sha256 == own.sha256
