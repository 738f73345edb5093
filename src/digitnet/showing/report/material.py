"""Everything a report is made of, read once and checked to belong together.

Guarantees:

- What is reported is of one network: metrics measured before training went on are refused.
- Predictions are those of the test images, so an index found in them is an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from digitnet.data.dataset import Dataset
from digitnet.errors import InputError
from digitnet.network.cnn import CNN
from digitnet.network.config import TrainConfig
from digitnet.text import are_digits
from digitnet.training.evaluation import Metrics
from digitnet.training.loop import choose_images
from digitnet.training.runs import Epoch, Predictions, Run
from digitnet.training.trained import Trained

Ending = Literal["complete", "stopped early", "interrupted"]

_NUMBERS = ("parameters", "epochs", "seconds", "val_accuracy", "val_loss")


@dataclass(frozen=True, eq=False)
class Material:
    """A run, the data it used, and the network it made."""

    run: Run
    config: TrainConfig
    history: list[Epoch]
    summary: dict[str, Any]
    """What ``metrics.json`` holds besides the metrics of the test images."""
    metrics: Metrics
    predictions: Predictions
    environment: dict[str, Any]
    dataset: Dataset
    model: CNN
    num_train: int
    """Images the weights were fitted to."""
    num_val: int
    """Images set aside for validation."""

    @property
    def class_names(self) -> list[str]:
        """The name of each label."""
        return [row.name for row in self.metrics.per_class]

    @property
    def thing(self) -> str:
        """What one of the classes is called: "digit", or "class" where they are others."""
        return "digit" if are_digits(self.class_names) else "class"

    @property
    def things(self) -> str:
        """The same of several."""
        return "digits" if self.thing == "digit" else "classes"

    @property
    def best_epoch(self) -> Epoch | None:
        """The epoch with the lowest validation loss; None without a finished epoch."""
        return min(self.history, key=lambda row: row.val_loss, default=None)

    @property
    def stale_epochs(self) -> int:
        """Finished epochs after the best one."""
        return self.history[-1].epoch - self.best_epoch.epoch if self.best_epoch else 0

    @property
    def ending(self) -> Ending:
        """Why training ended when it did."""
        if len(self.history) >= self.config.epochs:
            return "complete"
        patience = self.config.early_stopping
        return "stopped early" if patience and self.stale_epochs >= patience else "interrupted"

    @property
    def disputed(self) -> tuple[int, ...]:
        """Indices of test images whose labels are in doubt."""
        return self.metrics.undisputed.removed if self.metrics.undisputed else ()


def gather(trained: Trained) -> Material:
    """Read what a run holds besides its data and network.

    Raises:
        InputError: the run is not evaluated, or its parts do not belong together.
    """
    run, config, dataset = trained.run, trained.config, trained.dataset
    summary, history, predictions = run.metrics, run.history, run.predictions
    metrics = _read_metrics(run, summary)
    if summary.get("model_sha256") != run.model_sha256:
        raise InputError(
            f"The metrics of {run.path} were measured on another network than the one it has now. "
            f"`digitnet evaluate {run.path}` measures it again."
        )
    _check_predictions(run, predictions, metrics, dataset)
    train, val = choose_images(config, dataset.train_labels)
    return Material(
        run=run,
        config=config,
        history=history,
        summary=summary,
        metrics=metrics,
        predictions=predictions,
        environment=run.environment,
        dataset=dataset,
        model=trained.model,
        num_train=len(train),
        num_val=len(val),
    )


def _read_metrics(run: Run, summary: dict[str, Any]) -> Metrics:
    wrong = [name for name in _NUMBERS if not isinstance(summary.get(name), int | float)]
    if wrong or not isinstance(summary.get("test"), dict):
        raise InputError(
            f"{run.path / 'metrics.json'} lacks {', '.join(wrong or ['test'])}. "
            f"`digitnet evaluate {run.path}` makes it anew."
        )
    return Metrics.from_dict(summary["test"])


def _check_predictions(
    run: Run, predictions: Predictions, metrics: Metrics, dataset: Dataset
) -> None:
    labels, size = dataset.test_labels, len(metrics.per_class)
    belong = (
        np.array_equal(predictions.index, np.arange(len(labels)))
        and np.array_equal(predictions.label, labels)
        and bool(((predictions.predicted >= 0) & (predictions.predicted < size)).all())
        and metrics.images == len(labels)
        and metrics.misses == int((predictions.predicted != labels).sum())
        and np.shape(metrics.confusion_matrix) == (size, size)
    )
    if not belong:
        raise InputError(
            f"{run.path / 'predictions.csv'} and metrics.json beside it are not of one evaluation "
            f"on the test images of '{dataset.name}'. `digitnet evaluate {run.path}` makes both "
            "anew."
        )
