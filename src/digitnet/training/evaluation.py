"""How good a network is: figures from logits and labels, and nothing else.

Guarantees:

- Everything is computed from the arrays given; no state, no network, no files.
- Softmax is applied in float64.
- All images count the same; there are no batch averages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from digitnet.errors import InputError
from digitnet.training.runs import Predictions
from digitnet.training.statistics import wilson_interval

RELIABILITY_BINS = 15

# Test images of MNIST whose label fewer than three of five human judges agreed with: Northcutt,
# Athalye and Mueller, "Pervasive label errors in test sets destabilize machine learning
# benchmarks" (2021). On the first seven the label is clearly wrong, on the others it is open.
DISPUTED_MNIST_TEST = (
    *(947, 2462, 2597, 2654, 3558, 5937, 6651),
    *(1621, 1901, 2130, 3520, 6783, 8527, 9679, 9729),
)


@dataclass(frozen=True)
class ClassMetrics:
    """How well one class is read; fractions from 0 to 1."""

    name: str
    precision: float
    """Of the images read as this class, the fraction that are."""
    recall: float
    """Of the images of this class, the fraction read as it."""
    f1: float
    """Harmonic mean of the two."""
    support: int
    """Images of this class."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose confidence lies in (low, high]; mean figures, None where there are none."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Undisputed:
    """The result without the test images whose labels people do not agree with."""

    images: int
    misses: int
    accuracy: float
    removed: tuple[int, ...]
    """Indices left out."""


@dataclass(frozen=True)
class Metrics:
    """The quality of a network on a set of images."""

    images: int
    accuracy: float
    loss: float
    """Mean cross-entropy, in nats."""
    misses: int
    interval: tuple[float, float]
    """95 % Wilson interval of the accuracy on all images of this kind."""
    per_class: tuple[ClassMetrics, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    """Counts, ``[true][predicted]``."""
    expected_calibration_error: float
    """Mean distance between confidence and accuracy over the bins, weighted by their images."""
    reliability: tuple[ReliabilityBin, ...]
    undisputed: Undisputed | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from ``as_dict``, also after a trip through JSON.

        Raises:
            InputError: the values are not those of metrics.
        """
        try:
            undisputed = values["undisputed"]
            return cls(
                **{
                    **values,
                    "interval": tuple(values["interval"]),
                    "per_class": tuple(ClassMetrics(**row) for row in values["per_class"]),
                    "confusion_matrix": tuple(tuple(row) for row in values["confusion_matrix"]),
                    "reliability": tuple(ReliabilityBin(**row) for row in values["reliability"]),
                    "undisputed": undisputed
                    and Undisputed(**{**undisputed, "removed": tuple(undisputed["removed"])}),
                }
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"These are not the metrics of a run: {error}.") from error


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return probabilities (N, classes) that sum to 1, from logits (N, classes)."""
    probabilities: NDArray[np.float64] = special.softmax(logits.astype(np.float64), axis=1)
    return probabilities


def measure(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    disputed: Sequence[int] = (),
) -> Metrics:
    """Compare logits with labels.

    Args:
        logits: float32 (N, classes), finite.
        labels: int64 (N,), each an index of ``class_names``, as a ``Dataset`` guarantees.
        class_names: one a class.
        disputed: indices of images whose labels are in doubt; ``undisputed`` leaves them out.

    Raises:
        InputError: there are no labels, or they and the logits do not belong together, or a logit
            is NaN or infinite.
    """
    if not len(labels) or logits.shape != (len(labels), len(class_names)):
        expected = f"{len(labels)} labels of {len(class_names)} classes"
        raise InputError(f"{expected} cannot be compared with logits {logits.shape}.")
    if not np.isfinite(logits).all():
        raise InputError("The logits hold NaN or infinity; the network cannot be measured.")
    said = predictions(logits, labels)
    right = said.predicted == labels
    # Straight from the logits, because a probability may round to 0.
    own = special.log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
    bins = reliability(said.probability_predicted, right)
    matrix = np.zeros((len(class_names), len(class_names)), np.int64)
    np.add.at(matrix, (labels, said.predicted), 1)
    return Metrics(
        images=len(labels),
        accuracy=float(right.mean()),
        loss=float(-own.mean()),
        misses=int((~right).sum()),
        interval=wilson_interval(int(right.sum()), len(right)),
        per_class=_per_class(matrix, class_names),
        confusion_matrix=tuple(tuple(row) for row in matrix.tolist()),
        expected_calibration_error=calibration_error(bins),
        reliability=bins,
        undisputed=_undisputed(right, disputed) if len(disputed) else None,
    )


def predictions(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Predictions:
    """Return the prediction that each row of ``logits`` makes, beside its label."""
    probabilities = softmax(logits)
    rows = np.arange(len(labels))
    predicted = logits.argmax(axis=1).astype(np.int64)
    return Predictions(
        index=rows,
        label=labels,
        predicted=predicted,
        probability_label=probabilities[rows, labels],
        probability_predicted=probabilities[rows, predicted],
    )


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = RELIABILITY_BINS
) -> tuple[ReliabilityBin, ...]:
    """Sort images by confidence into ``bins`` of equal width and compare it with accuracy.

    Args:
        confidence: (N,), in [0, 1].
        right: (N,), whether each prediction is.
        bins: how many.
    """
    edges = np.linspace(0, 1, bins + 1)
    # Bins are open below and closed above, as in Guo et al. (2017); 0 goes to the first.
    which = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    members = [which == index for index in range(bins)]
    return tuple(
        ReliabilityBin(low, high, int(own.sum()), _mean(confidence[own]), _mean(right[own]))
        for (low, high), own in zip(pairwise(edges.tolist()), members, strict=True)
    )


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the expected calibration error (Naeini et al., 2015; Guo et al., 2017)."""
    total = sum(b.count for b in bins)
    gaps = (b.count * abs((b.accuracy or 0) - (b.confidence or 0)) for b in bins)
    return float(sum(gaps) / total)


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def _per_class(matrix: NDArray[np.int64], class_names: Sequence[str]) -> tuple[ClassMetrics, ...]:
    right, named, support = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    # A class that is never predicted has precision 0; one without images has recall 0.
    precision, recall = right / np.maximum(named, 1), right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(named + support, 1)
    rows = zip(class_names, precision, recall, f1, support, strict=True)
    return tuple(ClassMetrics(n, float(p), float(r), float(f), int(s)) for n, p, r, f, s in rows)


def _undisputed(right: NDArray[np.bool_], disputed: Sequence[int]) -> Undisputed:
    kept = np.delete(right, disputed)
    return Undisputed(
        images=len(kept),
        misses=int((~kept).sum()),
        accuracy=float(kept.mean()),
        removed=tuple(sorted(disputed)),
    )
