import json

import pytest

from digitnet.errors import UsageError
from digitnet.network.cnn import CNN
from digitnet.network.config import AugmentationConfig, TrainConfig
from digitnet.network.recipes import DESCRIPTIONS, RECIPES, recipe


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
