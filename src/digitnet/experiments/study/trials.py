"""One trial of a study: one variant, one seed, one run folder.

    config.json … predictions.csv   an ordinary run, evaluated
    predictions-NAME.csv            what its network says of each image of another data set
    trial.json                      how it ended; written last, so that a run that has it is whole

Guarantees:

- ``run_trial`` can be called again and again, killed at any instant in between: what is finished is
  left, what is not goes on where it stopped, and the outcome is that of one undisturbed call.
- A training that diverged is an outcome like another, and is not tried again.
- Training and measuring take the threads that the trial says, whichever process they run in.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet.errors import InputError, IntegrityError, TrainingDivergedError
from digitnet.experiments.study.definition import Study
from digitnet.files import make_folder, storage_errors, write_json
from digitnet.network.config import TrainConfig

if TYPE_CHECKING:
    from digitnet.data.dataset import Dataset
    from digitnet.network.cnn import CNN
    from digitnet.training.loop import Progress
    from digitnet.training.runs import Run

SCHEMA_VERSION = 1

# Decided by the data or by the machine that a run began on, not by the study; that the data are the
# same, their hashes say.
_NOT_COMPARED = ("threads", "num_classes", "data")


@dataclass(frozen=True)
class Trial:
    """One training of a study; plain values that can be sent to another process."""

    variant: str
    seed: int
    config: TrainConfig
    folder: Path
    """Its run folder, made when it runs."""
    test_on: tuple[str, ...] = ()
    """Data sets that its network is measured on besides its own."""

    @property
    def outcome_file(self) -> Path:
        """The file that says how it ended."""
        return self.folder / "trial.json"

    def predictions_file(self, data: str) -> Path:
        """Return where the predictions for another data set are kept."""
        if "/" not in data:
            return self.folder / f"predictions-{data}.csv"
        # A folder of the user's: the hash tells a/b from a-b.
        mark = hashlib.sha256(os.fsencode(data)).hexdigest()[:8]
        return self.folder / f"predictions-{data.strip('/').replace('/', '-')[-80:]}-{mark}.csv"

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"


def trials(study: Study, folder: Path, *, threads: int = 1) -> list[Trial]:
    """Return every training of a study: first all variants with the first seed, and so on.

    Args:
        study: the study.
        folder: its folder; the runs are in ``runs/`` below.
        threads: of each run, unless the study's settings say how many.
    """
    return [
        Trial(
            variant.name,
            seed,
            variant.config.override(seed=seed, threads=variant.config.threads or threads),
            folder / "runs" / f"{variant.name}-seed{seed}",
            study.test_on,
        )
        for seed in study.seeds
        for variant in study.variants
    ]


def outcome(trial: Trial) -> dict[str, Any] | None:
    """Return how a trial ended, from ``trial.json``; None when it has not, or a part is missing."""
    try:
        values = json.loads(trial.outcome_file.read_text(encoding="utf-8"))
        if values["schema_version"] != SCHEMA_VERSION:
            return None
        if values["outcome"] == "diverged":
            return dict(values)
        model = (trial.folder / "model.safetensors").read_bytes()
        metrics = json.loads((trial.folder / "metrics.json").read_text(encoding="utf-8"))
        sha256 = hashlib.sha256(model).hexdigest()
        whole = values["model_sha256"] == metrics["model_sha256"] == sha256
        files = [trial.folder / "predictions.csv", *map(trial.predictions_file, trial.test_on)]
        whole &= set(trial.test_on) <= set(values["tests"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(values) if whole and all(file.is_file() for file in files) else None


def is_finished(trial: Trial) -> bool:
    """Return whether nothing is left to do for a trial."""
    return outcome(trial) is not None


def run_trial(
    trial: Trial,
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_message: Callable[[str], None] = lambda _: None,
) -> None:
    """Bring a trial to its end: train, evaluate, measure on the other data sets.

    Args:
        trial: the trial.
        data_dir: as for ``workflow.train``.
        offline: as for ``workflow.train``.
        on_progress: called after every step of training.
        on_message: called with a line of text when data are fetched, or a damaged run is begun
            anew.

    Raises:
        UsageError: its folder holds a run of other settings or data.
        StoppedError: a signal came; the run can be continued.
        DigitnetError: as for ``workflow.train`` and ``workflow.evaluate``; but not
            ``TrainingDivergedError``, which is an outcome.
    """
    if is_finished(trial):
        return
    make_folder(trial.folder)
    # Whatever it said, a part of it is missing.
    with storage_errors(trial.outcome_file):
        trial.outcome_file.unlink(missing_ok=True)
    places: Any = {"data_dir": data_dir, "offline": offline, "on_message": on_message}
    try:
        run = _trained(trial, on_progress, places)
        _refuse_numbers_lost(run)
    except TrainingDivergedError as error:
        values: dict[str, Any] = {"outcome": "diverged", "message": str(error)}
    else:
        values = {"outcome": "trained", **_measured(trial, run, places)}
    write_json(trial.outcome_file, {"schema_version": SCHEMA_VERSION, **values})


def _trained(trial: Trial, on_progress: Callable[[Progress], None], places: dict[str, Any]) -> Run:
    """Train the run of a trial, from where it stands if it was begun."""
    from digitnet.data.catalogue import load_dataset
    from digitnet.training import trained
    from digitnet.training.runs import open_run

    if (trial.folder / "config.json").exists():
        # Before the run is opened: what is wrong with the data is no reason to begin it anew.
        load_dataset(trial.config.data, crops=trial.config.model.crops, **_for_data(places))
        try:
            run = open_run(trial.folder)
            _refuse_other(run, trial)
            return trained.resume(run, on_progress=on_progress, **places)
        except (InputError, IntegrityError) as error:
            places["on_message"](f"{trial} is begun anew: {error}")
            with storage_errors(trial.folder, "remove"):
                shutil.rmtree(trial.folder)
    return trained.train(trial.config, out=trial.folder, on_progress=on_progress, **places)


def _refuse_numbers_lost(run: Run) -> None:
    """Count a network whose last step led to infinity, which no later step noticed, as diverged."""
    last = run.history[-1]
    if not math.isfinite(last.val_loss):
        raise TrainingDivergedError(f"The validation loss at the end is {last.val_loss}.")


def _refuse_other(run: Run, trial: Trial) -> None:
    from digitnet.training.trained import refuse_changes

    saved, wanted = (
        {name: value for name, value in config.flat().items() if name not in _NOT_COMPARED}
        for config in (run.config, trial.config)
    )
    refuse_changes(run, saved, wanted)


def _measured(trial: Trial, run: Run, places: dict[str, Any]) -> dict[str, Any]:
    """Evaluate a run on its own test images and on those of the other data sets."""
    from digitnet.data.catalogue import load_dataset
    from digitnet.training import trained
    from digitnet.training.loop import reproducible

    with reproducible(run.config):
        trained.evaluate(run, **places)
        model = trained.trained_model(run)
        crops = trial.config.model.crops
        tests = {
            name: _tested(
                model,
                load_dataset(name, crops=crops, **_for_data(places)),
                trial.predictions_file(name),
            )
            for name in trial.test_on
        }
    return {"model_sha256": run.model_sha256, "tests": tests}


def _for_data(places: dict[str, Any]) -> dict[str, Any]:
    return {
        "data_dir": places["data_dir"],
        "offline": places["offline"],
        "progress": places["on_message"],
    }


def _tested(model: CNN, dataset: Dataset, file: Path) -> dict[str, Any]:
    """Measure a network on another data set, and write its predictions."""
    import torch

    from digitnet.network.cnn import predict_logits
    from digitnet.training.evaluation import measure, predictions
    from digitnet.training.runs import write_predictions

    images, labels = test_images(dataset)
    logits = predict_logits(model, torch.from_numpy(images)).numpy()
    metrics = measure(logits, labels, dataset.class_names)
    write_predictions(file, predictions(logits, labels))
    return {
        "images": metrics.images,
        "misses": metrics.misses,
        "accuracy": metrics.accuracy,
        "loss": metrics.loss,
        "data_sha256": dataset.sha256,
    }


def test_images(dataset: Dataset) -> tuple[Any, Any]:
    """Return the test images and labels of a data set that is not trained on, or all it has."""
    if len(dataset.test_images):
        return dataset.test_images, dataset.test_labels
    return dataset.train_images, dataset.train_labels
