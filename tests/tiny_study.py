"""A study of trainings that take half a second each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from digitnet.experiments.study.definition import Study, load_study
from digitnet.experiments.study.trials import Trial, outcome
from digitnet.training.runs import Run

TINY = """
title = "Tiny"
question = "Does it run?"
base = "plain"
data = "sample"
seeds = 2
test_on = ["digits8x8"]
[settings]
channels = [4]
dense = [8]
train_images = 200
val_fraction = 0.02
epochs = 2
batch_size = 20
threads = 1
[variants.plain]
[variants.dropout]
dropout = 0.5
"""


def tiny_study(folder: Path, text: str = TINY) -> Study:
    """Write the study to a folder and load it."""
    file = folder / "tiny.toml"
    file.write_text(text, encoding="utf-8")
    return load_study(file)


def outcomes(planned: Sequence[Trial]) -> list[object]:
    """Return what a study may not depend on: networks, losses, predictions; no times, no paths."""
    told: list[object] = []
    for trial in planned:
        run, ended = Run(trial.folder), outcome(trial)
        assert ended is not None, trial
        told.append((str(trial), ended))
        told += [(row.train_loss, row.val_loss, row.val_accuracy) for row in run.history]
        told.append((trial.folder / "predictions.csv").read_text())
        told += [trial.predictions_file(name).read_text() for name in trial.test_on]
    return told
