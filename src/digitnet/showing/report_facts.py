"""What the report of a run states: numbers and verdicts, computed from the run.

Guarantees:

- Everything is of one network: metrics measured before training continued are refused.
- Predictions are those of the test images, so an index in them is the index of an image.
- Nothing here is a sentence; those are in ``templates/report.html``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.data.dataset import Dataset
from digitnet.errors import InputError
from digitnet.network.cnn import layer_table
from digitnet.network.config import LEAST_RATE, WARM_UP, TrainConfig
from digitnet.text import are_digits
from digitnet.training.evaluation import Metrics
from digitnet.training.loop import choose_images
from digitnet.training.runs import Epoch, Predictions
from digitnet.training.trained import Trained

MOST_MISSES = 40
CORRECT_PER_CLASS = 5
_SURE = 0.9  # confidence from which a miss counts as sure of itself
_MOST_CONFUSIONS = 5
_SHADES = 5  # of a cell of the confusion matrix, from few mistakes to most
_LEAST_CONFIDENCES = (0.0, 0.5, 0.9, 0.99, 0.999)
# Of a run, what its page names as it is.
_GIVEN = ("config", "dataset", "history", "metrics", "summary", "thing", "class_names")
_NUMBERS = ("parameters", "epochs", "seconds", "val_accuracy", "val_loss")


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """A trained run and what was measured of it."""

    trained: Trained
    history: list[Epoch]
    summary: dict[str, Any]
    """What ``metrics.json`` holds besides the metrics of the test images."""
    metrics: Metrics
    predictions: Predictions

    @property
    def config(self) -> TrainConfig:
        """The settings."""
        return self.trained.config

    @property
    def dataset(self) -> Dataset:
        """The data."""
        return self.trained.dataset

    @property
    def class_names(self) -> list[str]:
        """The name of each label."""
        return [row.name for row in self.metrics.per_class]

    @property
    def thing(self) -> str:
        """What one of the classes is called: "digit", or "class" where they are others."""
        return "digit" if are_digits(self.class_names) else "class"

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each test image was read correctly."""
        right: NDArray[np.bool_] = self.predictions.predicted == self.predictions.label
        return right

    @property
    def disputed(self) -> tuple[int, ...]:
        """Indices of test images whose labels are in doubt."""
        return self.metrics.undisputed.removed if self.metrics.undisputed else ()

    @property
    def example(self) -> int:
        """The index of the test image that is followed through the network.

        The first that was read correctly, or the first of all.
        """
        return int(self.correct.argmax())


def read_evaluated(trained: Trained) -> EvaluatedRun:
    """Read what was measured of a run.

    Raises:
        InputError: the run is not evaluated, or its parts do not belong together.
    """
    run, summary = trained.run, read_summary(trained, _NUMBERS)
    metrics = Metrics.from_dict(summary["test"])
    history = [] if run.is_ensemble else run.history
    evaluated = EvaluatedRun(trained, history, summary, metrics, run.predictions)
    _check_predictions(evaluated)
    return evaluated


def read_summary(trained: Trained, numbers: Sequence[str]) -> dict[str, Any]:
    """Read what ``metrics.json`` holds.

    Raises:
        InputError: there is none, it lacks one of these ``numbers``, or is of another network.
    """
    run = trained.run
    summary = run.metrics
    lacking = [name for name in numbers if not isinstance(summary.get(name), int | float)]
    if lacking or not isinstance(summary.get("test"), dict):
        raise InputError(
            f"{run.path / 'metrics.json'} lacks {', '.join(lacking or ['test'])}. "
            f"`digitnet evaluate {run.path}` writes it again."
        )
    if summary.get("model_sha256") != run.model_sha256:
        raise InputError(
            f"The metrics of {run.path} were measured on another network than the one it has now. "
            f"`digitnet evaluate {run.path}` measures it again."
        )
    return summary


def _check_predictions(run: EvaluatedRun) -> None:
    told, metrics, labels = run.predictions, run.metrics, run.dataset.test_labels
    size = len(metrics.per_class)
    belong = (
        np.array_equal(told.index, np.arange(len(labels)))
        and np.array_equal(told.label, labels)
        and bool(((told.predicted >= 0) & (told.predicted < size)).all())
        and metrics.images == len(labels)
        and metrics.misses == int((~run.correct).sum())
        and np.shape(metrics.confusion_matrix) == (size, size)
    )
    path = run.trained.run.path
    if not belong:
        raise InputError(
            f"{path / 'predictions.csv'} and metrics.json beside it are not of one evaluation on "
            f"the test images of '{run.dataset.name}'. `digitnet evaluate {path}` rewrites both."
        )


def facts(run: EvaluatedRun) -> dict[str, Any]:
    """Return what the template of a report names, but for its figures, settings and commands."""
    config = run.config
    train, val = choose_images(config, run.dataset)
    layers = diagram_layers(run)
    return {
        **results(run),
        "num_train": len(train),
        "num_val": len(val),
        "training_images": np.bincount(
            run.dataset.train_labels, minlength=len(run.class_names)
        ).tolist(),
        "ending": ending(run.history, config),
        "layers": layers,
        "largest_layer": max(range(len(layers)), key=lambda number: layers[number][2]),
        "tuning": _tuning(run),
        # Runs tuned before the schedule had a name say "cosine".
        "schedule": "warm-cosine" if run.trained.run.transfer else config.schedule,
        "warm_up": WARM_UP,
        "least_rate": LEAST_RATE,
    }


def results(run: EvaluatedRun) -> dict[str, Any]:
    """Return what came out, of a network or of an ensemble."""
    metrics = run.metrics
    sureness = np.where(run.correct, run.predictions.probability_predicted, np.inf)
    commonest = max(row.support for row in metrics.per_class) / metrics.images
    return {
        "run_path": str(run.trained.run.path),
        **{name: getattr(run, name) for name in _GIVEN},
        "things": "digits" if run.thing == "digit" else "classes",
        "one_in": _one_in(metrics),
        # A network that cannot be told from guessing may know nothing.
        "guessing": None if metrics.interval[0] > commonest else commonest,
        "confusions": _confusions(run),
        "shades": _shades(metrics),
        "hesitation": _hesitation(run.predictions),
        "least_sure": answer_to(run, int(sureness.argmin())) if run.correct.any() else None,
        "trust": _trust(run),
        "refusing": _refusing(run.predictions),
    }


def _one_in(metrics: Metrics) -> str | None:
    """Return of how many images one is misread; None where that says little."""
    rate = metrics.images / metrics.misses if metrics.misses else 0.0
    return None if rate <= 2 else f"{rate:.0f}" if rate >= 9.5 else f"{rate:.1f}"


def ending(history: Sequence[Epoch], config: TrainConfig) -> dict[str, Any]:
    """Return why training ended when it did, after which epochs, and which was the best."""
    best = min(history, key=lambda row: row.val_loss, default=None)
    stale = history[-1].epoch - best.epoch if best else 0
    how = "interrupted"
    if len(history) >= config.epochs:
        how = "complete"
    elif config.early_stopping and stale >= config.early_stopping:
        how = "stopped early"
    return {
        "how": how,
        "epochs": len(history),
        "best": best.epoch if best else 0,
        # Epochs after the best one.
        "stale": stale,
        "kept_best": bool(config.early_stopping and stale and how == "complete"),
    }


def diagram_layers(run: EvaluatedRun) -> list[tuple[str, tuple[int, ...], int]]:
    """Return the image and each layer: name, output shape, parameters."""
    height, width = run.dataset.test_images.shape[1:]
    rows = layer_table(run.trained.model.config)
    image = ("image", (1, height, width), 0)
    return [image, *((row.name, row.output_shape, row.parameters) for row in rows)]


def _tuning(run: EvaluatedRun) -> dict[str, Any] | None:
    """Return how a network was tuned from another; None for one that began from nothing."""
    origin = run.trained.run.transfer
    if origin is None:
        return None
    settings, method = origin["settings"], origin["method"]
    return {
        "accuracy_before": None,  # of runs tuned before it was measured
        **origin,
        "replay": 0 if method == "scratch" else settings["replay"],
        "layer_decay": settings["rates"][method]["layer_decay"],
        "averaged": settings["averaged"],
    }


def _confusions(run: EvaluatedRun) -> dict[str, Any] | None:
    """Return the most frequent confusions, and the pair that is exchanged most; None without."""
    matrix = np.array(run.metrics.confusion_matrix)
    np.fill_diagonal(matrix, 0)
    if not matrix.any():
        return None
    names = run.class_names
    order = np.argsort(-matrix, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    cells = zip(*np.unravel_index(order, matrix.shape), strict=True)
    both = matrix + matrix.T
    pair = np.unravel_index(both.argmax(), both.shape)
    return {
        "often": [
            (names[int(i)], names[int(j)], int(matrix[i, j])) for i, j in cells if matrix[i, j]
        ],
        "pair": [names[int(label)] for label in pair],
        "times": int(both.max()),
        "share": float(both.max() / matrix.sum()),
    }


def _shades(metrics: Metrics) -> list[list[int]]:
    """Return how strongly each cell of the confusion matrix is coloured, 0 for no mistake."""
    mistakes = np.array(metrics.confusion_matrix)
    np.fill_diagonal(mistakes, 0)
    # By the square root: one mistake among many can still be seen.
    share = np.sqrt(mistakes / max(1, mistakes.max()))
    shades: list[list[int]] = np.ceil(_SHADES * share).astype(int).tolist()
    return shades


def _hesitation(predictions: Predictions) -> dict[str, Any]:
    """Return how often the network was unsure where it was wrong, and where it was right."""
    missed = predictions.predicted != predictions.label
    unsure = predictions.probability_predicted < _SURE
    some = bool(missed.any() and not missed.all())
    wrong, right = (float(unsure[missed].mean()), float(unsure[~missed].mean())) if some else (0, 0)
    return {"limit": _SURE, "when_wrong": wrong, "when_right": right, "warns": wrong - right > 0.5}


def answer_to(run: EvaluatedRun, index: int) -> dict[str, Any]:
    """Return what the network says of a test image."""
    told, names = run.predictions, run.class_names
    return {
        "index": index,
        "label": names[told.label[index]],
        "answer": names[told.predicted[index]],
        "probability": float(told.probability_predicted[index]),
    }


def _trust(run: EvaluatedRun) -> dict[str, Any]:
    """Return whether confidence matches accuracy on average, given the number of images."""
    claimed = run.predictions.probability_predicted
    confidence = float(claimed.mean())
    gap = confidence - run.metrics.accuracy
    # If every claim were honest, the number of right answers would vary by this much.
    chance = 1.96 * math.sqrt(float((claimed * (1 - claimed)).sum())) / run.metrics.images
    verdict = "honest" if abs(gap) <= chance else "too sure" if gap > 0 else "too modest"
    return {"confidence": confidence, "gap": gap, "verdict": verdict}


def _refusing(predictions: Predictions) -> list[tuple[float, float, int, float | None]]:
    """Return what asking for a least confidence costs and gains.

    For each limit: the share of images answered, the misses among them, and their accuracy.
    """
    right = predictions.predicted == predictions.label
    rows = []
    for limit in _LEAST_CONFIDENCES:
        kept = predictions.probability_predicted >= limit
        accuracy = float(right[kept].mean()) if kept.any() else None
        rows.append((limit, float(kept.mean()), int((~right[kept]).sum()), accuracy))
    return rows
