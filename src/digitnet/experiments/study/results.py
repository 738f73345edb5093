"""What came out of a study, as plain values that do not change."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["better", "worse", "no difference shown", "not compared"]

VAL = "validation"
"""The name of the validation images among the sets of images; the others are data sets."""


@dataclass(frozen=True)
class RunResult:
    """One training and what its network is worth."""

    variant: str
    seed: int
    folder: str
    """Of the run, below that of the study."""
    outcome: Literal["trained", "diverged"]
    accuracy: dict[str, float]
    """By set of images, from 0 to 1; empty when training diverged, as the rest is None."""
    val_loss: float | None = None
    parameters: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    """Of training, without evaluation."""
    microseconds_per_image: float | None = None


@dataclass(frozen=True)
class Estimate:
    """A quantity over several seeds."""

    count: int
    mean: float
    sd: float
    low: float | None
    """Lower end of the 95 % t-interval of the mean; None with a single seed."""
    high: float | None


@dataclass(frozen=True)
class VariantResult:
    """One variant over all seeds that have finished."""

    name: str
    note: str
    axis_value: float | None
    """Its value of the study's axis."""
    diverged: int
    """Seeds with which training diverged; nothing below counts them."""
    accuracy: dict[str, Estimate]
    """By set of images; empty when no seed was trained to the end."""
    parameters: int | None
    seconds: Estimate | None
    """Of training."""
    microseconds_per_image: float | None
    """The median over seeds, of images taken by the thousand."""


@dataclass(frozen=True)
class Comparison:
    """A variant beside the base variant, on one set of test images."""

    variant: str
    data: str
    verdict: Verdict
    seeds: int
    """With which both were trained."""
    difference: float | None = None
    """Accuracy of the variant less that of the base, from -1 to 1; None when not compared."""
    low: float | None = None
    """Lower end of its 95 % interval, for new seeds and new images, not corrected."""
    high: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    """For the number of comparisons in the study, by Holm's method; it decides the verdict."""
    degrees_of_freedom: float | None = None


@dataclass(frozen=True)
class StudyResults:
    """The results of a study."""

    name: str
    title: str
    question: str
    data: str
    test_sets: tuple[str, ...]
    """The sets of test images: of the data set itself, then those of ``test_on``."""
    test_images: dict[str, int]
    """How many images each of them has; 0 before a run has been measured on it."""
    seeds: tuple[int, ...]
    threads: int
    axis: str | None
    base_variant: str
    expected_runs: int
    runs: tuple[RunResult, ...]
    variants: tuple[VariantResult, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def sets(self) -> tuple[str, ...]:
        """All sets of images that accuracy is told of: validation, then the test sets."""
        return (VAL, *self.test_sets)

    def comparison(self, variant: str, data: str) -> Comparison | None:
        """Return how a variant compares with the base; None for the base itself."""
        found = (c for c in self.comparisons if (c.variant, c.data) == (variant, data))
        return next(found, None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dataclasses.asdict(self)
