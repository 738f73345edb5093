"""The results of a study: how they follow from run folders, and the tables that show them.

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
from rich.markup import escape
from rich.table import Table

from digitnet.errors import InputError
from digitnet.experiments.study.definition import Study, Variant
from digitnet.experiments.study.trials import Trial, outcome
from digitnet.training.runs import Epoch, Run, read_predictions
from digitnet.training.statistics import crossed_difference, holm, mean_interval, summarise

SIGNIFICANT = 0.05
# Of a study, what its results repeat.
_TAKEN_OVER = ("name", "title", "question", "data", "seeds", "axis", "base_variant")
# Of a run's metrics, what its result holds.
_MEASURED = ("val_loss", "parameters", "epochs", "seconds", "microseconds_per_image")

Verdict = Literal["better", "worse", "no difference shown", "not compared"]

_VERDICT = "Verdict"
_SPREAD = ("mean", "sd", "low", "high")
_COMPARED = ("difference", "low", "high", "p", "p_corrected", "verdict")

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

    @property
    def ends(self) -> tuple[float, float]:
        """The interval, or twice the mean where there is none."""
        return (self.mean,) * 2 if self.low is None or self.high is None else (self.low, self.high)


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

    @property
    def trained(self) -> int:
        """How many seeds were trained to the end."""
        return next((each.count for each in self.accuracy.values()), 0)


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
        pair = (variant, data)
        return next((each for each in self.comparisons if (each.variant, each.data) == pair), None)

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
    finished = [_read(trial, ended) for trial in trials if (ended := outcome(trial))]
    sets = (study.data, *study.test_on)
    results = StudyResults(
        **{name: getattr(study, name) for name in _TAKEN_OVER},
        test_sets=sets,
        test_images={name: _count_images(finished, name) for name in sets},
        threads=trials[0].config.threads,
        expected_runs=len(trials),
        runs=tuple(each.result for each in finished),
        variants=tuple(
            _variant(variant, _axis_value(study.axis, variant, all_images), finished)
            for variant in study.variants
        ),
        comparisons=_comparisons(study, finished),
    )
    histories = {
        variant.name: [each.history for each in _trained(finished, variant.name)]
        for variant in study.variants
    }
    return StudyMaterial(study, results, histories)


def _read(trial: Trial, ended: Mapping[str, Any]) -> FinishedTrial:
    folder = f"{trial.folder.parent.name}/{trial.folder.name}"
    if ended["outcome"] == "diverged":
        return FinishedTrial(RunResult(trial.variant, trial.seed, folder, "diverged", {}))
    run, own = Run(trial.folder), trial.config.data
    predictions = {own: run.predictions}
    predictions |= {name: read_predictions(trial.predictions_file(name)) for name in trial.test_on}
    right = {name: each.predicted == each.label for name, each in predictions.items()}
    hashes = {own: run.data_sha256}
    hashes |= {name: ended["tests"][name].get("data_sha256") for name in trial.test_on}
    origin = {name: (hashes[name], each.label.tobytes()) for name, each in predictions.items()}
    accuracy = {VAL: run.metrics["val_accuracy"]}
    accuracy |= {name: float(each.mean()) for name, each in right.items()}
    measured = {name: run.metrics.get(name) for name in _MEASURED}
    result = RunResult(trial.variant, trial.seed, folder, "trained", accuracy, **measured)
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
    wanted = variant, "trained"
    return [each for each in finished if (each.result.variant, each.result.outcome) == wanted]


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


def _comparisons(study: Study, finished: Sequence[FinishedTrial]) -> tuple[Comparison, ...]:
    """Compare every variant with the base, and correct for the number of comparisons."""
    raw = [
        _compare(study.base_variant, variant.name, data, finished)
        for variant in study.variants
        if variant.name != study.base_variant
        for data in (study.data, *study.test_on)
    ]
    corrected = iter(holm([each.p for each in raw if each.p is not None]))
    return tuple(each if each.p is None else _judged(each, next(corrected)) for each in raw)


def _compare(base: str, variant: str, data: str, finished: Sequence[FinishedTrial]) -> Comparison:
    first, second = (
        {each.result.seed: each.right[data] for each in _trained(finished, name)}
        for name in (base, variant)
    )
    seeds = sorted(first.keys() & second.keys())
    comparison = Comparison(variant, data, "not compared", len(seeds))
    # Of a variant that sometimes diverges, only the lucky seeds would be compared.
    diverged = {each.result.variant for each in finished if each.result.outcome == "diverged"}
    if len(seeds) < 2 or diverged & {base, variant}:
        return comparison
    tables = [np.stack([right[seed] for seed in seeds]) for right in (first, second)]
    found = crossed_difference(tables[0], tables[1])
    return dataclasses.replace(
        comparison,
        difference=found.mean,
        low=found.low,
        high=found.high,
        p=found.p,
        # JSON has no infinity; this many are as good.
        degrees_of_freedom=min(found.degrees_of_freedom, 1e9),
    )


def _judged(comparison: Comparison, p_corrected: float) -> Comparison:
    assert comparison.difference is not None
    better: Verdict = "better" if comparison.difference > 0 else "worse"
    verdict: Verdict = better if p_corrected < SIGNIFICANT else "no difference shown"
    return dataclasses.replace(comparison, p_corrected=p_corrected, verdict=verdict)


# ---- in words and tables

TITLES = {
    VAL: "Validation",
    "mnist": "MNIST",
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
    answer = ""
    for kind, opening in openings.items():
        names = [
            variant.name
            for variant in results.variants
            if verdict(results.comparison(variant.name, results.data), variant).startswith(kind)
        ]
        answer += f"{opening}: {', '.join(names)}. " if names else ""
    return answer.rstrip() or "There is nothing to compare yet."


Rows = tuple[list[str], list[list[str]]]
"""The head of a table and its rows, as people read them."""


def accuracy_rows(results: StudyResults) -> Rows:
    """Return the accuracy of each variant, mean ± standard deviation over seeds, in percent."""
    rows = []
    for variant in results.variants:
        diverged = f", {variant.diverged} diverged" if variant.diverged else ""
        style = "{:.2f} ± {:.2f}" if variant.trained > 1 else "{:.2f}"
        accuracies = [
            _cell(style, variant.accuracy.get(name), "mean", "sd", times=100)
            for name in results.sets
        ]
        rows.append([variant.name, f"{variant.trained}{diverged}", *accuracies])
    return ["Variant", "Seeds", *map(set_title, results.sets)], rows


def comparison_rows(results: StudyResults, data: str) -> Rows:
    """Return each variant beside the base on one set of test images, in percentage points."""
    accuracy = f"{set_title(data)} accuracy, 95 % (%)"
    head = ["Variant", accuracy, "Difference", "95 %", "p, corrected", _VERDICT]
    rows = []
    for variant in results.variants:
        found = results.comparison(variant.name, data)
        interval = _cell("{:.2f} – {:.2f}", variant.accuracy.get(data), "low", "high", times=100)
        difference = _cell("{:+.2f}", found, "difference", times=100)
        ends = _cell("{:+.2f} to {:+.2f}", found, "low", "high", times=100)
        p = _cell("{:.3f}", found, "p_corrected")
        if found and found.p_corrected is not None and found.p_corrected < 0.001:
            p = "<0.001"
        compared = [difference, ends, p] if found else ["", "", ""]
        rows.append([variant.name, interval, *compared, verdict(found, variant)])
    return head, rows


def cost_rows(results: StudyResults) -> Rows:
    """Return what each variant costs: parameters, and times as they were measured."""
    # Tenths where whole seconds would say little.
    brief = any(each.seconds and each.seconds.mean < 10 for each in results.variants)
    style = "{:.1f} ± {:.1f}" if brief else "{:.0f} ± {:.0f}"
    return ["Variant", "Parameters", "Training (s)", "µs an image"], [
        [
            variant.name,
            _cell("{:,}", variant, "parameters"),
            # Of one training there is no spread.
            _cell(style, variant.seconds, "mean", "sd")
            if variant.trained > 1
            else _cell(style.partition(" ±")[0], variant.seconds, "mean"),
            _cell("{:.0f}", variant, "microseconds_per_image"),
        ]
        for variant in results.variants
    ]


def _cell(style: str, found: object, *names: str, times: int = 1) -> str:
    """Return numbers of a result in a style, or a dash where there are none."""
    values = _values(found, names)
    if None in values:
        return "–"
    return style.format(*(times * value for value in values)).replace("-", "−")


def _values(found: object, names: Sequence[str]) -> list[Any]:
    return [getattr(found, name, None) for name in names]


def verdict(comparison: Comparison | None, variant: VariantResult) -> str:
    """Return the verdict on a variant in plain words; of the base, that it is the base."""
    if variant.diverged:
        runs = variant.diverged + variant.trained
        return f"diverged ({variant.diverged} of {runs})" if variant.trained else "diverged"
    return "the base" if comparison is None else comparison.verdict


def terminal_table(rows: Rows) -> Table:
    """Return such a table for a terminal."""
    head, cells = rows
    table = Table(box=None, pad_edge=False)
    for name in head:
        side: Any = "left" if name in {head[0], _VERDICT} else "right"
        table.add_column(escape(name), justify=side, no_wrap=True, header_style="bold")
    for row in cells:
        table.add_row(*map(escape, row))
    return table


def csv_rows(results: StudyResults) -> tuple[list[str], list[list[Any]]]:
    """Return the header and one row a variant; accuracies are fractions, nothing is rounded."""
    header = ["variant", "seeds", "diverged", "parameters", "axis_value"]
    header += [f"{name}_{part}" for name in results.sets for part in ("accuracy", *_SPREAD[1:])]
    header += ["seconds", "seconds_sd", "microseconds_per_image"]
    header += [f"{name}_vs_base_{part}" for name in results.test_sets for part in _COMPARED]
    rows = []
    for variant in results.variants:
        row = _values(variant, ("name", "trained", "diverged", "parameters", "axis_value"))
        for name in results.sets:
            row += _values(variant.accuracy.get(name), _SPREAD)
        row += [*_values(variant.seconds, _SPREAD[:2]), variant.microseconds_per_image]
        for name in results.test_sets:
            row += _values(results.comparison(variant.name, name), _COMPARED)
        rows.append(row)
    return header, rows
