"""The named recipes: complete settings that were measured (see docs/results.md).

Start from one and change single settings: ``recipe("reference").override(epochs=3)``.
"""

from __future__ import annotations

from digitnet.config import AugmentationConfig, ModelConfig, TrainConfig
from digitnet.errors import unknown_name

RECIPES: dict[str, TrainConfig] = {
    # The network with what makes it generalise: dropout, mild augmentation, a falling rate.
    "reference": TrainConfig(
        recipe="reference",
        schedule="cosine",
        learning_rate=2e-3,
        model=ModelConfig(dropout=0.25),
        augmentation=AugmentationConfig(shift=2, rotate=10, scale=0.1, shear=5),
    ),
    # The same network as tutorials train it: Adam at its default rate and nothing else.
    "plain": TrainConfig(recipe="plain"),
}

DESCRIPTIONS: dict[str, str] = {
    "reference": "two convolutions, dropout and augmentation; the default",
    "plain": "without dropout, augmentation and schedule, at Adam's usual rate",
}


def recipe(name: str) -> TrainConfig:
    """Return the settings of the recipe ``name``.

    Raises:
        UsageError: there is no such recipe; the nearest is named.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
