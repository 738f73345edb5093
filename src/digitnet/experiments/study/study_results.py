"""The results of a study: how they follow from run folders, and how people read them.

Guarantees:

- Results are plain values that do not change; the same folders give the same results.
- Only files of finished trials are read; nothing is trained, loaded or measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.experiments.study.definition import Study, Variant
from digitnet.experiments.study.trials import Trial, outcome
from digitnet.training.runs import Epoch, Run, read_predictions
from digitnet.training.statistics import crossed_difference, holm, mean_interval, summarise

SIGNIFICANT = 0.05
# Of a run's metrics, what its result holds.
_MEASURED = ("val_loss", "parameters", "epochs", "seconds", "microseconds_per_image")

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


# ---- from run folders


@dataclass(frozen=True)
class FinishedTrial:
    """A finished trial as it was read from its folder."""

    result: RunResult
    history: tuple[Epoch, ...] = ()
    right: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """By data set, whether each test image was read correctly."""
    origin: Mapping[str, tuple[object, bytes]] = field(default_factory=dict)
    """By data set, what tells its images from others: recorded hashes, if any, and the labels."""


@dataclass(frozen=True)
class StudyMaterial:
    """Everything that tables, figures and page are made of."""

    study: Study
    results: StudyResults
    histories: dict[str, list[tuple[Epoch, ...]]]
    """By variant, of each seed that was trained to the end."""


def gather(study: Study, trials: Sequence[Trial], all_images: int) -> StudyMaterial:
    """Read the finished trials of a study and compute its results.

    Args:
        study: the study.
        trials: all its trials; those that are not finished are left out.
        all_images: how many images a variant trains on that does not set ``train_images``.

    Raises:
        InputError: a file is damaged, or runs were not measured on the same images.
    """
    sets = (study.data, *study.test_on)
    endings = [(trial, outcome(trial)) for trial in trials]
    finished = [_read(trial, ending, study.data) for trial, ending in endings if ending]
    results = StudyResults(
        name=study.name,
        title=study.title,
        question=study.question,
        data=study.data,
        test_sets=sets,
        test_images={name: _count_images(finished, name) for name in sets},
        seeds=study.seeds,
        threads=trials[0].config.threads,
        axis=study.axis,
        base_variant=study.base_variant,
        expected_runs=len(trials),
        runs=tuple(each.result for each in finished),
        variants=tuple(
            _variant(variant, _axis_value(study.axis, variant, all_images), finished)
            for variant in study.variants
        ),
        comparisons=_comparisons(study, sets, finished),
    )
    histories = {
        variant.name: [each.history for each in _trained(finished, variant.name)]
        for variant in study.variants
    }
    return StudyMaterial(study, results, histories)


def _read(trial: Trial, ending: Mapping[str, Any], data: str) -> FinishedTrial:
    folder = f"{trial.folder.parent.name}/{trial.folder.name}"
    if ending["outcome"] == "diverged":
        return FinishedTrial(RunResult(trial.variant, trial.seed, folder, "diverged", {}))
    run = Run(trial.folder)
    files = {data: trial.folder / "predictions.csv"}
    files |= {name: trial.predictions_file(name) for name in trial.test_on}
    hashes = {data: run.data_sha256}
    hashes |= {name: ending["tests"][name].get("data_sha256") for name in trial.test_on}
    predictions = {name: read_predictions(file) for name, file in files.items()}
    right = {name: each.predicted == each.label for name, each in predictions.items()}
    if not all(map(len, right.values())):
        raise InputError(f"A file of predictions in {trial.folder} is empty. Remove the folder.")
    metrics = run.metrics
    try:
        measured = {name: metrics[name] for name in ("val_accuracy", *_MEASURED)}
    except KeyError as error:
        raise InputError(
            f"{trial.folder}/metrics.json has no {error}. Remove the folder."
        ) from error
    accuracy = {VAL: measured.pop("val_accuracy")}
    accuracy |= {name: float(each.mean()) for name, each in right.items()}
    result = RunResult(trial.variant, trial.seed, folder, "trained", accuracy, **measured)
    origin = {name: (hashes[name], each.label.tobytes()) for name, each in predictions.items()}
    return FinishedTrial(result, tuple(run.history), right, origin)


def _count_images(finished: Sequence[FinishedTrial], data: str) -> int:
    """Return how many test images a data set has; 0 before any run was measured on it.

    Raises:
        InputError: runs that are to be compared image by image saw different images.
    """
    measured = [each for each in finished if data in each.origin]
    for each in measured:
        if each.origin[data] != measured[0].origin[data]:
            raise InputError(
                f"{measured[0].result.folder} and {each.result.folder} were not measured on the "
                f"same images of {data}, which has changed. Run the study in a new folder."
            )
    return len(measured[0].right[data]) if measured else 0


def _trained(finished: Sequence[FinishedTrial], variant: str) -> list[FinishedTrial]:
    return [
        each
        for each in finished
        if each.result.variant == variant and each.result.outcome == "trained"
    ]


def _variant(
    variant: Variant, axis_value: float | None, finished: Sequence[FinishedTrial]
) -> VariantResult:
    runs = [each.result for each in finished if each.result.variant == variant.name]
    trained = [run for run in runs if run.outcome == "trained"]
    times = [run.microseconds_per_image for run in trained if run.microseconds_per_image]
    return VariantResult(
        name=variant.name,
        note=variant.note,
        axis_value=axis_value,
        diverged=len(runs) - len(trained),
        accuracy={
            name: _estimate([run.accuracy[name] for run in trained], most=1.0)
            for name in (trained[0].accuracy if trained else ())
        },
        parameters=trained[0].parameters if trained else None,
        seconds=_estimate([run.seconds or 0.0 for run in trained]) if trained else None,
        microseconds_per_image=median(times) if times else None,
    )


def _axis_value(axis: str | None, variant: Variant, all_images: int) -> float | None:
    if axis is None:
        return None
    value = float(variant.config.flat()[axis])
    # 0 images stands for all of them.
    return float(all_images) if axis == "train_images" and not value else value


def _estimate(values: Sequence[float], most: float = math.inf) -> Estimate:
    """Summarise numbers, at least one, that lie between 0 and ``most``."""
    summary = summarise(values)
    if summary.count < 2:
        return Estimate(summary.count, summary.mean, summary.sd, None, None)
    low, high = mean_interval(values)
    return Estimate(summary.count, summary.mean, summary.sd, max(low, 0.0), min(high, most))


def _comparisons(
    study: Study, sets: Sequence[str], finished: Sequence[FinishedTrial]
) -> tuple[Comparison, ...]:
    """Compare every variant with the base, and correct for the number of comparisons."""
    raw = [
        _compare(study.base_variant, variant.name, data, finished)
        for variant in study.variants
        if variant.name != study.base_variant
        for data in sets
    ]
    corrected = iter(holm([each.p for each in raw if each.p is not None]))
    return tuple(each if each.p is None else _judged(each, next(corrected)) for each in raw)


def _compare(base: str, variant: str, data: str, finished: Sequence[FinishedTrial]) -> Comparison:
    own = [each for each in finished if each.result.variant in (base, variant)]
    right = {
        name: {e.result.seed: e.right[data] for e in _trained(own, name)}
        for name in (base, variant)
    }
    seeds = sorted(right[base].keys() & right[variant].keys())
    comparison = Comparison(variant, data, "not compared", len(seeds))
    # Of a variant that sometimes diverges, only the lucky seeds would be compared.
    diverged = any(each.result.outcome == "diverged" for each in own)
    if len(seeds) < 2 or diverged:
        return comparison
    first, second = (np.stack([right[name][seed] for seed in seeds]) for name in (base, variant))
    difference = crossed_difference(first, second)
    return dataclasses.replace(
        comparison,
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
        p=difference.p,
        # JSON has no infinity; this many are as good.
        degrees_of_freedom=min(difference.degrees_of_freedom, 1e9),
    )


def _judged(comparison: Comparison, p_corrected: float) -> Comparison:
    assert comparison.difference is not None
    verdict: Verdict = "better" if comparison.difference > 0 else "worse"
    if p_corrected >= SIGNIFICANT:
        verdict = "no difference shown"
    return dataclasses.replace(comparison, p_corrected=p_corrected, verdict=verdict)


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
