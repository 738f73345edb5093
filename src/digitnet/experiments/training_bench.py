"""How good a recipe is and how long it takes: several seeds, every one reported, none chosen.

    SEED's run folder   RECIPE-seedN, an ordinary run
    bench.json          the result: every seed, the summary, the machine

Guarantees:

- Seeds are trained one after another, each in a process of its own by the ordinary training path,
  so that every one of them pays for loading and compiling.
- A finished seed is not repeated and a broken one is continued; runs of other settings, or of
  another number of threads, are refused.
- The test images of a run are read once, after its training. Which of them were misread is part of
  the result, so that two results can be compared image by image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import Dataset
from digitnet.errors import DigitnetError, StoppedError, UsageError
from digitnet.experiments.arithmetic import (
    FORMULA,
    multiply_adds,
    product_peak,
    training_operations,
)
from digitnet.experiments.bench_results import (
    RESULT_FILE,
    SCHEMA_VERSION,
    misread,
    spread,
    target_reached,
)
from digitnet.experiments.study.local_engine import run_trials
from digitnet.experiments.study.trials import (
    Event,
    Listener,
    Trial,
    is_finished,
    outcome,
    phases,
)
from digitnet.files import hold_lock, make_folder, write_json
from digitnet.machine import environment, usable_cores
from digitnet.network.cnn import CNN
from digitnet.network.config import TrainConfig, differences
from digitnet.training.device import computes_bfloat16, resolve_device
from digitnet.training.loop import choose_images, refuse_other_hands
from digitnet.training.runs import Run
from digitnet.training.trained import trained_model

MOST_SEEDS = 1000
# Of a run's metrics, what its row holds.
_MEASURED = ("epochs", "test_accuracy", "test_loss", "misses", "val_accuracy")
_SUMMARISED = ("test_accuracy", "misses", "undisputed_accuracy", "val_accuracy", "seconds")


def seed_trials(config: TrainConfig, seeds: int, folder: Path) -> list[Trial]:
    """Return the trainings of a bench: the seed of ``config`` and those that follow it.

    Raises:
        UsageError: ``seeds`` is not from 1 to 1,000, or the recipe makes no reader of digits.
    """
    if not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(f"--seeds cannot be {seeds}; allowed: from 1 to {MOST_SEEDS:,}.")
    if config.is_stream:
        raise UsageError(
            f"--recipe cannot be {config.recipe!r}; allowed: recipes of networks that read single "
            "digits."
        )
    config = config.override(threads=config.threads or usable_cores())
    return [
        Trial(
            *(config.recipe, seed, config.override(seed=seed)),
            folder / f"{config.recipe}-seed{seed}",
        )
        for seed in range(config.seed, config.seed + seeds)
    ]


def run_seeds(
    trials: Sequence[Trial],
    folder: Path,
    *,
    target: float | None = None,
    device: str = "auto",
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_event: Listener = lambda _: None,
    on_message: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Train what is missing of a bench, and write its result.

    Args:
        trials: as of ``seed_trials``.
        folder: where the runs and ``bench.json`` are.
        target: a mean test accuracy that is to be reached, from 0 to 1.
        device: as for ``train``.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_event: called with everything that happens.
        on_message: called with a line of text while data are fetched.

    Returns:
        What ``bench.json`` holds.

    Raises:
        UsageError: an argument is not allowed, or the folder holds other runs.
        StoppedError: a signal came; the same call continues.
        DigitnetError: a seed could not be trained.
    """
    if target is not None and not 0 < target < 1:
        raise UsageError(f"--target cannot be {target:g}; allowed: between 0 and 1, such as 0.99.")
    config = trials[0].config
    where: dict[str, Any] = {"data_dir": data_dir, "offline": offline}
    dataset = load_dataset(config.data, crops=config.model.crops, progress=on_message, **where)
    # An impossible network or split is an error before anything is trained.
    CNN(config.override(num_classes=len(dataset.class_names)).model)
    refuse_other_hands(config, dataset.class_names)
    images = len(choose_images(config, dataset)[0])
    if config.epochs * images <= config.batch_size:
        raise UsageError(
            f"--batch-size {config.batch_size:,} makes one step of all images; how long it takes "
            "cannot be told from starting. Take a smaller one, or more --epochs."
        )
    place = resolve_device(device)
    with hold_lock(make_folder(folder)):
        for trial in trials:
            _refuse_other(trial, dataset)
        peaks = [_peaks(config, place)]
        for trial in [each for each in trials if not is_finished(each)]:
            _train(trial, on_event, device=device, **where)
        peaks.append(_peaks(config, place))
        result = {
            "schema_version": SCHEMA_VERSION,
            "kind": "train",
            "recipe": config.recipe,
            "settings": {k: v for k, v in config.as_dict().items() if k not in ("recipe", "seed")},
            "device": place.type,
            "gpu": torch.cuda.get_device_name(place) if place.type == "cuda" else None,
            "threads": config.threads,
            "data_sha256": dataset.sha256,
            "test_images": len(dataset.test_images),
            **_figures(trials, images, {n: max(p[n] for p in peaks) for n in peaks[0]}, target),
            "environment": environment(),
        }
        write_json(folder / RESULT_FILE, result)
    return result


def _refuse_other(trial: Trial, dataset: Dataset) -> None:
    """Refuse a run that stands where a trial's would, but is of other settings or data."""
    if not (trial.folder / "config.json").is_file():
        return
    run = Run(trial.folder)
    known = {"data": dataset.name, "num_classes": len(dataset.class_names)}
    saved, wanted = run.config.flat(), trial.config.flat() | known
    if differing := differences(saved | run.data_sha256, wanted | dataset.sha256):
        raise UsageError(
            f"{run.path} is of another bench: {differing}. Name another folder with --out."
        )


def _train(trial: Trial, on_event: Listener, **options: Any) -> None:
    """Train and measure a seed in a process of its own.

    Raises:
        StoppedError: a signal came.
        DigitnetError: it failed.
    """
    failed: list[Event] = []

    def listen(event: Event) -> None:
        if event.kind == "failed":
            failed.append(event)
        on_event(event)

    try:
        run_trials([trial], processes=1, on_event=listen, **options)
    except StoppedError as error:
        raise StoppedError(
            f"Stopped at {trial}. Nothing is lost; the same command continues.",
            error.exit_code - 128,
        ) from error
    if failed:
        raise DigitnetError(
            f"{trial} could not be trained: {failed[0].message} The same command tries again."
        )


def _peaks(config: TrainConfig, device: torch.device) -> dict[str, float]:
    """Return the peak of matrix products in each kind of number that training computes in."""
    kinds = [torch.float32]
    if config.bfloat16 and computes_bfloat16(device):
        kinds.append(torch.bfloat16)
    return {
        str(kind).removeprefix("torch."): product_peak(config.threads, kind, device)
        for kind in kinds
    }


def _figures(
    trials: Sequence[Trial], images: int, peaks: dict[str, float], target: float | None
) -> dict[str, Any]:
    """Return the figures of a bench whose trials are finished."""
    trained = [each for each in trials if (outcome(each) or {}).get("outcome") == "trained"]
    if not trained:
        raise DigitnetError("Training diverged with every seed; there is nothing to report.")
    # Of the kind of number that most of the arithmetic is done in.
    peak = peaks.get("bfloat16", peaks["float32"])
    network, about = trained_model(Run(trained[0].folder))[0], trained[0].config
    drawn = about.hands + about.found + about.non_digits + about.signs
    images = round(images * (1 + drawn))
    adds = multiply_adds(network.train())
    rows = [_row(trial, adds, images, peak) for trial in trained]
    told = [name for name in _SUMMARISED if rows[0][name] is not None]
    return {
        "parameters": network.num_parameters,
        "arithmetic": {
            "multiply_adds": adds,
            "images_per_epoch": images,
            "formula": FORMULA,
            "pflop": spread([row["pflop"] for row in rows])["mean"],
            "peak_gflops": peaks,
            "share_of_peak": spread([row["share_of_peak"] for row in rows])["mean"],
        },
        "runs": rows,
        "diverged": [trial.seed for trial in trials if trial not in trained],
        "summary": {name: spread([row[name] for row in rows]) for name in told},
        "target": target_reached([row["test_accuracy"] for row in rows], target),
    }


def _row(trial: Trial, adds: int, images: int, peak: float) -> dict[str, Any]:
    """Return what is told of one seed."""
    run, spent = Run(trial.folder), phases(trial)
    metrics = run.metrics
    test, undisputed = metrics["test"], metrics["test"]["undisputed"] or {}
    # A run that was continued has the seconds of all its steps in its history alone, which counts
    # validation with them.
    seconds = metrics["seconds"] if spent["resumed"] else spent["seconds"]["training"]
    operations = training_operations(adds, images * metrics["epochs"])
    return {
        "seed": trial.seed,
        "seconds": seconds,
        "resumed": spent["resumed"],
        "phases": spent["seconds"],
        **{name: metrics[name] for name in _MEASURED},
        **{f"undisputed_{name}": undisputed.get(name) for name in ("accuracy", "misses")},
        "expected_calibration_error": test["expected_calibration_error"],
        "pflop": operations / 1e15,
        "share_of_peak": operations / seconds / 1e9 / peak,
        "misread": misread(run.predictions),
    }
