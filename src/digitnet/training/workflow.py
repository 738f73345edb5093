"""The verbs of the Python API: train a recipe, evaluate a run.

    run = train("reference", epochs=3)
    metrics = evaluate(run)

Guarantees: ``train`` never looks at the test images; ``evaluate`` changes nothing that training
made. Both leave what they found in the run folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from digitnet.data.datasets import Dataset, load_dataset
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


def train(
    recipe: str | TrainConfig = "reference",
    *,
    out: Path | str | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_message: Callable[[str], None] = lambda _: None,
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
        StoppedError: Ctrl-C or SIGTERM came; the run is whole and can be resumed.
    """
    config = named_recipe(recipe) if isinstance(recipe, str) else recipe
    config = resolve_threads(config.override(**settings))
    dataset = _load(config, data_dir, offline, on_message)
    # The name, because that of a folder is its full path: the run may be read from elsewhere.
    config = config.override(data=dataset.name, num_classes=len(dataset.class_names))
    # An impossible network or split is an error before a folder is made for it.
    CNN(config.model)
    choose_images(config, dataset.train_labels)
    run = create_run(out, f"{config.recipe}-seed{config.seed}")
    with hold_lock(run.path):
        # First, because a folder with this file is a run that can be resumed.
        run.write_config(config, dataset.sha256, dataset.class_names)
        _fit(run, config, dataset, on_progress, on_message)
    return run


def resume(
    path: Path | str | Run,
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_message: Callable[[str], None] = lambda _: None,
    **settings: Any,
) -> Run:
    """Go on with a run where it stopped; a finished one is left as it is.

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
    run = open_run(path)
    config = run.config
    if settings.get("threads") == 0:
        # As many as there are cores: no claim about how many the run took.
        del settings["threads"]
    refuse_changes(run, config.flat(), config.override(**settings).flat())
    dataset = _load(config, data_dir, offline, on_message)
    refuse_changes(run, run.data_sha256, dataset.sha256)
    with hold_lock(run.path):
        _fit(run, config, dataset, on_progress, on_message)
    return run


def evaluate(
    path: Path | str | Run,
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = lambda _: None,
) -> Metrics:
    """Measure the network of a run on the test images, and write what comes out.

    Args:
        path: the run folder.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_message: as for ``train``.

    Returns:
        The metrics on the test images; ``metrics.json`` and ``predictions.csv`` hold them.

    Raises:
        InputError: the folder is not a run, or has no model yet.
        IntegrityError: the model file is damaged.
    """
    run = open_run(path)
    config = run.config
    _refuse_without_model(run)
    with hold_lock(run.path):
        model = trained_model(run)
        return measure_run(run, model, _load(config, data_dir, offline, on_message))


def measure_run(run: Run, model: CNN, dataset: Dataset) -> Metrics:
    """Measure the network of a run on its data, as ``evaluate`` does, and write what comes out."""
    config, history = run.config, run.history
    started = time.perf_counter()
    logits = predict_logits(model, torch.from_numpy(dataset.test_images)).numpy()
    seconds = time.perf_counter() - started
    disputed = DISPUTED_MNIST_TEST if config.data == "mnist" else ()
    metrics = measure(logits, dataset.test_labels, dataset.class_names, disputed)
    val_loss, val_accuracy = _validation(model, config, dataset)
    run.write_predictions(predictions(logits, dataset.test_labels))
    run.write_metrics(
        {
            "schema_version": SCHEMA_VERSION,
            "run": str(run.path),
            "model_sha256": run.model_sha256,
            "recipe": config.recipe,
            "data": config.data,
            "seed": config.seed,
            "parameters": model.num_parameters,
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


def trained_model(run: Run) -> CNN:
    """Return the network of a run.

    Raises:
        InputError: the run has none yet, or that of an earlier epoch.
        IntegrityError: the model file is damaged.
    """
    _refuse_without_model(run)
    model = load_model(run.model_file)
    _refuse_stale_model(run, len(run.history))
    return model


def val_indices(config: TrainConfig, dataset: Dataset) -> NDArray[np.int64]:
    """Return which training images a run of these settings sets aside for validation."""
    return choose_images(config, dataset.train_labels)[1]


def _refuse_without_model(run: Run) -> None:
    if not run.model_file.is_file():
        raise InputError(f"{run.path} has no model yet; `digitnet train --resume {run.path}`.")


def _refuse_stale_model(run: Run, epochs: int) -> None:
    """Refuse a network saved by an earlier interruption, after which training went on."""
    _, about = read_tensors(run.model_file, "model")
    if about.get("epochs") != epochs:
        raise InputError(
            f"The network in {run.path} is that of epoch {about.get('epochs')}, and training was "
            f"killed in a later one, after epoch {epochs}. Finish it with: "
            f"digitnet train --resume {run.path}"
        )


def _validation(model: CNN, config: TrainConfig, dataset: Dataset) -> tuple[float, float]:
    """Return loss and accuracy on the validation images of the run."""
    val = val_indices(config, dataset)
    logits = predict_logits(model, torch.from_numpy(dataset.train_images[val])).numpy()
    metrics = measure(logits, dataset.train_labels[val], dataset.class_names)
    return metrics.loss, metrics.accuracy


def _fit(
    run: Run,
    config: TrainConfig,
    dataset: Dataset,
    on_progress: Callable[[Progress], None],
    on_message: Callable[[str], None],
) -> None:
    if config.non_digits or config.augmentation.style or config.augmentation.pen:
        on_message("Preparing the images: styles, pens, drawings of no digit; a minute or two …")
    with signals.noted() as received:
        finished = fit(
            run, config, dataset, on_progress=on_progress, should_stop=lambda: bool(received)
        )
    if not finished:
        raise StoppedError(
            f"Training stopped after {len(run.history)} of {config.epochs} epochs. The run is "
            f"whole; go on with: digitnet train --resume {run.path}",
            received[0],
        )


def _load(
    config: TrainConfig,
    data_dir: Path | str | None,
    offline: bool | None,
    on_message: Callable[[str], None],
) -> Dataset:
    return load_dataset(
        config.data,
        crops=config.model.crops,
        data_dir=data_dir,
        offline=offline,
        progress=on_message,
    )


def refuse_changes(run: Run, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse settings or data, ``wanted``, that are not those of ``run``."""
    if told := differences(saved, wanted):
        raise UsageError(
            f"The run {run.path} has other settings: {told}. "
            f"Resume it without changing them, or train a new run."
        )
