import dataclasses
import json
import string
from dataclasses import fields
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitnet.errors import InputError, UsageError
from digitnet.network.config import (
    Activation,
    AugmentationConfig,
    GlobalPooling,
    ModelConfig,
    Optimizer,
    Schedule,
    TrainConfig,
    read_toml,
    setting_meanings,
    setting_names,
    setting_part,
)

CLASSES = (TrainConfig, ModelConfig, AugmentationConfig)
WHOLE = {
    "seed": (0, 2**32 - 1),
    "split_seed": (0, 2**32 - 1),
    "epochs": (1, 100_000),
    "batch_size": (1, 1_000_000),
    "train_images": (0, 100_000_000),
    "early_stopping": (0, 100_000),
    "threads": (0, 1024),
    "convs_per_block": (1, 8),
    "border": (0, 10),
    "stem": (0, 4096),
    "squeeze_excite": (0, 1024),
    "num_classes": (2, 1000),
}
NUMBERS = {
    "learning_rate": (1e-8, 100),
    "weight_decay": (0, 10),
    "momentum": (0, 0.9999),
    "beta1": (0, 0.9999),
    "beta2": (0, 0.999_999),
    "label_smoothing": (0, 0.9),
    "averaging": (0, 0.999_999),
    "dropout": (0, 0.95),
    "conv_dropout": (0, 0.95),
    "shift": (0, 14),
    "rotate": (0, 180),
    "scale": (0, 1),
    "shear": (0, 60),
    "elastic": (0, 14),
    "stroke": (0, 1),
    "style": (0, 1),
    "pen": (0, 1),
    "faults": (0, 1),
}
CHOICES = {
    "activation": Activation,
    "global_pooling": GlobalPooling,
    "optimizer": Optimizer,
    "schedule": Schedule,
}
# Every setting by its flat name, with values that are allowed.
VALUES = {
    **{name: st.integers(*limits) for name, limits in WHOLE.items()},
    **{name: st.floats(*limits) for name, limits in NUMBERS.items()},
    **{name: st.sampled_from(get_args(kind)) for name, kind in CHOICES.items()},
    "val_fraction": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "recipe": st.text(max_size=8),
    "start_from": st.text(max_size=8),
    "data": st.sampled_from(["mnist", "sample"]),
    "channels": st.lists(st.integers(1, 512), min_size=1, max_size=4).map(tuple),
    "dense": st.lists(st.integers(1, 512), max_size=3).map(tuple),
    "kernel_size": st.sampled_from([1, 3, 5, 7, 9, 11]),
    # More needs a schedule that ends.
    "plain_fraction": st.just(0.0),
    # More need settings of the finder, or of the line reader, alone.
    "pages": st.just(0),
    "lines": st.just(0),
    # More of them need --canonical and --reject.
    **{name: st.just(0.0) for name in ("non_digits", "hands", "signs", "found")},
    "bfloat16": st.booleans(),
    # More needs --no-padding.
    "stride": st.just(1),
    # More needs as much of a border.
    "test_shifts": st.just(0),
    # True needs --padding.
    "residual": st.just(False),
    # True needs --separable and one width; False of the other needs --batch-norm.
    "shared_filters": st.just(False),
    "mixtures": st.just(0),
    "symmetric": st.just(False),
    # True needs --padding and two blocks.
    "pool_phases": st.just(False),
    "norm_scale": st.just(True),
    "separable": st.booleans(),
    "canonical": st.booleans(),
    "crops": st.booleans(),
    "reject": st.booleans(),
    "padding": st.booleans(),
    "batch_norm": st.booleans(),
}
SETTINGS = st.fixed_dictionaries({}, optional=VALUES)
NOT_A_NUMBER = [True, False, "0.5", None, [0.5], {}, 0.5j]


def flag(name):
    return "--" + name.replace("_", "-")


def test_the_strategies_cover_every_setting():
    assert set(VALUES) == set(setting_names())


@settings(max_examples=40)
@given(SETTINGS)
def test_allowed_values_are_kept_and_survive_json(values):
    config = TrainConfig().override(**values)
    flat = config.flat()
    assert flat == {**TrainConfig().flat(), **values}
    text = json.dumps(config.as_dict(), allow_nan=False)
    assert TrainConfig.from_dict(json.loads(text)) == config
    assert hash(TrainConfig.from_dict(json.loads(text))) == hash(config)


@settings(max_examples=40)
@given(SETTINGS, SETTINGS)
def test_the_last_override_wins(first, second):
    base = TrainConfig()
    assert base.override(**first).override(**second) == base.override(**{**first, **second})
    assert base == TrainConfig()


@settings(max_examples=40)
@given(SETTINGS)
def test_a_part_of_the_values_changes_only_that_part(values):
    base = TrainConfig().override(**values)
    changed = TrainConfig.from_dict({"epochs": 7, "model": {"dropout": 0.75}}, base=base)
    expected = {**base.flat(), "epochs": 7, "dropout": 0.75}
    assert changed.flat() == expected


def test_the_layout_of_the_file_is_stable():
    values = TrainConfig().as_dict()
    assert values["model"]["channels"] == [32, 64]
    assert list(values) == [
        *("recipe", "data", "seed", "epochs", "batch_size", "optimizer", "learning_rate"),
        *("schedule", "weight_decay", "momentum", "beta1", "beta2", "label_smoothing"),
        *(
            "averaging",
            "plain_fraction",
            "non_digits",
            "hands",
            "signs",
            "found",
            "bfloat16",
            "val_fraction",
            "split_seed",
            "train_images",
            "pages",
            "lines",
            "early_stopping",
            "start_from",
            "threads",
            "model",
            "augmentation",
        ),
    ]
    assert list(values["augmentation"]) == [
        *("shift", "rotate", "scale", "shear", "elastic", "stroke", "style", "pen", "faults")
    ]


def test_flat_names_are_unique_and_complete():
    names = [f.name for cls in CLASSES for f in fields(cls)]
    assert len(set(names)) == len(names)
    assert sorted(setting_names()) == sorted(set(names) - {"model", "augmentation"})
    assert list(TrainConfig().flat()) == setting_names()


def test_every_setting_has_a_meaning_and_a_place():
    meanings = setting_meanings()
    assert list(meanings) == setting_names()
    for name, meaning in meanings.items():
        assert meaning.endswith("."), name
        assert len(meaning) <= 160
        values = TrainConfig().as_dict()
        part = setting_part(name)
        assert name in (values[part] if part else values)


def test_a_config_cannot_be_changed_in_place():
    config = TrainConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.epochs = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.model.dropout = 0.5


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("learning_rat", "learning_rate"),
        ("Epochs", "epochs"),
        ("batchsize", "batch_size"),
        ("drop_out", "dropout"),
        ("rotation", "rotate"),
        ("optimiser", "optimizer"),
    ],
)
def test_an_unknown_setting_is_answered_with_the_nearest(wrong, near):
    with pytest.raises(UsageError, match=f"Unknown setting '{wrong}'.*'{near}'"):
        TrainConfig().override(**{wrong: 1})
    with pytest.raises(UsageError, match=f"'{near}'"):
        setting_part(wrong)


@pytest.mark.parametrize(
    ("values", "near"),
    [
        ({"epoch": 3}, "epochs"),
        ({"model": {"chanels": [1]}}, "channels"),
        ({"augmentation": {"shifts": 1}}, "shift"),
    ],
)
def test_an_unknown_key_of_a_file_is_answered_with_the_nearest(values, near):
    with pytest.raises(UsageError, match=f"Did you mean '{near}'"):
        TrainConfig.from_dict(values)


@pytest.mark.parametrize(
    ("values", "part"), [({"dropout": 0.5}, "model"), ({"rotate": 5}, "augmentation")]
)
def test_a_setting_in_the_wrong_table_is_told_its_table(values, part):
    # It exists, as a flag too, so "unknown" alone would puzzle.
    with pytest.raises(UsageError, match=rf"\[{part}\]"):
        TrainConfig.from_dict(values)


@pytest.mark.parametrize("part", ["model", "augmentation"])
@pytest.mark.parametrize("value", [3, "x", None, [1], True])
def test_a_table_must_be_a_table(part, value):
    with pytest.raises(UsageError, match=r"Expected a table of settings .*got"):
        TrainConfig.from_dict({part: value})
    with pytest.raises(UsageError):
        TrainConfig(**{part: value})


@pytest.mark.parametrize("value", [3, "x", None, [1]])
def test_a_file_must_be_a_table(value):
    with pytest.raises(UsageError, match="Expected a table of settings"):
        TrainConfig.from_dict(value)


def refuses(name, value, allowed=""):
    """Assert that a setting refuses a value in a sentence that names flag, value and remedy."""
    with pytest.raises(UsageError, match=rf"^{flag(name)} cannot be .*; allowed: .*{allowed}.*\.$"):
        TrainConfig().override(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_must_be_a_number_in_its_range(name):
    for value in (*NOT_A_NUMBER, float("nan"), float("inf"), -1.0, 1e6):
        refuses(name, value)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_number_must_be_one_in_its_range(name):
    for value in (*NOT_A_NUMBER, 3.0, 2.5, float("nan"), -1, 10**12):
        refuses(name, value)


@pytest.mark.parametrize("name", ["learning_rate", "shift", "epochs"])
def test_a_number_that_no_float_can_hold_is_out_of_range(name):
    refuses(name, 10**400)


@pytest.mark.parametrize(("name", "limits"), {**WHOLE, **NUMBERS}.items())
def test_the_limits_are_allowed_and_told_exactly(name, limits):
    low, high = limits
    for value in limits:
        TrainConfig().override(**{name: value})
    # One beyond, on either side; the message must not round what is allowed.
    for value in (low - 1, high + 1):
        with pytest.raises(UsageError) as caught:
            TrainConfig().override(**{name: value})
        told = str(caught.value).partition("allowed: from ")[2].rstrip(".").split(" to ")
        assert [float(text.replace(",", "")) for text in told] == [low, high]


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, -0.1, float("nan"), True, "0.1"])
def test_validation_needs_some_images_and_leaves_some(value):
    with pytest.raises(UsageError, match="--val-fraction"):
        TrainConfig(val_fraction=value)


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", ["", "Adam!", 3, None, ("relu",), [], {}])
def test_a_choice_is_one_of_the_list(name, value):
    with pytest.raises(UsageError, match=f"Unknown {name.replace('_', ' ')} .*Allowed: ") as caught:
        TrainConfig().override(**{name: value})
    for allowed in get_args(CHOICES[name]):
        assert allowed in str(caught.value)


@pytest.mark.parametrize("name", ["padding", "batch_norm", "separable", "norm_scale"])
def test_a_switch_is_true_or_false(name):
    for value in (0, 1, "true", None, 1.0):
        refuses(name, value, "true or false")


@pytest.mark.parametrize("name", ["recipe", "data"])
def test_a_text_is_text(name):
    for value in (3, None, True, ["mnist"]):
        refuses(name, value, "text")


@pytest.mark.parametrize("name", ["channels", "dense"])
def test_widths_are_whole_numbers_from_one(name):
    for value in ((0,), (-3, 4), (1.5,), (True,), ("32",), (None,), ((1,),), 3, "3", None, {}):
        refuses(name, value, "numbers")


def test_a_network_has_a_block_but_may_have_no_hidden_dense_layer():
    with pytest.raises(UsageError, match=r"--channels .*at least one block"):
        ModelConfig(channels=())
    assert ModelConfig(dense=()).dense == ()


@pytest.mark.parametrize("size", [2, 4, 10])
def test_an_even_kernel_cannot_be_padded(size):
    assert ModelConfig(kernel_size=size).kernel_size == size
    with pytest.raises(UsageError, match=r"--kernel-size .*odd number when --padding is on"):
        ModelConfig(kernel_size=size, padding=True)


@pytest.mark.parametrize(
    "model",
    [
        {"shared_filters": True, "channels": (4, 4)},
        {"shared_filters": True, "separable": True, "channels": (4, 5)},
        {"mixtures": 1, "channels": (4, 4)},
        {"mixtures": 2, "separable": True, "channels": (4, 5)},
        {"shared_filters": True, "separable": True, "channels": (4, 4), "stem": 5},
    ],
)
def test_filters_and_mixtures_are_shared_by_separable_convolutions_of_one_width(model):
    with pytest.raises(UsageError, match=r"--(shared-filters|mixtures) .* without --separable"):
        ModelConfig(**model)
    assert ModelConfig(**{**model, "separable": True, "channels": (4, 4), "stem": 4})


@pytest.mark.parametrize(
    "model",
    [
        {"symmetric": True, "separable": True, "channels": (4, 4)},
        {"symmetric": True, "separable": True, "channels": (5, 5), "mixtures": 1},
    ],
)
def test_only_mixtures_of_an_even_number_of_channels_are_symmetric(model):
    with pytest.raises(UsageError, match=r"--symmetric .*off without --mixtures and an even"):
        ModelConfig(**model)
    assert ModelConfig(**{**model, "channels": (4, 4), "mixtures": 1}).symmetric


@pytest.mark.parametrize("model", [{"channels": (4, 4)}, {"channels": (4,), "padding": True}])
def test_pooling_at_all_phases_needs_padding_and_two_blocks(model):
    with pytest.raises(UsageError, match=r"--pool-phases .*off without --padding and two blocks"):
        ModelConfig(**model, pool_phases=True)
    assert ModelConfig(**{**model, "padding": True, "stem": 4}, pool_phases=True).pool_phases


def test_only_batch_normalisation_has_a_scale_to_leave_out():
    with pytest.raises(UsageError, match=r"--norm-scale .*on without --batch-norm"):
        ModelConfig(norm_scale=False)
    assert not ModelConfig(norm_scale=False, batch_norm=True).norm_scale


def test_the_last_epochs_are_known_where_the_schedule_ends():
    for fraction, distorted in ((0, 50), (0.02, 49), (0.1, 45), (1, 0)):
        config = TrainConfig(schedule="cosine", epochs=50, plain_fraction=fraction)
        assert config.distorted_epochs == distorted
    with pytest.raises(UsageError, match=r"--plain-fraction cannot be 0.1; .*schedule constant"):
        TrainConfig(plain_fraction=0.1)
    for fraction in (-0.1, 1.1, float("nan"), True, "0.1"):
        with pytest.raises(UsageError, match=r"--plain-fraction cannot be"):
            TrainConfig(schedule="cosine", plain_fraction=fraction)


def test_a_stride_is_taken_without_padding():
    assert ModelConfig(stride=4).stride == 4
    with pytest.raises(UsageError, match=r"--stride cannot be 2; allowed: 1 with --padding"):
        ModelConfig(stride=2, padding=True)
    for stride in (0, 5):
        with pytest.raises(UsageError, match=r"--stride .*from 1 to 4"):
            ModelConfig(stride=stride)


@pytest.mark.parametrize("size", [0, 12, -1])
def test_a_kernel_has_a_size_that_fits(size):
    with pytest.raises(UsageError, match="--kernel-size"):
        ModelConfig(kernel_size=size)


def test_lists_and_whole_numbers_come_in_as_tuples_and_floats():
    config = TrainConfig.from_dict(
        {"learning_rate": 1, "model": {"channels": [8], "dropout": 0}, "augmentation": {"shift": 2}}
    )
    assert config.model.channels == (8,)
    assert type(config.learning_rate) is type(config.model.dropout) is float
    assert type(config.augmentation.shift) is float
    assert TrainConfig(learning_rate=1) == TrainConfig(learning_rate=1.0)
    assert TrainConfig().override(dense=[]).model.dense == ()


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("learning_rate", np.float64(0.01), 0.01),
        ("dropout", np.float32(0.5), 0.5),
        ("epochs", np.int64(3), 3),
        ("channels", [np.int64(8), np.int64(16)], (8, 16)),
    ],
)
def test_a_sweep_over_numpy_values_works(name, value, plain):
    config = TrainConfig().override(**{name: value})
    assert config.flat()[name] == plain
    assert TrainConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_a_whole_part_and_single_settings_go_together():
    model = ModelConfig(channels=(8,), dense=())
    given_table = {"channels": [8], "dense": []}
    for part in (model, given_table):
        config = TrainConfig().override(model=part, dropout=0.5, epochs=3)
        assert config.model == dataclasses.replace(model, dropout=0.5)
        assert config.epochs == 3
    assert model.dropout == 0
    assert given_table == {"channels": [8], "dense": []}


def test_no_augmentation_is_known_as_such():
    assert AugmentationConfig().is_off
    assert AugmentationConfig(shift=0, rotate=0.0).is_off
    for f in fields(AugmentationConfig):
        assert not AugmentationConfig(**{f.name: 0.5}).is_off


TOML = """
epochs = 3
learning_rate = 1  # a whole number is a fine float
[model]
channels = [16, 32, 64]
padding = true
[augmentation]
rotate = 12.5
"""


def test_a_toml_file_is_a_config(tmp_path):
    file = tmp_path / "my.toml"
    file.write_text(TOML)
    config = TrainConfig.from_dict(read_toml(file))
    assert config == TrainConfig().override(
        epochs=3, learning_rate=1.0, channels=(16, 32, 64), padding=True, rotate=12.5
    )


@pytest.mark.parametrize(
    "content",
    [
        b"epochs = ",
        b"epochs 3",
        b"[model\n",
        b"epochs = 1\nepochs = 2",
        b"\xff\xfe",
        b"<html></html>",
        b'{"epochs": 3}',
        b"a = " + b"1" * 5000,
        b"a = " + b"[" * 5000,
    ],
)
def test_what_is_no_toml_is_refused(content, tmp_path):
    file = tmp_path / "my.toml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"my\.toml is not valid TOML"):
        read_toml(file)


def test_a_toml_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"Cannot read the config file .*gone\.toml: No such file"):
        read_toml(tmp_path / "gone.toml")
    with pytest.raises(InputError, match="Is a directory"):
        read_toml(tmp_path)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=40)
@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys([*VALUES, "model", "augmentation"], JSON_VALUES)
    )
)
def test_any_json_is_a_valid_config_or_a_usage_error(values):
    nested = {}
    for name, value in values.items():
        part = setting_part(name)
        table = nested.setdefault(part, {}) if part else nested
        if isinstance(table, dict):
            table[name] = value
    try:
        config = TrainConfig.from_dict(nested)
    except UsageError:
        return
    assert (
        TrainConfig.from_dict(json.loads(json.dumps(config.as_dict(), allow_nan=False))) == config
    )


def test_settings_that_need_each_other_can_be_given_at_once():
    config = TrainConfig().override(canonical=True, reject=True, non_digits=0.2)
    assert config.non_digits == 0.2
    assert config.model.reject


def test_a_whole_part_and_single_settings_of_it_can_be_given_at_once():
    config = TrainConfig().override(model=ModelConfig(dropout=0.5), dense=(8,))
    assert (config.model.dropout, config.model.dense) == (0.5, (8,))
