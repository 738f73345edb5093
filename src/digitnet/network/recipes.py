"""The named recipes: complete settings that were measured (see docs/results.md).

Start from one and change single settings: ``recipe("reference").override(epochs=3)``.
"""

from __future__ import annotations

from digitnet.errors import unknown_name
from digitnet.network.config import AugmentationConfig, ModelConfig, TrainConfig

RECIPES: dict[str, TrainConfig] = {
    # The network with what makes it generalise: dropout, mild augmentation, a falling rate.
    "reference": TrainConfig(
        recipe="reference",
        schedule="cosine",
        learning_rate=2e-3,
        model=ModelConfig(dropout=0.25),
        augmentation=AugmentationConfig(shift=2, rotate=10, scale=0.1, shear=5),
    ),
    # Reads ink of any origin: everything meets in the canonical image, training imitates what pens,
    # paper and cameras do to digits, and what is no digit has an output of its own.
    "robust": TrainConfig(
        recipe="robust",
        epochs=36,
        batch_size=96,
        optimizer="adamw",
        schedule="one-cycle",
        learning_rate=4e-3,
        weight_decay=0.02,
        non_digits=0.25,
        hands=0.8,
        signs=0.3,
        found=0.6,
        bfloat16=True,
        model=ModelConfig(
            channels=(16, 32, 96),
            convs_per_block=2,
            padding=True,
            batch_norm=True,
            dense=(128,),
            dropout=0.2,
            canonical=True,
            reject=True,
        ),
        augmentation=AugmentationConfig(
            rotate=12,
            scale=0.3,
            shear=12,
            elastic=0.8,
            stroke=0.5,
            style=0.35,
            pen=0.4,
            faults=0.06,
        ),
    ),
    # Finds what is written on a page: another network, which learns from synthetic pages.
    "finder": TrainConfig(
        recipe="finder",
        pages=8000,
        epochs=36,
        batch_size=8,
        optimizer="adamw",
        schedule="one-cycle",
        learning_rate=3e-3,
        weight_decay=0.02,
    ),
    # Reads a line as a whole: another network still, which learns from synthetic lines.
    "lines": TrainConfig(
        recipe="lines",
        lines=32_000,
        epochs=36,
        batch_size=32,
        optimizer="adamw",
        schedule="one-cycle",
        learning_rate=3e-3,
        weight_decay=0.02,
        bfloat16=True,
    ),
    # The same network as tutorials train it: Adam at its default rate and nothing else.
    "plain": TrainConfig(recipe="plain"),
}

DESCRIPTIONS: dict[str, str] = {
    "reference": "two convolutions, dropout and augmentation; the default",
    "robust": "the shipped recogniser's: any pen and paper, refuses what is no digit; an hour",
    "finder": "the shipped finder's: where signs are on a page, from synthetic pages; hours",
    "lines": "the shipped line reader's: digits that touch, from synthetic lines; an hour or two",
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
