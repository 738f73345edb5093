"""Run folders of a study with made-up numbers: what tables, figures and pages are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from digitnet.experiments.study.definition import Study
from digitnet.experiments.study.trials import Trial
from digitnet.files import write_json
from digitnet.training.evaluation import predictions
from digitnet.training.runs import Epoch, Predictions, Run

IMAGES = 400


def make_runs(
    study: Study, trials: Sequence[Trial], misses: Mapping[str, int], images: int = IMAGES
) -> None:
    """Write what a finished trial leaves, for all trials.

    Args:
        study: the study.
        trials: its trials.
        misses: by variant, how many test images each seed misreads, give or take a few; variants
            that are not there have diverged.
        images: how many test images there are.
    """
    for trial in trials:
        trial.folder.mkdir(parents=True)
        if trial.variant not in misses:
            write_outcome(trial, outcome="diverged", message="made up")
            continue
        rng = np.random.default_rng([trial.seed, *trial.variant.encode()])
        run = Run(trial.folder)
        run.write_config(trial.config, {"images": "made up"}, tuple("0123456789"))
        run.model_file.write_bytes(trial.variant.encode())
        sha256 = hashlib.sha256(run.model_file.read_bytes()).hexdigest()
        for data in (study.data, *study.test_on):
            told = made_up_predictions(misses[trial.variant], images, rng)
            run.write_predictions(told)
            if data != study.data:
                run.path.joinpath("predictions.csv").rename(trial.predictions_file(data))
        run.write_predictions(made_up_predictions(misses[trial.variant], images, rng))
        run.write_metrics(
            {
                "model_sha256": sha256,
                "val_accuracy": 1 - misses[trial.variant] / images,
                "val_loss": misses[trial.variant] / images,
                "parameters": 1000,
                "epochs": trial.config.epochs,
                "seconds": 10.0 + trial.seed,
                "microseconds_per_image": 200.0,
            }
        )
        final = misses[trial.variant] / images
        run.write_history(
            Epoch(epoch, 1e-3, 0.1, 0.9, 3 * share, 1 - share, 1.0)
            for epoch in range(1, trial.config.epochs + 1)
            for share in [final * (1 + 2 / epoch - 2 / trial.config.epochs) * rng.uniform(0.9, 1)]
        )
        write_outcome(trial, outcome="trained", model_sha256=sha256, tests=tests_of(study))


def tests_of(study: Study) -> dict[str, dict[str, int]]:
    """Return what ``trial.json`` says of the other data sets."""
    return {name: {} for name in study.test_on}


def write_outcome(trial: Trial, **values: object) -> None:
    """Write ``trial.json``."""
    write_json(trial.outcome_file, {"schema_version": 1, **values})


def made_up_predictions(misses: int, images: int, rng: np.random.Generator) -> Predictions:
    """Return predictions of images of which mostly the same, hard ones are misread."""
    labels = np.arange(images) % 10
    logits = np.zeros((images, 10), dtype=np.float32)
    logits[np.arange(images), labels] = 1
    # The first images are the hard ones.
    hard = rng.permutation(2 * misses)[:misses]
    logits[hard, (labels[hard] + 1) % 10] = 2
    return predictions(logits, labels)
