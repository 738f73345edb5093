"""The named recipes: complete settings under a name.

What those that were measured reach is in docs/results.md and docs/records.md.

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
        epochs=48,
        batch_size=96,
        optimizer="adamw",
        schedule="one-cycle",
        learning_rate=4e-3,
        weight_decay=0.02,
        non_digits=0.35,
        hands=0.8,
        signs=0.4,
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
    # As few parameters as possible. Multiply-adds are cheap beside them, so later layers use
    # filters and mixtures again, mixtures are symmetric, batch normalisation has no scale, and one
    # mean a channel feeds the last layer. Steps made orthogonal get further with so few weights;
    # pooling at all phases, and an image seen at nine places, add none.
    "tiny": TrainConfig(
        recipe="tiny",
        epochs=200,
        batch_size=256,
        optimizer="muon",
        schedule="one-cycle",
        learning_rate=6e-2,
        averaging=0.995,
        plain_fraction=0.1,
        bfloat16=True,
        val_fraction=0.02,
        model=ModelConfig(
            border=2,
            stem=16,
            channels=(16, 16),
            convs_per_block=2,
            padding=True,
            separable=True,
            shared_filters=True,
            mixtures=2,
            symmetric=True,
            batch_norm=True,
            norm_scale=False,
            global_pooling="mean",
            pool_phases=True,
            test_shifts=1,
            activation="silu",
            dense=(),
        ),
        augmentation=AugmentationConfig(shift=1, rotate=5, scale=0.05),
    ),
    # The same with more channels and filters of each layer's own.
    "small": TrainConfig(
        recipe="small",
        epochs=60,
        batch_size=128,
        optimizer="muon",
        schedule="one-cycle",
        learning_rate=3e-2,
        averaging=0.995,
        plain_fraction=0.05,
        bfloat16=True,
        model=ModelConfig(
            border=2,
            stem=32,
            channels=(32, 32),
            convs_per_block=2,
            padding=True,
            separable=True,
            batch_norm=True,
            norm_scale=False,
            global_pooling="mean",
            dense=(),
        ),
        augmentation=AugmentationConfig(shift=1.5, rotate=8, scale=0.1, shear=5),
    ),
    # As accurate as 0.2 PFLOP of training allow.
    "best": TrainConfig(
        recipe="best",
        epochs=45,
        batch_size=128,
        optimizer="adamw",
        schedule="one-cycle",
        learning_rate=4e-3,
        weight_decay=0.02,
        averaging=0.999,
        plain_fraction=0.03,
        bfloat16=True,
        val_fraction=0.02,
        model=ModelConfig(
            border=2,
            stem=32,
            channels=(32, 96),
            convs_per_block=3,
            padding=True,
            batch_norm=True,
            residual=True,
            squeeze_excite=4,
            global_pooling="max-mean",
            dense=(),
            dropout=0.2,
        ),
        augmentation=AugmentationConfig(shift=1.5, rotate=10, scale=0.12, shear=8, elastic=0.6),
    ),
    # The same without that bound, for --device cuda: all pixels, four times the width.
    "best-gpu": TrainConfig(
        recipe="best-gpu",
        epochs=100,
        batch_size=128,
        optimizer="adamw",
        schedule="one-cycle",
        learning_rate=2e-3,
        weight_decay=0.05,
        averaging=0.999,
        plain_fraction=0.02,
        bfloat16=True,
        val_fraction=0.02,
        model=ModelConfig(
            stem=64,
            channels=(128, 256),
            convs_per_block=4,
            padding=True,
            batch_norm=True,
            residual=True,
            squeeze_excite=8,
            global_pooling="max-mean",
            dense=(),
            dropout=0.3,
        ),
        augmentation=AugmentationConfig(shift=2, rotate=12, scale=0.15, shear=10, elastic=0.8),
    ),
    # 99 % in one epoch and the fewest seconds on two CPU cores; docs/records.md has what each
    # choice buys. One convolution with stride 2 on the middle 20×20 pixels, pooling before
    # normalisation and SiLU, and one wide dense layer: little but matrix products. With 230 steps
    # in all, Adam must forget early gradients soon.
    "fast": TrainConfig(
        recipe="fast",
        epochs=1,
        batch_size=256,
        learning_rate=1e-2,
        schedule="one-cycle",
        beta1=0.7,
        beta2=0.9,
        label_smoothing=0.1,
        bfloat16=True,
        val_fraction=0.02,
        model=ModelConfig(
            border=4,
            channels=(32,),
            kernel_size=6,
            stride=2,
            batch_norm=True,
            norm_scale=False,
            dense=(256,),
            activation="silu",
        ),
    ),
    # The reference network as tutorials train it: Adam at its default rate and nothing else.
    "plain": TrainConfig(recipe="plain"),
}

DESCRIPTIONS: dict[str, str] = {
    "reference": "two convolutions, dropout and augmentation; the default",
    "robust": "how the shipped reader began: any pen and paper, refuses what is no digit; an hour",
    "finder": "how the shipped finder began: where signs are on a page, synthetic ones; an hour",
    "lines": "how the shipped line reader began: lines of digits that touch; an hour or two",
    "tiny": "666 parameters, trained long; half an hour on one core",
    "small": "6,026 parameters, trained long; twenty minutes on one core",
    "best": "made for accuracy, within 0.2 PFLOP of training; forty minutes on one core",
    "best-gpu": "a larger network without that bound, for --device cuda",
    "fast": "99 in a hundred after a second or two of training; two CPU cores will do",
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
