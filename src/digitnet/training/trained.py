"""Train a recipe, and open what was trained: runs with their data and network in memory.

    run = train("reference", epochs=3)
    metrics = evaluate(run)

Guarantees:

- ``open_trained`` is the only place that loads the data and the network of a run. It refuses a
  network of an earlier epoch than the history's last, and data of another SHA-256 than the run's.
- ``train`` never looks at the test images; ``evaluate`` changes nothing that training wrote.
- Every function that writes into a run folder holds its lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import Dataset
from digitnet.errors import InputError, StoppedError, UsageError
from digitnet.files import hold_lock
from digitnet.network.cnn import CNN, predict_logits
from digitnet.network.config import SCHEMA_VERSION, TrainConfig, differences
from digitnet.network.recipes import recipe as named_recipe
from digitnet.training import signals
from digitnet.training.checkpoint import load_model, read_tensors
from digitnet.training.evaluation import DISPUTED_MNIST_TEST, Metrics, measure, predictions
from digitnet.training.loop import Progress, choose_images, fit, resolve_threads
from digitnet.training.runs import Run, create_run, open_run


def _ignore(_: Any) -> None:
    """Take no notice."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A run with its data and its network in memory."""

    run: Run
    config: TrainConfig
    dataset: Dataset
    model: CNN
    """In evaluation mode."""


def train(
    recipe: str | TrainConfig = "reference",
    *,
    out: Path | str | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_progress: Callable[[Progress], None] = _ignore,
    on_message: Callable[[str], None] = _ignore,
    **settings: Any,
) -> Run:
    """Train a network in a run folder of its own.

    Args:
        recipe: a recipe's name, or complete settings.
        out: the run folder, new or empty; by default a fresh one under ``runs/``.
        data_dir: folder that holds the data; by default the cache, filled when needed.
        offline: use no network.
        on_progress: called after every step.
        on_message: called with a line of text when something takes long before training starts.
        **settings: single settings by their flat names: ``epochs=3, dropout=0.5, rotate=15``.

    Returns:
        The run, with its history and its model.

    Raises:
        UsageError: a setting does not exist or cannot have that value.
        DataUnavailableError: the data cannot be had.
        StoppedError: Ctrl-C or SIGTERM came; the run can be evaluated, reported and resumed.
    """
    return run_training(
        recipe,
        out=out,
        data_dir=data_dir,
        offline=offline,
        on_progress=on_progress,
        on_message=on_message,
        **settings,
    ).run


def resume(
    path: Path | str | Run,
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_progress: Callable[[Progress], None] = _ignore,
    on_message: Callable[[str], None] = _ignore,
    **settings: Any,
) -> Run:
    """Continue a run where it stopped; a finished one is left as it is.

    Args:
        path: the run folder.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_progress: as for ``train``.
        on_message: as for ``train``.
        **settings: what the caller believes the settings to be.

    Raises:
        InputError: the folder is not a run.
        UsageError: a setting, or the data, is not that of the run; the message says which.
        StoppedError: as for ``train``.
    """
    return continue_training(
        path,
        data_dir=data_dir,
        offline=offline,
        on_progress=on_progress,
        on_message=on_message,
        **settings,
    ).run


def evaluate(
    path: Path | str | Run,
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = _ignore,
) -> Metrics:
    """Measure the network of a run on the test images and write the results.

    Args:
        path: the run folder.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_message: as for ``train``.

    Returns:
        The metrics on the test images; ``metrics.json`` and ``predictions.csv`` hold them.

    Raises:
        InputError: the folder is not a run, or has no model yet.
        UsageError: the data are not those of the run, or another process works in the folder.
        IntegrityError: the model file is damaged.
    """
    run = open_run(path)
    with hold_lock(run.path):
        return measure_trained(
            open_trained(run, data_dir=data_dir, offline=offline, on_message=on_message)
        )


def run_training(
    recipe: str | TrainConfig = "reference",
    *,
    out: Path | str | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    dataset: Dataset | None = None,
    on_progress: Callable[[Progress], None] = _ignore,
    on_message: Callable[[str], None] = _ignore,
    **settings: Any,
) -> Trained:
    """Do what ``train`` does, on ``dataset`` if it is loaded already, and return all of it."""
    config = named_recipe(recipe) if isinstance(recipe, str) else recipe
    config = resolve_threads(config.override(**settings))
    dataset = dataset or load_data(config, data_dir, offline, on_message)
    # The data set's own name: for a folder the full path, which holds wherever the run is used.
    config = config.override(data=dataset.name, num_classes=len(dataset.class_names))
    # An impossible network or split is an error before a folder is made for it.
    CNN(config.model)
    choose_images(config, dataset.train_labels)
    run = create_run(out, f"{config.recipe}-seed{config.seed}")
    with hold_lock(run.path):
        # First, because a folder with this file is a run that can be resumed.
        run.write_config(config, dataset.sha256, dataset.class_names)
        return _fitted(run, config, dataset, on_progress, on_message)


def continue_training(
    path: Path | str | Run,
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    dataset: Dataset | None = None,
    on_progress: Callable[[Progress], None] = _ignore,
    on_message: Callable[[str], None] = _ignore,
    **settings: Any,
) -> Trained:
    """Do what ``resume`` does, on ``dataset`` if it is loaded already, and return all of it."""
    run = open_run(path)
    config = run.config
    if settings.get("threads") == 0:
        # As many as there are cores: no claim about how many the run took.
        del settings["threads"]
    refuse_changes(run, config.flat(), config.override(**settings).flat())
    dataset = dataset or load_data(config, data_dir, offline, on_message)
    check_data(run, dataset)
    with hold_lock(run.path):
        return _fitted(run, config, dataset, on_progress, on_message)


def open_trained(
    path: Path | str | Run,
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = _ignore,
) -> Trained:
    """Load a finished run: its settings, its data and its network.

    Args:
        path: the run folder.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_message: as for ``train``.

    Raises:
        InputError: the folder is not a run, or has no model, or that of an earlier epoch.
        UsageError: the data found are not those of the run.
        IntegrityError: the model file is damaged.
        DataUnavailableError: the data cannot be had.
    """
    run = open_run(path)
    config = run.config
    # The network first: data may have to be fetched.
    model = trained_model(run)
    dataset = load_data(config, data_dir, offline, on_message)
    check_data(run, dataset)
    return Trained(run, config, dataset, model)


def trained_model(run: Run) -> CNN:
    """Return the network of a run.

    Raises:
        InputError: the run has none yet, or that of an earlier epoch.
        IntegrityError: the model file is damaged.
    """
    if not run.model_file.is_file():
        raise InputError(f"{run.path} has no network yet. {_remedy(run)}")
    model = load_model(run.model_file)
    _, about = read_tensors(run.model_file, "model")
    epochs = len(run.history)
    if about.get("epochs") != epochs:
        raise InputError(
            f"The network in {run.path} is that of epoch {about.get('epochs')}, but training went "
            f"on and ended, unfinished, after epoch {epochs}. {_remedy(run)}"
        )
    return model


def _remedy(run: Run) -> str:
    """Say what to do about a training that was killed or diverged."""
    return (
        f"If its training was interrupted, continue it with: digitnet train --resume {run.path}. "
        f"If it diverged, train a new run with a smaller --learning-rate than "
        f"{run.config.learning_rate:g}."
    )


def check_data(run: Run, dataset: Dataset) -> None:
    """Refuse data that are not those of a run.

    Raises:
        UsageError: a SHA-256 differs from that in ``config.json``; the message names the file.
    """
    if run.data_sha256 == dataset.sha256:
        return
    names = list({**run.data_sha256, **dataset.sha256})
    differing = [n for n in names if run.data_sha256.get(n) != dataset.sha256.get(n)]
    raise UsageError(
        f"The run {run.path} used other data than the '{dataset.name}' found here: the SHA-256 of "
        f"{', '.join(differing)} differs from that in its config.json. Name the folder that holds "
        "its data with --data-dir, or train a new run."
    )


def measure_trained(trained: Trained) -> Metrics:
    """Measure a network on the test images of its data and write the results into its run.

    The caller holds the lock of the run.
    """
    run, config, dataset = trained.run, trained.config, trained.dataset
    history = run.history
    started = time.perf_counter()
    logits = predict_logits(trained.model, torch.from_numpy(dataset.test_images)).numpy()
    seconds = time.perf_counter() - started
    disputed = DISPUTED_MNIST_TEST if config.data == "mnist" else ()
    metrics = measure(logits, dataset.test_labels, dataset.class_names, disputed)
    val_loss, val_accuracy = _validation(trained)
    run.write_predictions(predictions(logits, dataset.test_labels))
    run.write_metrics(
        {
            "schema_version": SCHEMA_VERSION,
            "run": str(run.path),
            "model_sha256": run.model_sha256,
            "recipe": config.recipe,
            "data": config.data,
            "seed": config.seed,
            "parameters": trained.model.num_parameters,
            "epochs": len(history),
            "seconds": sum(row.seconds for row in history),
            "val_accuracy": val_accuracy,
            "val_loss": val_loss,
            "test_accuracy": metrics.accuracy,
            "test_loss": metrics.loss,
            "misses": metrics.misses,
            "microseconds_per_image": 1e6 * seconds / len(logits),
            "test": metrics.as_dict(),
        }
    )
    return metrics


def _validation(trained: Trained) -> tuple[float, float]:
    """Return loss and accuracy on the validation images of the run."""
    dataset = trained.dataset
    _, val = choose_images(trained.config, dataset.train_labels)
    logits = predict_logits(trained.model, torch.from_numpy(dataset.train_images[val])).numpy()
    metrics = measure(logits, dataset.train_labels[val], dataset.class_names)
    return metrics.loss, metrics.accuracy


def _fitted(
    run: Run,
    config: TrainConfig,
    dataset: Dataset,
    on_progress: Callable[[Progress], None],
    on_message: Callable[[str], None],
) -> Trained:
    if config.non_digits or config.augmentation.style or config.augmentation.pen:
        on_message("Preparing the images: styles, pens, drawings of no digit; a minute or two …")
    with signals.noted() as received:
        finished = fit(
            run, config, dataset, on_progress=on_progress, should_stop=lambda: bool(received)
        )
    if not finished:
        raise StoppedError(
            f"Training stopped after {len(run.history)} of {config.epochs} epochs. Nothing is "
            f"lost; continue with: digitnet train --resume {run.path}",
            received[0],
        )
    return Trained(run, config, dataset, load_model(run.model_file))


def load_data(
    config: TrainConfig,
    data_dir: Path | str | None,
    offline: bool | None,
    on_message: Callable[[str], None] = _ignore,
) -> Dataset:
    """Return the data set of these settings."""
    return load_dataset(
        config.data,
        crops=config.model.crops,
        data_dir=data_dir,
        offline=offline,
        progress=on_message,
    )


def refuse_changes(run: Run, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse settings, ``wanted``, that are not those ``saved`` in a run.

    Raises:
        UsageError: the message names each setting that differs, with both values.
    """
    if differing := differences(saved, wanted):
        raise UsageError(
            f"The run {run.path} has other settings: {differing}. "
            f"Resume it without changing them, or train a new run."
        )
