"""Measure the network of a run on test data, and write the results into the run.

    metrics = evaluate(run)

Guarantees:

- It changes nothing that training wrote.
- Metrics of another network than the last ones remove the report, which is of the old network.
- Every function that writes into a run folder holds its lock, or says that its caller does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from digitnet.files import hold_lock
from digitnet.network.cnn import CNN, predict_logits
from digitnet.network.config import SCHEMA_VERSION
from digitnet.training.device import resolve_device
from digitnet.training.evaluation import DISPUTED_MNIST_TEST, Metrics, measure, predictions
from digitnet.training.finder_evaluation import FinderMetrics, measure_finder
from digitnet.training.line_training import measure_lines
from digitnet.training.loop import choose_images
from digitnet.training.runs import Run, open_run
from digitnet.training.trained import Options, Trained, ignore, open_trained

_Measured = TypeVar("_Measured")


def evaluate(
    path: Path | str | Run,
    *,
    device: str = "auto",
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = ignore,
) -> Metrics:
    """Measure the network of a run on the test images and write the results.

    Args:
        path: the run folder.
        device: as for ``train``.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_message: as for ``train``.

    Returns:
        The metrics on the test images; ``metrics.json`` and ``predictions.csv`` hold them.

    Raises:
        InputError: the folder is not a run, or has no model yet, or a finder.
        UsageError: the data are not those of the run, or another process works in the folder.
        IntegrityError: the model file is damaged.
    """
    options = Options(data_dir=data_dir, offline=offline, on_message=on_message)
    return _evaluated(path, options, lambda trained: measure_reader(trained, device))


def evaluate_finder(
    path: Path | str | Run,
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = ignore,
) -> FinderMetrics:
    """Measure the finder of a run on 400 pages made of test images, and write the results.

    Args:
        path: the run folder.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_message: as for ``train``.

    Returns:
        The metrics, which ``metrics.json`` holds.

    Raises:
        InputError: the folder is not a run, or has no finder.
        UsageError: the data are not those of the run, or another process works in the folder.
        IntegrityError: the model file is damaged.
    """
    options = Options(data_dir=data_dir, offline=offline, on_message=on_message)
    return _evaluated(path, options, _measure_finder)


def evaluate_lines(
    path: Path | str | Run,
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = ignore,
) -> dict[str, Any]:
    """Measure the line reader of a run on 2,048 lines of test images, and write the results.

    Args:
        path: the run folder.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_message: as for ``train``.

    Returns:
        How many lines there are, which share is read exactly, and its 95 % interval.

    Raises:
        InputError: the folder is not a run, or has no line reader.
        UsageError: the data are not those of the run, or another process works in the folder.
        IntegrityError: the model file is damaged.
    """
    options = Options(data_dir=data_dir, offline=offline, on_message=on_message)
    return _evaluated(path, options, _measure_lines)


def _evaluated(
    path: Path | str | Run, options: Options, measured: Callable[[Trained], _Measured]
) -> _Measured:
    """Return what is measured of a run, whose lock is held meanwhile."""
    run = open_run(path)
    with hold_lock(run.path):
        return measured(open_trained(run, options))


def measure_trained(trained: Trained, device: str = "auto") -> None:
    """Measure a network, of whichever kind, and write the results into its run.

    The caller holds the lock of the run.
    """
    if trained.config.pages:
        _measure_finder(trained)
    elif trained.config.lines:
        _measure_lines(trained)
    else:
        measure_reader(trained, device)


def measure_reader(trained: Trained, device: str = "auto") -> Metrics:
    """Measure a network on the test images of its data and write the results into its run.

    The caller holds the lock of the run.
    """
    run, config, dataset = trained.run, trained.config, trained.dataset
    names = dataset.class_names
    started = time.perf_counter()
    logits = _logits(trained.model, dataset.test_images, device)
    seconds = time.perf_counter() - started
    disputed = DISPUTED_MNIST_TEST if config.data == "mnist" else ()
    metrics = measure(logits, dataset.test_labels, names, disputed)
    _, val = choose_images(config, dataset)
    val_logits = _logits(trained.model, dataset.train_images[val], device)
    validation = measure(val_logits, dataset.train_labels[val], names)
    run.write_predictions(predictions(logits, dataset.test_labels))
    run.write_metrics(
        {
            **_about(trained),
            "val_accuracy": validation.accuracy,
            "val_loss": validation.loss,
            "test_accuracy": metrics.accuracy,
            "test_loss": metrics.loss,
            "misses": metrics.misses,
            "microseconds_per_image": 1e6 * seconds / len(logits),
            "test": metrics.as_dict(),
        }
    )
    return metrics


def _measure_finder(trained: Trained) -> FinderMetrics:
    metrics = measure_finder(trained.finder, trained.dataset)
    _write_metrics_of_stream(
        trained, pages_exact=metrics.exact, signs_found=metrics.found, test=metrics.as_dict()
    )
    return metrics


def _measure_lines(trained: Trained) -> dict[str, Any]:
    measured = measure_lines(trained.lines, trained.dataset)
    _write_metrics_of_stream(trained, lines_exact=measured["exact"], test=measured)
    return measured


def _write_metrics_of_stream(trained: Trained, **measured: Any) -> None:
    """Write what was measured of a network that learned from a stream."""
    # As it was after the last epoch; None before the first has ended.
    last = trained.run.history[-1:]
    validation = {
        "val_accuracy": last[0].val_accuracy if last else None,
        "val_loss": last[0].val_loss if last else None,
    }
    trained.run.write_metrics({**_about(trained), **validation, **measured})


def _about(trained: Trained) -> dict[str, Any]:
    """Return what ``metrics.json`` says of a network of either kind."""
    run, config, history = trained.run, trained.config, trained.run.history
    return {
        "schema_version": SCHEMA_VERSION,
        "run": str(run.path),
        "model_sha256": run.model_sha256,
        "recipe": config.recipe,
        "data": config.data,
        "seed": config.seed,
        "parameters": trained.network.num_parameters,
        "epochs": len(history),
        "seconds": sum(row.seconds for row in history),
    }


def _logits(model: CNN, images: NDArray[np.uint8], device: str) -> NDArray[np.float32]:
    return predict_logits(model, torch.from_numpy(images), resolve_device(device)).numpy()
