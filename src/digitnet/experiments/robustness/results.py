"""What the bench found, as plain values that do not change."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DigitRow:
    """How well the digits of a set, or of a part of it, are read; shares from 0 to 1."""

    group: str
    name: str
    part: str | None
    """None for the whole set."""
    pictures: int
    right: int
    """Read as what they are, refused or not."""
    accuracy: float
    interval: tuple[float, float]
    """95 % Wilson interval of the accuracy."""
    rejected: float
    """Share refused as no digit."""
    plain_right: int | None = None
    plain_accuracy: float | None = None
    """Of the plain CNN; None when there is none."""


@dataclass(frozen=True)
class NonDigitRow:
    """How well pictures of no digit, or a part of them, are told from MNIST's test digits."""

    group: str
    name: str
    part: str | None
    pictures: int
    auroc: float
    """Probability that one of them is stranger than a digit (area under the ROC curve)."""
    rejected: float
    """Share refused at the model's own threshold."""
    plain_auroc: float | None = None


@dataclass(frozen=True)
class Reference:
    """What MNIST's test images, read as they are, say of confidence and refusals."""

    pictures: int
    expected_calibration_error: float
    rejected: float


@dataclass(frozen=True)
class Mean:
    """Mean accuracy over the sets of a group."""

    sets: int
    accuracy: float
    plain_accuracy: float | None


@dataclass(frozen=True)
class Results:
    """One run of the bench.

    Args:
        digits: rows of sets of digits, whole sets before their parts.
        non_digits: rows of sets of no digits, likewise.
        reference: None when neither MNIST as it is nor non-digits were measured.
        spread: largest less smallest accuracy of the five sets of MNIST that should not differ;
            None unless all five were measured.
        means: by group, of the groups of corruptions of which two or more were measured.
        seconds: how long it took.
        settings: model, plain run, data, limit and seed.
        environment: as ``environment.environment`` tells it.
    """

    digits: tuple[DigitRow, ...]
    non_digits: tuple[NonDigitRow, ...]
    reference: Reference | None
    spread: float | None
    means: dict[str, Mean]
    seconds: float
    settings: dict[str, Any]
    environment: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dataclasses.asdict(self)
