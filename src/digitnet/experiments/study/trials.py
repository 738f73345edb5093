"""One trial of a study: one variant, one seed, one run folder.

    config.json … predictions.csv   an ordinary run, evaluated
    predictions-NAME.csv            the network's predictions on another data set
    phases.json                     where its seconds went
    trial.json                      how the trial ended; written last

Guarantees:

- ``run_trial`` may be called again after a kill at any instant: what is finished stays, what is not
  continues from its checkpoint, and the outcome is that of one undisturbed call.
- A training that diverged is an outcome like any other, and is not tried again.
- Training and measuring use the threads that the trial names, in whichever process they run.
- Data and network are loaded once for training and measuring, and data once for many trials.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
import shutil
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from digitnet.errors import DigitnetError, InputError, IntegrityError, TrainingDivergedError
from digitnet.experiments.study.definition import Study
from digitnet.experiments.study.phases import Phases
from digitnet.files import hold_lock, make_folder, storage_errors, write_json
from digitnet.network.config import TrainConfig

if TYPE_CHECKING:
    from digitnet.data.dataset import Dataset
    from digitnet.training.trained import Options, Trained

SCHEMA_VERSION = 1

# Decided by the data, or by the machine that a run began on. Data are compared by their hashes.
_NOT_COMPARED = ("threads", "num_classes", "data")
# Of the metrics on another data set, what ``trial.json`` says.
_TOLD = ("images", "misses", "accuracy", "loss")


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

    @property
    def phases_file(self) -> Path:
        """The file that says where the seconds went of the call that finished it."""
        return self.folder / "phases.json"

    def predictions_file(self, data: str) -> Path:
        """Return where the predictions on another data set are kept."""
        if "/" not in data:
            return self.folder / f"predictions-{data}.csv"
        # The path of a folder: the hash tells a/b from a-b.
        mark = hashlib.sha256(os.fsencode(data)).hexdigest()[:8]
        return self.folder / f"predictions-{data.strip('/').replace('/', '-')[-80:]}-{mark}.csv"

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial while a study runs."""

    kind: Literal["started", "note", "progress", "finished", "failed", "stopped"]
    trial: Trial
    done: float = 0.0
    """Of progress: epochs trained so far, with a fraction."""
    message: str = ""
    """Of a note, its text; of a failure, the reason."""


Listener = Callable[[Event], None]


def trials(study: Study, folder: Path, *, threads: int = 1) -> list[Trial]:
    """Return every training of a study: all variants with the first seed, then the next.

    Args:
        study: the study.
        folder: its folder; the runs are in ``runs/`` below.
        threads: of each run, unless the study sets them.
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
        metrics = json.loads((trial.folder / "metrics.json").read_text(encoding="utf-8"))
        sha256 = hashlib.sha256((trial.folder / "model.safetensors").read_bytes()).hexdigest()
        files = [trial.folder / "predictions.csv", *map(trial.predictions_file, trial.test_on)]
        whole = (
            values["model_sha256"] == metrics["model_sha256"] == sha256
            and "val_accuracy" in metrics
            and set(trial.test_on) <= set(values["tests"])
            and all(file.is_file() for file in files)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(values) if whole else None


def phases(trial: Trial) -> dict[str, Any]:
    """Return where the seconds went of the call that finished a trial.

    Returns:
        ``seconds``, of each phase; and ``resumed``, whether some of its steps are in none of them.

    Raises:
        InputError: its file is missing or damaged.
    """
    try:
        values = json.loads(trial.phases_file.read_text(encoding="utf-8"))
        return {"resumed": bool(values["resumed"]), "seconds": dict(values["seconds"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{trial.phases_file} does not say where the seconds of the training went ({error}). "
            f"Remove {trial.folder}, and train it again."
        ) from error


def is_finished(trial: Trial) -> bool:
    """Return whether nothing is left to do for a trial."""
    return outcome(trial) is not None


def run_trial(trial: Trial, **options: Any) -> None:
    """Finish a trial: train, evaluate, measure on the other data sets.

    Args:
        trial: the trial.
        **options: ``device``, ``data_dir``, ``offline``, ``on_progress``, ``on_message``: as for
            ``train``.

    Raises:
        UsageError: its folder holds a run of other settings or data.
        StoppedError: a signal came; the run can be continued.
        DigitnetError: as for ``train`` and ``evaluate``; but not ``TrainingDivergedError``, which
            is an outcome.
    """
    if is_finished(trial):
        return
    watch = Phases()
    with watch.during("importing"):
        from digitnet.training.trained import Options

    how = Options(progress=False, **options)
    how = dataclasses.replace(how, on_progress=watch.noting(how.on_progress))
    where = trial.config.model.crops, how.data_dir, how.offline
    make_folder(trial.folder)
    # Whatever it says, a part of the trial is missing.
    with storage_errors(trial.outcome_file):
        trial.outcome_file.unlink(missing_ok=True)
    resumed = (trial.folder / "config.json").exists()
    try:
        with watch.during("loading"):
            dataset = _load(trial.config.data, *where)
        with watch.during("training"):
            trained = _train(trial, dataclasses.replace(how, dataset=dataset))
        with watch.during("measuring"):
            tests = {name: _load(name, *where) for name in trial.test_on}
            values = {"outcome": "trained", **_measure(trial, trained, tests, how.device)}
    except TrainingDivergedError as error:
        values = {"outcome": "diverged", "message": str(error)}
    write_json(trial.phases_file, {"resumed": resumed, "seconds": watch.seconds()})
    write_json(trial.outcome_file, {"schema_version": SCHEMA_VERSION, **values})


@functools.cache
def _load(name: str, crops: bool, data_dir: Path | str | None, offline: bool | None) -> Dataset:
    """Load a data set once for all trials of a process."""
    from digitnet.data.catalogue import load_dataset

    return load_dataset(name, crops=crops, data_dir=data_dir, offline=offline)


def failure(error: BaseException) -> str:
    """Return why a trial failed, as a sentence; show the traceback of a defect for debugging."""
    if isinstance(error, DigitnetError):
        return str(error)
    if os.environ.get("DIGITNET_DEBUG"):
        traceback.print_exception(error)
    reason = traceback.format_exception_only(error)[-1].strip()
    return f"digitnet met an error it did not expect: {reason}"


def _train(trial: Trial, options: Options) -> Trained:
    """Train the run of a trial, from its checkpoint if it was begun."""
    from digitnet.training.run_training import continue_training, run_training

    trained = None
    if (trial.folder / "config.json").exists():
        settings = {n: v for n, v in trial.config.flat().items() if n not in _NOT_COMPARED}
        try:
            trained = continue_training(trial.folder, options, **settings)
        except (InputError, IntegrityError) as error:
            options.on_message(f"{trial} is trained again from the start: {error}")
            with storage_errors(trial.folder, "remove"):
                shutil.rmtree(trial.folder)
    trained = trained or run_training(trial.config, trial.folder, options)
    last = trained.run.history[-1].val_loss
    if not math.isfinite(last):
        # The very last step led to infinity, and no later one could notice.
        raise TrainingDivergedError(f"The validation loss at the end is {last}.")
    return trained


def _measure(
    trial: Trial, trained: Trained, test_on: Mapping[str, Dataset], device: str
) -> dict[str, Any]:
    """Evaluate a run on its own test images, then on the other data sets; write predictions."""
    import torch

    from digitnet.network.cnn import predict_logits
    from digitnet.training.device import reproducible, resolve_device
    from digitnet.training.evaluation import measure, predictions
    from digitnet.training.run_evaluation import measure_reader
    from digitnet.training.runs import write_predictions

    tests, place = {}, resolve_device(device)
    with reproducible(trained.config), hold_lock(trial.folder):
        measure_reader(trained, device)
        for name, dataset in test_on.items():
            images, labels = dataset.test_images, dataset.test_labels
            if not len(images):
                # A data set that is not trained on may have no test images of its own.
                images, labels = dataset.train_images, dataset.train_labels
            logits = predict_logits(trained.model, torch.from_numpy(images), place).numpy()
            write_predictions(trial.predictions_file(name), predictions(logits, labels))
            metrics = measure(logits, labels, dataset.class_names)
            about = {key: getattr(metrics, key) for key in _TOLD}
            tests[name] = about | {"data_sha256": dataset.sha256}
    return {"model_sha256": trained.run.model_sha256, "tests": tests}
