import json
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from digitnet.errors import UsageError
from digitnet.network.cnn import CNN, layer_table
from digitnet.network.cnn_layers import SeparableConv2d, packing
from digitnet.network.config import AugmentationConfig, TrainConfig
from digitnet.network.recipes import DESCRIPTIONS, RECIPES, recipe
from digitnet.training.device import CPU


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_whole_config_under_its_own_name(name):
    config = recipe(name)
    assert config.recipe == name
    assert TrainConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    # The seed is the user's choice, and a recipe is about MNIST.
    assert (config.seed, config.split_seed, config.threads, config.data) == (0, 0, 0, "mnist")


def test_every_recipe_is_described():
    assert list(DESCRIPTIONS) == list(RECIPES)
    assert all(DESCRIPTIONS.values())


@pytest.mark.parametrize("name", ["reference", "plain"])
def test_both_recipes_train_the_network_that_was_asked_for(name):
    config = recipe(name)
    assert CNN(config.model).num_parameters == 121_930
    assert config.model.channels == (32, 64)
    assert config.model.dense == (64,)
    assert (config.optimizer, config.batch_size, config.epochs) == ("adam", 64, 10)


# The record is the number of parameters, so it is written down layer by layer.
TINY = [
    ("convolution 3×3", (16, 24, 24), 160),
    ("max pool 2×2", (16, 12, 12), 0),
    ("separable convolution 3×3", (16, 12, 12), 152),
    ("separable convolution 3×3", (16, 12, 12), 152),
    ("max pool 2×2 at four phases", (16, 6, 6), 0),
    ("separable convolution 3×3", (16, 6, 6), 16),
    ("separable convolution 3×3", (16, 6, 6), 16),
    ("max pool 2×2", (16, 3, 3), 0),
    ("global mean", (16,), 0),
    ("dense (logits)", (10,), 170),
]
SMALL = [
    ("convolution 3×3", (32, 24, 24), 320),
    ("max pool 2×2", (32, 12, 12), 0),
    ("separable convolution 3×3", (32, 12, 12), 1344),
    ("separable convolution 3×3", (32, 12, 12), 1344),
    ("max pool 2×2", (32, 6, 6), 0),
    ("separable convolution 3×3", (32, 6, 6), 1344),
    ("separable convolution 3×3", (32, 6, 6), 1344),
    ("max pool 2×2", (32, 3, 3), 0),
    ("global mean", (32,), 0),
    ("dense (logits)", (10,), 330),
]


@pytest.mark.parametrize(
    ("name", "layers", "most"), [("tiny", TINY, 690), ("small", SMALL, 7000)], ids=["tiny", "small"]
)
def test_the_parameters_of_a_record_layer_by_layer(name, layers, most):
    config = recipe(name).model
    assert [(r.name, r.output_shape, r.parameters) for r in layer_table(config)] == layers
    total = sum(parameters for *_, parameters in layers)
    assert CNN(config).num_parameters == total <= most
    assert f"{total:,} parameters" in DESCRIPTIONS[name]


def test_what_tiny_needs_besides_its_parameters_is_counted():
    """Batch statistics go into filters, mixtures and shifts, but for a scale of each mixed map."""
    torch.manual_seed(0)
    model = CNN(recipe("tiny").model).double().eval()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.2, 3)
    first, *later = deviations = [torch.sqrt(norm.running_var + norm.eps) for norm in norms]
    shifts = [n.bias - n.running_mean / d for n, d in zip(norms, deviations, strict=True)]
    stem = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    filters = stem.weight / first[:, None, None, None]
    own = [m.mixture for m in model.modules() if isinstance(m, SeparableConv2d)][:2]
    # Scaled on both sides, a symmetric mixture stays one, so it is still packed.
    products = torch.outer(first, first)
    packed = [w * packed_from(products) for w in own]
    scales = [1 / (first * d) for d in later]
    last = model.head[-1]
    numbers = [filters, *shifts, *packed, *scales, last.weight, last.bias]
    assert sum(n.numel() for n in numbers) == model.num_parameters + 4 * 16 == 730

    def answered(seen):
        x = F.conv2d(seen, filters, padding=1)
        x = F.silu(F.max_pool2d(x, 2) + shifts[0][:, None, None])
        for index, (shift, scale) in enumerate(zip(shifts[1:], scales, strict=True)):
            mixture = packed[index % 2].flatten()[packing(16, CPU)]
            x = F.conv2d(F.conv2d(x, filters, padding=1, groups=16), mixture[..., None, None])
            x = at_all_phases(x) if index == 1 else F.max_pool2d(x, 2) if index == 3 else x
            x = F.silu(x * scale[:, None, None] + shift[:, None, None])
        return x.mean((2, 3)).reshape(4, -1, 16).mean(0) @ last.weight.T + last.bias

    images = torch.rand(3, 1, 28, 28, dtype=torch.float64)
    normal = (images - model.mean) / model.std
    places = [(top, left) for top in (1, 2, 3) for left in (1, 2, 3)]
    seen = [normal[..., top : top + 24, left : left + 24] for top, left in places]
    torch.testing.assert_close(torch.stack([*map(answered, seen)]).mean(0), model(images))


def packed_from(matrix):
    """Return the entries of a symmetric matrix as they are packed."""
    size = len(matrix)
    packed = torch.empty(size * (size + 1) // 2, dtype=matrix.dtype)
    packed[packing(size, CPU)] = matrix
    return packed.reshape(size + 1, size // 2)


def at_all_phases(x):
    """Pool 2×2 with squares that begin at even or odd rows and columns; none lies outside."""
    beyond = F.pad(x, (0, 2, 0, 2), value=-1e9)
    size = x.shape[-1]
    return torch.cat(
        [
            F.max_pool2d(beyond[..., down : down + size, right : right + size], 2)
            for down in (0, 1)
            for right in (0, 1)
        ]
    )


def test_best_stays_within_what_it_says_of_training():
    config = recipe("best")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        CNN(config.model).eval()(torch.zeros(1, 1, 28, 28))
    images = 60_000 * (1 - config.val_fraction)
    # The backward pass takes two products where the forward pass takes one.
    petaflop = counter.get_total_flops() * 3 * images * config.epochs / 1e15
    assert f"within {math.ceil(petaflop * 10) / 10:g} PFLOP" in DESCRIPTIONS["best"]
    assert petaflop <= 0.5
    # At 0.6 of the speed of a machine of 150 GFLOP/s, an image in 250 µs.
    assert counter.get_total_flops() <= 0.6 * 150e9 * 250e-6


def test_fast_is_one_convolution_and_two_dense_layers():
    assert [(r.name, r.output_shape, r.parameters) for r in layer_table(recipe("fast").model)] == [
        ("convolution 6×6, stride 2", (32, 8, 8), 1184),
        ("max pool 2×2", (32, 4, 4), 0),
        ("flatten", (512,), 0),
        ("dense", (256,), 131_328),
        ("dense (logits)", (10,), 2570),
    ]


def test_fast_takes_a_sixth_of_the_arithmetic_of_the_published_epoch():
    config = recipe("fast")
    assert config.epochs == 1
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        CNN(config.model).eval()(torch.zeros(1, 1, 28, 28))
    # 5×5×24 on 24×24 places, 3×3×24×32 on 10×10, 800×256, 256×10.
    published = 24**2 * 25 * 24 + 100 * 9 * 24 * 32 + 800 * 256 + 256 * 10
    assert counter.get_total_flops() / 2 <= published / 6


def test_plain_has_no_switch_on():
    plain = recipe("plain")
    assert plain.model.dropout == plain.model.conv_dropout == 0
    assert plain.augmentation == AugmentationConfig()
    assert plain.schedule == "constant"
    assert plain.learning_rate == 1e-3


def test_changing_a_recipe_leaves_it_as_it_is():
    before = recipe("reference").as_dict()
    changed = recipe("reference").override(epochs=1, dropout=0.5)
    assert changed.recipe == "reference"
    assert changed.epochs == 1
    assert recipe("reference").as_dict() == before


@pytest.mark.parametrize("name", ["refrence", "Reference", "REFERENCE"])
def test_a_misspelt_recipe_is_answered_with_the_nearest(name):
    with pytest.raises(UsageError, match=r"Unknown recipe .*'reference'\?.*Allowed: .*plain"):
        recipe(name)
