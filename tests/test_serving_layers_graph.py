"""The opened network: the answers of the model file, and every layer between."""

import io
import itertools
import warnings
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from digitnet import Recognizer
from digitnet.errors import InputError
from digitnet.network.cnn import CNN, block_shapes
from digitnet.network.config import ModelConfig
from digitnet.network.ensemble import answer
from digitnet.network.export import OPSET
from digitnet.network.recipes import RECIPES
from digitnet.reading.model_file import checked
from digitnet.serving.layers_graph import Layer, blank_feeds, opened, with_last_layer
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


NETWORKS = {
    "two blocks": ModelConfig(channels=(4, 6), dense=(8,)),
    "one block": ModelConfig(channels=(3,), dense=(8,)),
    "no dense layer": ModelConfig(channels=(3,), dense=()),
    "pooled before it falls": replace(RECIPES["fast"].model, channels=(4,), dense=(8,)),
    "pooled after it falls": ModelConfig(channels=(4,), dense=(8,), activation="gelu"),
    "as tiny, at one place": replace(
        RECIPES["tiny"].model, stem=4, channels=(4, 4), test_shifts=0, pool_phases=False
    ),
    "as small": replace(RECIPES["small"].model, stem=4, channels=(4, 5)),
    "as best": replace(RECIPES["best"].model, stem=4, channels=(4, 6)),
    "added without a scale": ModelConfig(
        channels=(4,),
        dense=(8,),
        convs_per_block=2,
        padding=True,
        residual=True,
        batch_norm=True,
        norm_scale=False,
        reject=True,
    ),
}


class Opened(NamedTuple):
    """A network, its opened graph, and what that makes of an image."""

    model: CNN
    layers: list[Layer]
    session: onnxruntime.InferenceSession
    made: dict[str, Any]


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Opened:
    model = untrained(NETWORKS[request.param])
    content = traced(model)
    graph, layers, unshown = opened(content)
    assert unshown == ""
    session = onnxruntime.InferenceSession(graph)
    names = [each.name for each in session.get_outputs()]
    made = dict(zip(names, run(session, names, images=images(1)), strict=True))
    return Opened(model, layers, session, made)


class Reading(nn.Module):
    """What follows the image in a model file, without the calibration."""

    def __init__(self, model: CNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        digits, score, features = answer(self.model, image)
        return torch.softmax(digits, dim=1), score, features


def traced(model: CNN) -> bytes:
    """Return the end of a model file, made as the whole is, in a tenth of its time."""
    stream = io.BytesIO()
    names = ["image", "probabilities", "ood_score", "features"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Reading(model).eval(),
            (torch.rand(2, 1, 28, 28),),
            stream,
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "N"} for name in names},
            opset_version=OPSET,
            dynamo=False,
        )
    return stream.getvalue()


def untrained(config: ModelConfig) -> CNN:
    """Return a network whose normalisation does something, as that of a trained one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CNN(config).eval()
        for norm in (each for each in model.modules() if isinstance(each, nn.BatchNorm2d)):
            norm.running_mean.uniform_(-0.3, 0.3)
            norm.running_var.uniform_(0.5, 1.5)
            norm.bias.data.uniform_(-0.3, 0.3)
            if norm.weight is not None:
                norm.weight.data.uniform_(-1, 1)
        return model


def test_every_network_answers_as_before_it_was_opened(network: Opened) -> None:
    with torch.inference_mode():
        expected = network.model.logits_of(torch.from_numpy(images(1))).numpy()
    np.testing.assert_allclose(network.made["logits"], expected, atol=1e-5)
    count = sum(each.kind == "convolution" for each in network.layers)
    shapes = block_shapes(network.model.config)
    assert count == sum(shape.convs for shape in shapes)
    assert sum(each.kind == "pooling" for each in network.layers) == len(shapes)


def test_the_maps_of_every_network_are_what_its_layers_say(network: Opened) -> None:
    made = network.made
    before = made["pixels"]
    for layer in network.layers[:-1]:
        after = made[layer.output]
        assert after.shape[1:] == layer.shape
        if layer.kind == "convolution":
            weights = [torch.from_numpy(made[f"{n}{layer.output[4:]}"]) for n in ("weight", "bias")]
            of = {"stride": layer.stride, "padding": layer.padding}
            sums = functional.conv2d(torch.from_numpy(before), *weights, **of).numpy()
            sums = sums + before if layer.adds else sums
            if network.model.config.activation == "relu":
                np.testing.assert_allclose(after, np.maximum(sums, 0), atol=1e-5)
            assert weights[0].shape[-1] == layer.side
        elif layer.kind == "pooling":
            largest = functional.max_pool2d(torch.from_numpy(before), 2)
            if network.model.config.activation == "silu":
                largest = functional.silu(largest)
            np.testing.assert_allclose(after, largest.numpy(), atol=1e-5)
        elif layer.kind == "weighing":
            shares = after.sum((2, 3)) / np.maximum(before.sum((2, 3)), 1e-6)
            np.testing.assert_allclose(after, before * shares[..., None, None], atol=1e-4)
        elif layer.kind == "mean":
            np.testing.assert_allclose(after, before.mean((2, 3)), atol=1e-5)
        elif layer.kind == "max-mean":
            both = np.concatenate([before.max((2, 3)), before.mean((2, 3))], axis=1)
            np.testing.assert_allclose(after, both, atol=1e-5)
        elif layer.kind == "flat":
            np.testing.assert_array_equal(after, before.reshape(1, -1))
        before = after


def test_a_filter_that_is_off_counts_for_nothing_in_any_network(network: Opened) -> None:
    first = network.layers[0]
    keep = np.zeros((1, first.shape[0], 1, 1), np.float32)
    wanted = [first.output, "logits"]
    maps, logits = run(network.session, wanted, images=images(1), keep_1=keep)
    assert not maps.any()
    blank = run(network.session, ["logits"], images=images(1) * 0, keep_1=keep)[0]
    np.testing.assert_allclose(logits, blank, atol=1e-5)


def test_of_a_network_with_a_foreign_step_the_answers_are_left() -> None:
    model = onnx.load_model_from_string(recognizer().content)
    node = next(each for each in model.graph.node if "features" in each.output)
    node.op_type = "Softplus"
    graph, layers, unshown = opened(model.SerializeToString())
    assert layers == []
    assert "Softplus" in unshown
    session = onnxruntime.InferenceSession(graph)
    (probabilities,) = session.run(["probabilities"], {"images": images(2)})
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": (3,), "border": 2, "test_shifts": 1},
        {"channels": (3, 4), "padding": True, "pool_phases": True, "global_pooling": "mean"},
    ],
    ids=["shifted", "pooled at all phases"],
)
def test_of_a_network_that_sees_several_places_the_answers_are_left(
    settings: dict[str, Any],
) -> None:
    model = untrained(ModelConfig(dense=(), **settings))
    graph, layers, unshown = opened(traced(model))
    assert layers == []
    assert "several places" in unshown
    seen = images(2)
    (probabilities,) = onnxruntime.InferenceSession(graph).run(["probabilities"], {"images": seen})
    with torch.inference_mode():
        expected = Reading(model)(torch.from_numpy(seen))[0]
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


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
