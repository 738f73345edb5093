import copy
import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from digitnet.errors import DigitnetError, UsageError
from digitnet.network.cnn import (
    CNN,
    block_sizes,
    layer_table,
    predict_logits,
    to_float,
)
from digitnet.network.cnn_layers import Flatten, SeparableConv2d, SqueezeExcite
from digitnet.network.config import ModelConfig
from digitnet.network.recipes import recipe

pytestmark = pytest.mark.usefixtures("one_thread")

ACTIVATIONS = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
SMALL = {"channels": (3, 4), "dense": (6,)}


@pytest.fixture(scope="module")
def digits(sample):
    return torch.from_numpy(sample.train_images[:32])


@pytest.fixture(scope="module")
def noisy(digits):
    """Six digits in double precision on noise, so that no two pixels tie for the maximum."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(6, 1, 28, 28, generator=generator, dtype=torch.float64)
    return 0.7 * to_float(digits[:6]).double() + 0.3 * noise


def plain(model, images):
    """Return the logits by the textbook, with the layers' shapes; no dropout.

    Normalise, cut the border off, then for each block convolve, normalise the batch, activate, pool
    the whole 28 × 28 and weigh the channels; then the dense layers.
    """
    config = model.config
    activate = ACTIVATIONS[config.activation]
    convs = (m for m in model.modules() if isinstance(m, nn.Conv2d | SeparableConv2d))
    norms = (m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    gates = (m for m in model.modules() if isinstance(m, SqueezeExcite))
    linears = (m for m in model.head if isinstance(m, nn.Linear))
    first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    own = [m.mixture for m in model.modules() if isinstance(m, SeparableConv2d)]
    own = [unpacked(each) for each in own if each is not None] if config.symmetric else own
    mixtures = itertools.cycle(own[: config.mixtures or None])
    shapes = []

    def keep(values):
        shapes.append(tuple(values.shape[1:]))
        return values

    cut = slice(config.border, 28 - config.border)
    features = ((images - model.mean) / model.std)[:, :, cut, cut]
    convs_of_blocks = [config.convs_per_block] * len(config.channels)
    for count in [1, *convs_of_blocks] if config.stem else convs_of_blocks:
        for index in range(count):
            before = features
            conv = next(convs)
            stride = config.stride if conv is first else 1
            padding = config.padding
            mixture = None if isinstance(conv, nn.Conv2d) else next(mixtures)
            shared = (first, mixture)
            features = keep(convolved(conv, features, shared, padding=padding, stride=stride))
            pools_now = index == count - 1 and config.batch_norm and not config.norm_scale
            pools_now = pools_now and not (config.residual and index)
            if pools_now:
                features = F.max_pool2d(features, 2)
            if config.batch_norm:
                norm = next(norms)
                mean, variance = norm.running_mean.clone(), norm.running_var.clone()
                scale = norm.weight if config.norm_scale else torch.ones_like(mean)
                features = F.batch_norm(
                    features, mean, variance, scale, norm.bias, training=model.training
                )
            if config.residual and index:
                features = features + before
            features = activate(features)
        features = keep(features if pools_now else F.max_pool2d(features, 2))
        if config.squeeze_excite:
            into, _, out, _ = next(gates).gate
            hidden = F.relu(F.linear(features.mean((2, 3)), into.weight, into.bias))
            weights = torch.sigmoid(F.linear(hidden, out.weight, out.bias))
            features = keep(features * weights[..., None, None])
    pooled = {
        "none": [features.flatten(1)],
        "mean": [features.mean((2, 3))],
        "max-mean": [features.flatten(2).max(2).values, features.mean((2, 3))],
    }
    features = keep(torch.cat(pooled[config.global_pooling], 1))
    for index in range(len(config.dense) + 1):
        linear = next(linears)
        features = keep(
            F.linear(activate(features) if index else features, linear.weight, linear.bias)
        )
    return features, shapes


def unpacked(mixture):
    """Return the symmetric matrix of which the lower triangles of both halves are packed."""
    half = mixture.shape[1]
    matrix = torch.zeros(2 * half, 2 * half, dtype=mixture.dtype)
    matrix[:, :half] = mixture[1:].tril()
    matrix[half:, half:] = mixture[:half].triu().T
    return matrix + matrix.tril(-1).T


def convolved(conv, images, shared, *, padding, stride):
    """Return the convolution of images; a separable one in two steps."""
    first, mixture = shared
    padding = "same" if padding else 0
    if isinstance(conv, nn.Conv2d):
        return F.conv2d(images, conv.weight, conv.bias, padding=padding)[..., ::stride, ::stride]
    filters = first.weight if conv.filters is None else conv.filters[:, None]
    filtered = F.conv2d(images, filters, groups=len(filters), padding=padding)
    return F.conv2d(filtered, mixture[..., None, None], conv.bias)


def randomised(config, seed=0):
    """Return a network in double precision whose every weight and statistic is random."""
    torch.manual_seed(seed)
    model = CNN(config).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            if module.weight is not None:
                nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model


def assert_is_plain(model, images):
    """Assert equal logits and equal gradients, of weights and of images."""
    labels = torch.arange(len(images)) % model.config.num_classes
    results = []
    for network in (model, lambda given: plain(model, given)[0]):
        given = images.clone().requires_grad_()
        logits = network(given)
        loss = F.cross_entropy(logits, labels)
        results.append((logits, *torch.autograd.grad(loss, [given, *model.parameters()])))
    for fast, slow in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-8, atol=1e-10)
    assert results[0][0].std() > 1e-3


@pytest.fixture(autouse=True)
def _own_randomness():
    with torch.random.fork_rng(devices=[]):
        yield


# The network that was asked for, layer by layer.
REFERENCE = [
    ("convolution 3×3", (32, 26, 26), 320),
    ("max pool 2×2", (32, 13, 13), 0),
    ("convolution 3×3", (64, 11, 11), 18_496),
    ("max pool 2×2", (64, 5, 5), 0),
    ("flatten", (1600,), 0),
    ("dense", (64,), 102_464),
    ("dense (logits)", (10,), 650),
]


def test_the_reference_network_layer_by_layer():
    assert [(r.name, r.output_shape, r.parameters) for r in layer_table(ModelConfig())] == REFERENCE


def test_the_reference_network_has_121_930_parameters():
    assert sum(row.parameters for row in layer_table(ModelConfig())) == 121_930
    model = CNN()
    assert model.num_parameters == 121_930
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 121_930
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    counted = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert counted == [parameters for _, _, parameters in REFERENCE if parameters]


def test_the_reference_network_is_its_plain_definition_in_single_precision(digits):
    model = CNN(recipe("reference").model).eval()
    images = to_float(digits)
    with torch.no_grad():
        expected, shapes = plain(model, images)
        torch.testing.assert_close(model(images), expected, rtol=1e-5, atol=1e-5)
    assert shapes == [shape for _, shape, _ in REFERENCE]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("padding", [False, True], ids=["valid", "same"])
@pytest.mark.parametrize("convs_per_block", [1, 2])
def test_the_network_is_its_plain_definition(activation, padding, convs_per_block, noisy):
    config = ModelConfig(
        **SMALL, activation=activation, padding=padding, convs_per_block=convs_per_block
    )
    assert_is_plain(randomised(config), noisy)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize(
    ("kernel_size", "padding"),
    [(1, False), (2, False), (3, False), (4, False), (5, True), (7, True)],
)
@pytest.mark.parametrize("batch_norm", [False, True], ids=["", "batch_norm"])
def test_other_kernels_and_batch_norm_are_their_plain_definition(
    kernel_size, padding, batch_norm, activation, noisy
):
    config = ModelConfig(
        **SMALL,
        kernel_size=kernel_size,
        padding=padding,
        batch_norm=batch_norm,
        activation=activation,
    )
    assert_is_plain(randomised(config).eval(), noisy)


@pytest.mark.parametrize("padding", [False, True], ids=["valid", "same"])
def test_batch_norm_in_training_is_its_plain_definition(padding, noisy):
    # Its statistics are those of all pixels, also of those that pooling drops later.
    config = ModelConfig(**SMALL, batch_norm=True, padding=padding)
    assert_is_plain(randomised(config).train(), noisy)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("batch_norm", [False, True], ids=["", "batch_norm"])
def test_residual_links_are_their_plain_definition(batch_norm, activation, noisy):
    config = ModelConfig(
        **SMALL,
        convs_per_block=3,
        padding=True,
        residual=True,
        batch_norm=batch_norm,
        activation=activation,
    )
    assert_is_plain(randomised(config), noisy)


COMPACT = {"channels": (4, 4), "convs_per_block": 2, "padding": True, "separable": True}


@pytest.mark.parametrize(
    "settings",
    [
        {"border": 3},
        {"border": 1, "stem": 3},
        {"stem": 3, "channels": (4,), "kernel_size": 6, "border": 1, "squeeze_excite": 1},
        {"stride": 2, "channels": (3,), "kernel_size": 6},
        {"stride": 2, "channels": (3, 4), "kernel_size": 2, "convs_per_block": 2},
        {"stride": 3, "stem": 3, "channels": (4,), "kernel_size": 2},
        {"stride": 2, "channels": (3,), "batch_norm": True, "norm_scale": False, "border": 4},
        {"stem": 5, "padding": True, "batch_norm": True, "squeeze_excite": 2},
        {"global_pooling": "mean"},
        {"global_pooling": "max-mean", "squeeze_excite": 8, "residual": True, "padding": True},
        COMPACT,
        {**COMPACT, "stem": 3, "batch_norm": True, "norm_scale": False},
        {**COMPACT, "stem": 4, "shared_filters": True, "global_pooling": "mean"},
        {**COMPACT, "shared_filters": True, "batch_norm": True, "residual": True},
        {**COMPACT, "stem": 4, "mixtures": 2},
        {**COMPACT, "stem": 4, "mixtures": 2, "symmetric": True},
        {**COMPACT, "batch_norm": True, "norm_scale": False, "residual": True},
        {**COMPACT, "batch_norm": True, "norm_scale": False, "activation": "gelu"},
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_compact_networks_are_their_plain_definition(settings, training, noisy):
    config = ModelConfig(**{**SMALL, **settings})
    assert_is_plain(randomised(config).train(training), noisy)


def test_shared_filters_are_trained_once_and_stay_shared_in_a_copy():
    config = ModelConfig(**COMPACT, shared_filters=True, dense=())
    own = CNN(ModelConfig(**COMPACT, dense=()))
    original = CNN(config)
    model = copy.deepcopy(original)
    assert own.num_parameters - model.num_parameters == 3 * 4 * 9
    first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        first.weight.copy_(torch.rand_like(first.weight))
    shared = [m for m in model.modules() if isinstance(m, SeparableConv2d)]
    assert len(shared) == 3
    for layer in shared:
        assert torch.equal(layer.weight, layer.mixture[..., None, None] * first.weight[:, 0])
    images = torch.rand(2, 1, 28, 28)
    assert not torch.allclose(model(images), original(images))


def test_mixtures_are_used_in_turn_trained_once_and_stay_shared_in_a_copy():
    own = CNN(ModelConfig(**COMPACT, stem=4, dense=()))
    original = CNN(ModelConfig(**COMPACT, stem=4, dense=(), mixtures=2))
    model = copy.deepcopy(original)
    layers = [m for m in model.modules() if isinstance(m, SeparableConv2d)]
    assert own.num_parameters - model.num_parameters == (len(layers) - 2) * 4 * 4
    with torch.no_grad():
        for layer in layers[:2]:
            layer.mixture.copy_(torch.rand_like(layer.mixture))
    for index, layer in enumerate(layers):
        expected = layers[index % 2].mixture[..., None, None] * layer.filters
        assert torch.equal(layer.weight, expected)
    images = torch.rand(2, 1, 28, 28)
    assert not torch.allclose(model(images), original(images))


def test_the_numbers_of_a_symmetric_mixture_are_stored_once():
    whole = CNN(ModelConfig(**COMPACT, stem=4, dense=(), mixtures=1))
    model = CNN(ModelConfig(**COMPACT, stem=4, dense=(), mixtures=1, symmetric=True))
    assert whole.num_parameters - model.num_parameters == 6
    layer = next(m for m in model.modules() if isinstance(m, SeparableConv2d))
    assert layer.mixture.numel() == 10
    mixture = (layer.weight / layer.filters)[..., 0, 0]
    torch.testing.assert_close(mixture, mixture.T)
    torch.testing.assert_close(mixture, unpacked(layer.mixture))


def test_pooling_at_all_phases_is_the_mean_over_where_its_squares_begin(noisy):
    """What follows sees the maps moved by 0 or 1 pixel each way."""
    config = ModelConfig(**{**SMALL, "channels": (3, 4), "padding": True, "dense": ()})
    once, model = randomised(config).double(), randomised(replace(config, pool_phases=True))
    model.double().load_state_dict(once.state_dict())
    conv, activation = once.blocks[0][0], ACTIVATIONS[config.activation]
    maps = activation(conv((noisy - once.mean) / once.std))
    features = []
    for down in (0, 1):
        for right in (0, 1):
            moved = F.pad(maps, (0, right, 0, down), value=-1e9)[..., down:, right:]
            features.append(once.pooling(once.blocks[1](F.max_pool2d(moved, 2))))
    expected = once.head(torch.stack(features).mean(0))
    torch.testing.assert_close(model(noisy), expected)
    torch.testing.assert_close(model.train()(noisy), expected)
    torch.testing.assert_close(model.eval()(noisy[:1]), expected[:1])
    assert [row.name for row in layer_table(model.config)].count("max pool 2×2 at four phases") == 1


def test_a_test_sees_the_mean_of_all_places_and_training_only_one(noisy):
    config = ModelConfig(**{**SMALL, "border": 2, "test_shifts": 1, "dense": ()})
    once = randomised(replace(config, test_shifts=0)).double()
    model = randomised(config).double()
    places = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    expected = torch.stack([once(noisy.roll(place, (2, 3))) for place in places]).mean(0)
    torch.testing.assert_close(model.eval()(noisy), expected)
    torch.testing.assert_close(model(noisy[:1]), expected[:1])
    torch.testing.assert_close(model.train()(noisy), once(noisy))


def test_images_are_not_shifted_beyond_their_border():
    with pytest.raises(UsageError, match=r"--test-shifts cannot be 2; allowed: from 0 to 1, the "):
        ModelConfig(border=1, test_shifts=2)


@pytest.mark.parametrize(
    ("channels", "dense"),
    [((4,), ()), ((2, 3, 4), (5, 6)), ((2, 3, 4, 5), ())],
)
def test_other_depths_are_their_plain_definition(channels, dense, noisy):
    config = ModelConfig(channels=channels, dense=dense, padding=len(channels) > 3, num_classes=4)
    assert_is_plain(randomised(config), noisy)


@st.composite
def configs(draw):
    kernel_size = draw(st.integers(1, 6))
    batch_norm = draw(st.booleans())
    padding = draw(st.booleans()) and kernel_size % 2 == 1
    return ModelConfig(
        border=draw(st.integers(0, 3)),
        stem=draw(st.integers(0, 3)),
        channels=tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))),
        convs_per_block=draw(st.integers(1, 3)),
        kernel_size=kernel_size,
        stride=1 if padding else draw(st.integers(1, 4)),
        padding=padding,
        separable=draw(st.booleans()),
        batch_norm=batch_norm,
        norm_scale=not batch_norm or draw(st.booleans()),
        squeeze_excite=draw(st.integers(0, 3)),
        global_pooling=draw(st.sampled_from(["none", "mean", "max-mean"])),
        dense=tuple(draw(st.lists(st.integers(1, 5), max_size=2))),
        activation=draw(st.sampled_from(list(ACTIVATIONS))),
        dropout=draw(st.sampled_from([0, 0.5])),
        conv_dropout=draw(st.sampled_from([0, 0.5])),
        num_classes=draw(st.integers(2, 12)),
    )


@settings(max_examples=60, deadline=None)
@given(configs())
def test_the_table_tells_the_truth_about_any_network(config):
    try:
        rows = layer_table(config)
    except UsageError:
        for build in (CNN, block_sizes):
            with pytest.raises(UsageError, match="--channels"):
                build(config)
        return
    model = CNN(config).eval()
    assert sum(row.parameters for row in rows) == model.num_parameters
    images = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        expected, shapes = plain(model, images)
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)
    assert [row.output_shape for row in rows] == shapes
    pooled = [row.output_shape[1] for row in rows if row.name.startswith("max pool")]
    assert pooled == block_sizes(config)


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(channels=(8,) * 4),
        ModelConfig(channels=(8,) * 5, padding=True),
        ModelConfig(channels=(8,), kernel_size=11, convs_per_block=3),
        ModelConfig(channels=(8,) * 100_000, padding=True),
    ],
    ids=["valid", "same", "wide", "absurd"],
)
def test_a_network_deeper_than_the_image_is_refused(config):
    for build in (CNN, layer_table, block_sizes):
        with pytest.raises(UsageError, match=r"--channels .* 28-pixel .*fewer blocks.*--padding"):
            build(config)


def test_gradients_come_back_in_the_memory_order_of_the_pixels():
    """Or the layers that keep channels last take slow paths in the backward pass."""
    maps = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    incoming, found = torch.rand(2, 60), {}
    for layer in (Flatten(), nn.Flatten()):
        leaf = maps.clone().requires_grad_()
        flat = layer(leaf)
        assert torch.equal(flat, maps.flatten(1))
        (found[type(layer)],) = torch.autograd.grad(flat, leaf, incoming)
    assert torch.equal(found[Flatten], found[nn.Flatten])
    assert found[Flatten].is_contiguous(memory_format=torch.channels_last)
    assert not found[nn.Flatten].is_contiguous(memory_format=torch.channels_last)


def test_the_network_normalises_by_itself_and_saves_with_what():
    model = CNN()
    state = model.state_dict()
    assert state["mean"].item() == pytest.approx(0.1307)
    assert state["std"].item() == pytest.approx(0.3081)
    # Saved, moved and cast with the weights, but not trained.
    assert not {"mean", "std"} & {name for name, _ in model.named_parameters()}
    images = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        before = model(images)
        model.mean += 0.5
        assert not torch.allclose(model(images), before)


def test_the_constants_are_those_of_the_training_images(sample):
    # The sample has a twelfth of them, so its figures are close.
    grey = sample.train_images / 255
    assert grey.mean() == pytest.approx(0.1307, abs=0.002)
    assert grey.std() == pytest.approx(0.3081, abs=0.002)


def test_dropout_acts_in_training_only(digits):
    images = to_float(digits)
    for name in ("dropout", "conv_dropout"):
        model = CNN(ModelConfig(**SMALL, **{name: 0.5}))
        with torch.no_grad():
            assert not torch.equal(model(images), model(images))
            model.eval()
            assert torch.equal(model(images), model(images))


def test_dropout_changes_no_parameter():
    torch.manual_seed(1)
    without = CNN(ModelConfig(**SMALL))
    torch.manual_seed(1)
    with_dropout = CNN(ModelConfig(**SMALL, dropout=0.5, conv_dropout=0.5))
    for left, right in itertools.zip_longest(without.parameters(), with_dropout.parameters()):
        assert torch.equal(left, right)


def test_stored_images_become_shares(digits):
    images = to_float(digits)
    assert images.shape == (32, 1, 28, 28)
    assert images.dtype == torch.float32
    assert torch.equal(images[:, 0], digits / 255)
    levels = to_float(torch.arange(256, dtype=torch.uint8).repeat(4)[: 28 * 28].view(1, 28, 28))
    assert (levels.min(), levels.max()) == (0, 1)
    assert digits.dtype == torch.uint8


@pytest.mark.parametrize("training", [True, False])
def test_prediction_keeps_the_mode(training, digits):
    model = CNN(ModelConfig(**SMALL, dropout=0.5, batch_norm=True)).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = predict_logits(model, digits)
    assert torch.equal(predict_logits(model, digits), first)
    assert all(module.training is training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_prediction_that_fails_keeps_the_mode():
    model = CNN(ModelConfig(**SMALL)).train()
    with pytest.raises((DigitnetError, RuntimeError, ValueError)):
        predict_logits(model, torch.zeros(2, 5, 5, dtype=torch.uint8))
    assert model.training


@pytest.mark.parametrize("batch_size", [1, 5, 31, 32, 1000])
def test_prediction_does_not_depend_on_the_batch(batch_size, digits):
    model = CNN(ModelConfig(**SMALL, batch_norm=True))
    whole = predict_logits(model, digits)
    assert whole.shape == (32, 10)
    assert whole.dtype == torch.float32
    assert not whole.requires_grad
    parts = predict_logits(model, digits, batch_size=batch_size)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


def test_no_images_have_no_logits():
    assert predict_logits(CNN(), torch.zeros(0, 28, 28, dtype=torch.uint8)).shape == (0, 10)


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (2, 1, 28, 56), (2, 3, 28, 28), (2, 1, 26, 26)])
def test_images_of_another_size_are_refused(shape):
    # Cutting to the used pixels must not turn a 32-pixel image into its upper left corner.
    with pytest.raises(DigitnetError, match="28"):
        CNN()(torch.zeros(shape))


@pytest.mark.parametrize(
    "images",
    [torch.zeros(2, 28, 28), torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(28, 28)],
    ids=["shares", "channels", "one"],
)
def test_images_that_are_not_stored_images_are_refused(images):
    # Shares divided by 255 once more would give confident nonsense.
    with pytest.raises(DigitnetError, match="uint8"):
        predict_logits(CNN(), images)


@pytest.mark.parametrize(
    "changes", [{}, {"channels": (8, 16), "batch_norm": True, "activation": "gelu"}]
)
def test_one_batch_is_learned_by_heart(changes, sample):
    images = to_float(torch.from_numpy(sample.train_images[:32]))
    labels = torch.from_numpy(sample.train_labels[:32])
    torch.manual_seed(0)
    model = CNN(ModelConfig(**changes))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
