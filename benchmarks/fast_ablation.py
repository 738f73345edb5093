"""What each choice of the recipe fast buys: the recipe beside variants that lack one each.

Every round trains all of them, one after the other, with one seed; accuracy is that on 6,000
validation images, whatever the recipe sets aside, and the test images are not read. Seconds, from
images in memory to trained weights, validation included, are given as a multiple of the recipe's in
the same round; of the processor's seconds too, which other work on the machine changes less. Run it
on an idle machine:

    make ablation
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from torch import nn

from conditions import conditions
from digitnet import load_dataset, recipe
from digitnet.data.dataset import Dataset
from digitnet.files import write_json
from digitnet.machine import usable_cores
from digitnet.network.config import TrainConfig
from digitnet.training.device import reproducible
from digitnet.training.loop import Training, fit
from timing import summary

RESULT = Path(__file__).parent.parent / "docs" / "results" / "records" / "fast_ablation.json"
VAL_FRACTION = 0.1
WHOLE = "the recipe"
# The variant without a setting: gradients that come back in another memory order.
BY_CHANNEL = "gradients of the flat maps left in autograd's memory order"
VARIANTS: dict[str, dict[str, Any]] = {
    WHOLE: {},
    "all 28×28 pixels": {"border": 0},
    "stride 1": {"stride": 1},
    "normalisation before pooling, with a scale": {"norm_scale": True},
    "no batch normalisation": {"batch_norm": False, "norm_scale": True},
    "ReLU": {"activation": "relu"},
    "labels not smoothed": {"label_smoothing": 0.0},
    "Adam's usual memory, 0.9 and 0.999": {"beta1": 0.9, "beta2": 0.999},
    "a constant rate, Adam's usual": {"schedule": "constant", "learning_rate": 1e-3},
    "batches of 64, half the rate": {"batch_size": 64, "learning_rate": 5e-3},
    "128 dense units": {"dense": (128,)},
    "numbers of 32 bits": {"bfloat16": False},
    BY_CHANNEL: {},
    "two epochs": {"epochs": 2},
}


def main() -> None:
    """Run the rounds and write the result after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=usable_cores())
    args = parser.parse_args()
    base = recipe("fast").override(val_fraction=VAL_FRACTION, threads=args.threads)
    mnist = load_dataset("mnist")
    # Libraries load what they need at the first steps, which no variant is to be charged for.
    trained(WHOLE, base.override(train_images=2560), mnist)
    rounds: list[dict[str, dict[str, float]]] = []
    for seed in range(args.seeds):
        started = time.perf_counter()
        rounds.append(
            {
                name: trained(name, base.override(seed=seed, **settings), mnist)
                for name, settings in VARIANTS.items()
            }
        )
        write_json(RESULT, result_of(rounds, args.threads))
        seconds = time.perf_counter() - started
        print(f"round {seed + 1}/{args.seeds}: {seconds:.0f} s", file=sys.stderr)


def trained(name: str, config: TrainConfig, mnist: Dataset) -> dict[str, float]:
    """Train a variant and return its figures."""
    with reproducible(config):
        started = time.perf_counter(), time.process_time()
        training = Training(config, mnist)
        if name == BY_CHANNEL:
            training.model.pooling = nn.Flatten()
        fit(training)
        ended = time.perf_counter(), time.process_time()
    return {
        "val_accuracy": training.history[-1].val_accuracy,
        "parameters": training.network.num_parameters,
        "seconds": ended[0] - started[0],
        "cpu_seconds": ended[1] - started[1],
    }


def result_of(rounds: list[dict[str, dict[str, float]]], threads: int) -> dict[str, Any]:
    """Return what the rounds show of each variant."""
    return {
        "schema_version": 1,
        "recipe": "fast",
        "seeds": len(rounds),
        "threads": threads,
        "val_fraction": VAL_FRACTION,
        "variants": [variant(name, rounds) for name in VARIANTS],
        "environment": conditions(),
    }


def variant(name: str, rounds: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Return the figures of one variant, those of time as multiples of the recipe's too."""
    own, base = ([each[which] for each in rounds] for which in (name, WHOLE))
    accuracies = [row["val_accuracy"] for row in own]
    ratios = {
        f"relative_{key}": summary([a[key] / b[key] for a, b in zip(own, base, strict=True)])
        for key in ("seconds", "cpu_seconds")
    }
    return {
        "name": name,
        "settings": VARIANTS[name],
        "parameters": int(own[0]["parameters"]),
        "val_accuracy": {
            "mean": statistics.fmean(accuracies),
            "sd": statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
            "values": accuracies,
        },
        "seconds": summary([row["seconds"] for row in own]),
        "cpu_seconds": summary([row["cpu_seconds"] for row in own]),
        **ratios,
    }


if __name__ == "__main__":
    main()
