"""From run folders to results.

Guarantees:

- Only finished trials are read, and of them only files; nothing is trained, loaded or measured.
- The same folders give the same results.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.experiments.study.definition import Study, Variant
from digitnet.experiments.study.study_results import (
    VAL,
    Comparison,
    Estimate,
    RunResult,
    StudyResults,
    VariantResult,
    Verdict,
)
from digitnet.experiments.study.trials import Trial, outcome
from digitnet.training.runs import Epoch, Predictions, Run, read_predictions
from digitnet.training.statistics import crossed_difference, holm, mean_interval, summarise

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Read:
    """A finished trial as it was read."""

    result: RunResult
    history: tuple[Epoch, ...]
    right: Mapping[str, NDArray[np.bool_]]
    """By set of test images, whether each was read correctly."""
    origins: Mapping[str, str]
    """By set of test images, a hash of them, as far as it is recorded, and of their labels."""


@dataclass(frozen=True)
class StudyMaterial:
    """Everything that tables, figures and page are made of."""

    study: Study
    results: StudyResults
    histories: dict[str, list[tuple[Epoch, ...]]]
    """By variant, of each seed that was trained to the end."""


def gather(study: Study, trials: Sequence[Trial], all_images: int) -> StudyMaterial:
    """Read the finished trials of a study and work out its results.

    Args:
        study: the study.
        trials: all its trials; those that are not finished are left out.
        all_images: how many images a variant trains on that does not set ``train_images``.

    Raises:
        InputError: the run folders contradict each other.
    """
    sets = (study.data, *study.test_on)
    told = [(trial, outcome(trial)) for trial in trials]
    read = [_read(trial, ended, study.data) for trial, ended in told if ended]
    for name in sets:
        _refuse_other_images(read, name)
    results = StudyResults(
        name=study.name,
        title=study.title,
        question=study.question,
        data=study.data,
        test_sets=sets,
        test_images={name: _count(read, name) for name in sets},
        seeds=study.seeds,
        threads=trials[0].config.threads,
        axis=study.axis,
        base_variant=study.base_variant,
        expected_runs=len(trials),
        runs=tuple(each.result for each in read),
        variants=tuple(_variant(study, v, read, all_images) for v in study.variants),
        comparisons=tuple(_comparisons(study, sets, read)),
    )
    histories = {
        variant.name: [each.history for each in _of(read, variant.name)]
        for variant in study.variants
    }
    return StudyMaterial(study, results, histories)


def _read(trial: Trial, ended: Mapping[str, Any], data: str) -> Read:
    folder = f"{trial.folder.parent.name}/{trial.folder.name}"
    if ended["outcome"] == "diverged":
        return Read(RunResult(trial.variant, trial.seed, folder, "diverged", {}), (), {}, {})
    run = Run(trial.folder)
    files = {data: trial.folder / "predictions.csv"}
    files |= {name: trial.predictions_file(name) for name in trial.test_on}
    hashes = {name: ended["tests"][name].get("data_sha256") for name in trial.test_on}
    predictions = {name: _predictions(file) for name, file in files.items()}
    right = {name: each.predicted == each.label for name, each in predictions.items()}
    origins = {
        name: _origin(each, hashes.get(name, run.data_sha256 if name == data else None))
        for name, each in predictions.items()
    }
    metrics = run.metrics
    try:
        result = RunResult(
            trial.variant,
            trial.seed,
            folder,
            "trained",
            {
                VAL: float(metrics["val_accuracy"]),
                **{name: float(each.mean()) for name, each in right.items()},
            },
            val_loss=float(metrics["val_loss"]),
            parameters=int(metrics["parameters"]),
            epochs=int(metrics["epochs"]),
            seconds=float(metrics["seconds"]),
            microseconds_per_image=float(metrics["microseconds_per_image"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{trial.folder}/metrics.json has no usable {error}. Remove the folder, and the same "
            "command trains it again."
        ) from error
    return Read(result, tuple(run.history), right, origins)


def _predictions(file: Path) -> Predictions:
    told = read_predictions(file)
    if not len(told.label):
        raise InputError(f"{file} holds no predictions.")
    return told


def _origin(told: Predictions, data_sha256: Mapping[str, str] | None) -> str:
    recorded = json.dumps(data_sha256, sort_keys=True).encode()
    return hashlib.sha256(recorded + told.label.tobytes()).hexdigest()


def _of(read: Sequence[Read], variant: str) -> list[Read]:
    """Return what was trained to the end of a variant."""
    return [r for r in read if r.result.variant == variant and r.result.outcome == "trained"]


def _refuse_other_images(read: Sequence[Read], data: str) -> None:
    """Refuse to compare runs in pairs that were not measured on the same images."""
    found = {each.origins[data]: each.result for each in read if data in each.origins}
    if len(found) > 1:
        first, second = list(found.values())[:2]
        raise InputError(
            f"{first.folder} and {second.folder} were not measured on the same images of {data}, "
            "which have changed meanwhile. Run the study in a new folder."
        )


def _count(read: Sequence[Read], data: str) -> int:
    return next((len(each.right[data]) for each in read if data in each.right), 0)


def _variant(
    study: Study, variant: Variant, read: Sequence[Read], all_images: int
) -> VariantResult:
    own = _of(read, variant.name)
    lost = [r for r in read if r.result.variant == variant.name and r not in own]
    sets = own[0].result.accuracy if own else ()
    return VariantResult(
        name=variant.name,
        note=variant.note,
        axis_value=_axis_value(study, variant, all_images),
        diverged=len(lost),
        accuracy={n: _estimate([r.result.accuracy[n] for r in own], most=1.0) for n in sets},
        parameters=own[0].result.parameters if own else None,
        seconds=_estimate([r.result.seconds or 0.0 for r in own]) if own else None,
        microseconds_per_image=(
            median(r.result.microseconds_per_image or 0.0 for r in own) if own else None
        ),
    )


def _axis_value(study: Study, variant: Variant, all_images: int) -> float | None:
    if study.axis is None:
        return None
    value = float(variant.config.flat()[study.axis])
    # 0 is a way to say all, and not a place on an axis.
    return float(all_images) if study.axis == "train_images" and not value else value


def _estimate(values: Sequence[float], most: float = float("inf")) -> Estimate:
    """Summarise numbers that lie between 0 and ``most``."""
    found = summarise(values)
    low, high = mean_interval(values) if found.count > 1 else (None, None)
    return Estimate(
        found.count,
        found.mean,
        found.sd,
        None if low is None else max(low, 0.0),
        None if high is None else min(high, most),
    )


def _comparisons(study: Study, sets: Sequence[str], read: Sequence[Read]) -> list[Comparison]:
    """Compare every variant with the base, and correct for how many comparisons there are."""
    found = [
        _compare(study, variant.name, data, read)
        for variant in study.variants
        if variant.name != study.base_variant
        for data in sets
    ]
    compared = [each for each in found if each["p"] is not None]
    for each, p in zip(compared, holm([each["p"] for each in compared]), strict=True):
        each["p_corrected"] = p
    return [Comparison(**each, verdict=_verdict(each)) for each in found]


def _compare(study: Study, variant: str, data: str, read: Sequence[Read]) -> dict[str, Any]:
    base, other = (
        {each.result.seed: each.right[data] for each in _of(read, name)}
        for name in (study.base_variant, variant)
    )
    seeds = sorted(base.keys() & other.keys())
    values: dict[str, Any] = {"variant": variant, "data": data, "seeds": len(seeds), "p": None}
    # Of a variant that diverges now and then, only the lucky seeds would be compared.
    diverged = any(
        each.result.outcome == "diverged"
        for each in read
        if each.result.variant in (variant, study.base_variant)
    )
    if len(seeds) < 2 or diverged:
        return values
    told = crossed_difference(
        np.stack([base[seed] for seed in seeds]), np.stack([other[seed] for seed in seeds])
    )
    return values | {
        "difference": told.mean,
        "low": told.low,
        "high": told.high,
        "p": told.p,
        # JSON knows no infinity; so many are as good as that.
        "degrees_of_freedom": min(told.degrees_of_freedom, 1e9),
    }


def _verdict(values: Mapping[str, Any]) -> Verdict:
    if values["p"] is None:
        return "not compared"
    if values["p_corrected"] >= SIGNIFICANT:
        return "no difference shown"
    return "better" if values["difference"] > 0 else "worse"
