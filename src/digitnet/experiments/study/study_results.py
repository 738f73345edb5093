"""The results of a study: plain values that do not change, and how people read them."""

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
        pairs = {(each.variant, each.data): each for each in self.comparisons}
        return pairs.get((variant, data))

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dataclasses.asdict(self)


# ---- in words and numbers as people read them

TITLES = {
    VAL: "Validation",
    "mnist": "MNIST",
    "sample": "sample",
    "usps": "USPS",
    "digits8x8": "8×8 digits",
    "fashion_mnist": "Fashion-MNIST",
    "kmnist": "KMNIST",
    "emnist_digits": "EMNIST digits",
    "emnist_letters": "EMNIST letters",
    "qmnist": "QMNIST",
}


def set_title(name: str) -> str:
    """Return how a set of images is called."""
    return TITLES.get(name, name)


def spread(estimate: Estimate | None) -> str:
    """Return mean and standard deviation of an accuracy, in percent: "98.71 ± 0.05"."""
    if estimate is None:
        return "–"
    mean = f"{100 * estimate.mean:.2f}"
    return mean if estimate.count < 2 else f"{mean} ± {100 * estimate.sd:.2f}"


def interval(estimate: Estimate | None) -> str:
    """Return the interval of an accuracy, in percent: "98.59 – 98.83"."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return "–"
    return f"{100 * estimate.low:.2f} – {100 * estimate.high:.2f}"


def signed_points(share: float | None) -> str:
    """Return a difference of accuracies in percentage points, with its sign: "+0.21"."""
    return "–" if share is None else f"{100 * share:+.2f}".replace("-", "−")


def p_value(p: float | None) -> str:
    """Return a p-value as people read it."""
    if p is None:
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def verdict(comparison: Comparison | None, variant: VariantResult) -> str:
    """Return the verdict on a variant in plain words; of the base, that it is the base."""
    if variant.diverged:
        runs = variant.diverged + next((each.count for each in variant.accuracy.values()), 0)
        return "diverged" if not variant.accuracy else f"diverged ({variant.diverged} of {runs})"
    return "the base" if comparison is None else comparison.verdict


def headline(results: StudyResults) -> str:
    """Return the answer in a sentence or two, from the verdicts on the study's own test images."""
    base = results.base_variant
    openings = {
        "better": f"Better than {base}",
        "worse": f"Worse than {base}",
        "no difference shown": f"No difference from {base} shown",
        "diverged": "Diverged, and so not compared",
    }
    groups: dict[str, list[str]] = {kind: [] for kind in openings}
    for variant in results.variants:
        comparison = results.comparison(variant.name, results.data)
        if comparison and comparison.verdict in groups:
            groups[comparison.verdict].append(variant.name)
        if variant.diverged:
            groups["diverged"].append(variant.name)
    parts = [f"{openings[kind]}: {', '.join(names)}." for kind, names in groups.items() if names]
    return " ".join(parts) or "There is nothing to compare yet."


def missing(results: StudyResults) -> str:
    """Return a sentence about runs that are not finished, or nothing."""
    unfinished = results.expected_runs - len(results.runs)
    if not unfinished:
        return ""
    return (
        f"{unfinished} of {results.expected_runs} runs are not finished; these results are those "
        "of the others."
    )
