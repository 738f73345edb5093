"""From a trained network to a model file: a temperature, a threshold to refuse by, the export.

Guarantees: temperature and threshold are fitted to validation images and nothing else, the
threshold so that few are refused of each digit from each source; neither changes which class wins.
A file is written only if ONNX Runtime gives torch's answers.

The temperature is that of Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural
networks" (ICML 2017): logits are divided by the one number that makes the labels most likely. A few
images that are all read correctly would call for boundless confidence, so one more miss and one
more hit than were seen are counted, as in J. Platt, "Probabilistic outputs for support vector
machines" (1999).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import DIGIT_NAMES, Dataset
from digitnet.errors import DataUnavailableError, InputError, IntegrityError, UsageError
from digitnet.files import hold_lock, write_atomic
from digitnet.network.canonical import Canonical
from digitnet.network.cnn import CNN, to_float
from digitnet.network.config import TrainConfig
from digitnet.network.ensemble import Ensemble, answer
from digitnet.network.export import Calibration, build
from digitnet.network.finder import Finder
from digitnet.network.line_export import build_lines
from digitnet.network.line_reader import LineReader
from digitnet.network.network_export import build_network
from digitnet.network.recipes import RECIPES
from digitnet.synthesis.hand_drawings import validation_digits
from digitnet.training.checkpoint import SHIPPED_FINDER, SHIPPED_MODEL, load_finder, read_model
from digitnet.training.ensemble_runs import Runs, is_ensemble, open_members
from digitnet.training.loop import choose_images
from digitnet.training.runs import Run, open_run
from digitnet.training.trained import (
    Options,
    Trained,
    open_trained,
    trained_finder,
    trained_lines,
)

# Share of real digits that the threshold refuses, in order to refuse as much else as it can.
REJECTED_DIGITS = 0.01
# With fewer validation images than this, those of an old task of the same classes are added.
ENOUGH_TO_CALIBRATE = 2000
# Of fewer images than this, the score of the strangest alone would decide.
ENOUGH_FOR_A_GROUP = 100
# Images uint8 (N, 28, 28), and their labels int64 (N,).
Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]
_COLDEST, _HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Exported:
    """What ``export_run`` made."""

    path: Path
    bytes: int
    largest_difference: float
    """Between torch and ONNX Runtime on golden inputs, relative to outputs larger than 1."""
    calibration: Calibration | None
    """What of it is in the file: of a network alone the temperature, of a line reader nothing."""


@dataclass(frozen=True)
class _Wanted:
    """What is to be in the file of a network that reads digits; see ``export_run``."""

    finder: Path | str | None = None
    half: bool = False
    network_only: bool = False

    @property
    def file_name(self) -> str:
        """Its name in the folder of the run."""
        return "network.onnx" if self.network_only else "model.onnx"


def export_run(
    run: Run | Runs,
    out: Path | str | None = None,
    *,
    finder: Path | str | None = None,
    half: bool = False,
    network_only: bool = False,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
) -> Exported:
    """Calibrate the network of a run on its validation images and write it as ONNX.

    A file holds a finder and a network that reads what it finds. The run of a finder is exported
    with the network that comes with digitnet, that of a line reader alone. An ensemble is exported
    as one network, calibrated as one: its temperature divides the logarithm of the mean of its
    members' probabilities.

    Such a file always begins with the canonical image. A network that was trained and evaluated
    without it (``canonical`` off) answers a little differently there than in its report. A network
    alone answers as in its report, but for the temperature: see ``network.network_export``.

    Args:
        run: the run folder; or the folder of an ensemble, or several runs that are to be one.
        out: the file; by default ``model.onnx`` in the folder, ``network.onnx`` of a network alone,
            or ``lines.onnx``.
        finder: the run of a finder, or its ``model.safetensors``; by default the one that comes
            with digitnet.
        half: keep the weights in half precision, in half the bytes, as a line reader's always are.
        network_only: write the network alone, for other programs: from 28×28 images to
            probabilities.
        data_dir: as for ``train``.
        offline: as for ``train``.

    Raises:
        InputError: the folder is not a run, or has no model yet.
        IntegrityError: the model file is damaged, ONNX Runtime gives other answers than torch, or
            the network is larger than a model file may be.
        UsageError: the data are not those of the run, another process works in the folder, runs
            cannot be one ensemble, or ``network_only`` is given with a finder.
    """
    if network_only and finder:
        raise UsageError("--network-only writes a file without a finder; leave out --finder.")
    options = Options(data_dir=data_dir, offline=offline)
    wanted = _Wanted(finder, half, network_only)
    if not isinstance(run, Run) and (is_ensemble(run) or not isinstance(run, str | Path)):
        return _export_ensemble(run, out, wanted, options)
    run = open_run(run)
    if run.config.is_stream and network_only:
        holds = "a finder" if run.config.pages else "a line reader"
        raise UsageError(
            f"The run {run.path} holds {holds}. --network-only is for the run of a network that "
            "reads digits; leave it out."
        )
    if run.config.is_stream and finder:
        holds = "a finder itself" if run.config.pages else "a line reader, which needs no finder"
        raise UsageError(
            f"The run {run.path} holds {holds}. Name with --finder another one than that "
            "of digitnet for the run of a network that reads digits."
        )
    with hold_lock(run.path):
        if run.config.lines:
            return _export_lines(run, trained_lines(run), out)
        if run.config.pages:
            return _export_finder(run, trained_finder(run), out, half)
        trained = open_trained(run, options)
        return _export_readers([trained], out or run.path / wanted.file_name, wanted, data_dir)


def export_trained(trained: Trained, *, data_dir: Path | str | None = None) -> Exported:
    """Do what ``export_run`` does by default; the caller holds the lock of the run."""
    run, config = trained.run, trained.config
    if config.lines:
        return _export_lines(run, trained.lines, None)
    if config.pages:
        return _export_finder(run, trained.finder, None, half=False)
    wanted = _Wanted()
    return _export_readers([trained], run.path / wanted.file_name, wanted, data_dir)


def export_members(
    folder: Path, members: Sequence[Trained], *, data_dir: Path | str | None = None
) -> Exported:
    """Do the same of an ensemble, whose networks are opened; the caller holds the lock of it."""
    wanted = _Wanted()
    return _export_readers(members, folder / wanted.file_name, wanted, data_dir)


def _export_ensemble(
    runs: Runs, out: Path | str | None, wanted: _Wanted, options: Options
) -> Exported:
    """Write the networks of several runs as one."""
    members = open_members(runs, options)
    if is_ensemble(runs):
        folder = Path(runs)
        with hold_lock(folder):
            out = out or folder / wanted.file_name
            return _export_readers(members, out, wanted, options.data_dir)
    if out is None:
        raise UsageError("Several runs have no folder of their own; name the file with --out.")
    return _export_readers(members, out, wanted, options.data_dir)


def _export_readers(
    members: Sequence[Trained], out: Path | str, wanted: _Wanted, data_dir: Path | str | None
) -> Exported:
    """Write one network that reads, or several as one."""
    first, networks = members[0], [each.model for each in members]
    model = networks[0] if len(networks) == 1 else Ensemble(networks).eval()
    sources = calibration_images(first, data_dir)
    # Calibrated on what it will see.
    before = model.canonical if wanted.network_only else Canonical()
    logits, scores = answers(model, np.concatenate([images for images, _ in sources]), before)
    labels = np.concatenate([labels for _, labels in sources])
    groups = groups_to_keep([labels for _, labels in sources])
    calibration = calibrated(logits, scores, labels, groups)
    about = {
        "class_names": json.dumps(list(first.dataset.class_names)),
        "recipe": first.config.recipe,
        "data": first.config.data,
        "seed": ", ".join(str(each.config.seed) for each in members),
        "crops": str(first.config.model.crops).lower(),
        "epochs": str(len(first.run.history)),
        "model_sha256": ", ".join(sorted(each.run.model_sha256 for each in members)),
    }
    if wanted.network_only:
        temperature = calibration.temperature
        alone = build_network(model, temperature, about, half=wanted.half)
        return _written(out, alone, Calibration(temperature))
    file, finds = _read_finder(wanted.finder)
    about["finder_sha256"] = _sha256(file)
    return _written(out, build(model, finds, calibration, about, half=wanted.half), calibration)


def _export_finder(run: Run, finder: Finder, out: Path | str | None, half: bool) -> Exported:
    """Write a finder with the network that comes with digitnet, calibrated as it comes."""
    model, said = read_model(SHIPPED_MODEL)
    record = json.loads(SHIPPED_MODEL.with_name("digitnet.json").read_text(encoding="utf-8"))
    values = record["temperature"], record["ood_threshold"], tuple(record["limits"])
    calibration = Calibration(*values)
    about = {
        "class_names": json.dumps(said["class_names"]),
        **{name: str(said[name]) for name in ("recipe", "data", "seed", "epochs")},
        "crops": str(model.config.crops).lower(),
        "model_sha256": _sha256(SHIPPED_MODEL),
        "finder_sha256": run.model_sha256,
    }
    built = build(model, finder, calibration, about, half=half)
    return _written(out or run.path / "model.onnx", built, calibration)


def _export_lines(run: Run, reader: LineReader, out: Path | str | None) -> Exported:
    """Write a line reader alone."""
    config = run.config
    about = {
        "recipe": config.recipe,
        "data": config.data,
        "seed": str(config.seed),
        "epochs": str(len(run.history)),
        "lines_sha256": run.model_sha256,
    }
    return _written(out or run.path / "lines.onnx", build_lines(reader, about), None)


def _written(
    path: Path | str, built: tuple[bytes, float], calibration: Calibration | None
) -> Exported:
    """Write the content of a file, and return it with how far it is from torch's answers."""
    content, difference = built
    write_atomic(Path(path), content)
    return Exported(Path(path), len(content), difference, calibration)


def _read_finder(place: Path | str | None) -> tuple[Path, Finder]:
    """Return the finder of a run or a file, None for that of digitnet, and its file."""
    if place is not None and Path(place).is_dir():
        run = open_run(place)
        return run.model_file, trained_finder(run)
    file = SHIPPED_FINDER if place is None else Path(place)
    return file, load_finder(file)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def export_or_note(
    trained: Trained, data_dir: Path | str | None, on_message: Callable[[str], None]
) -> None:
    """Do what ``export_trained`` does; a network that cannot be exported is a note, no failure."""
    try:
        export_trained(trained, data_dir=data_dir)
    except IntegrityError as error:
        on_message(f"No model.onnx: {error}")


def calibration_images(trained: Trained, data_dir: Path | str | None = None) -> list[Labelled]:
    """Return images and labels to calibrate with, by source: first those of the run's validation.

    Few of them would say little: of two hundred, hardly one is misread. Where the network was tuned
    and knows another task of the same classes, that task's images are added. A network that reads
    digits and refuses what is none is to accept those of other hands, so they are added too.
    """
    dataset = trained.dataset
    _, val = choose_images(trained.config, dataset)
    sources = [(dataset.train_images[val], dataset.train_labels[val])]
    missing = ENOUGH_TO_CALIBRATE - len(val)
    old = _old_task(trained.run, data_dir) if missing > 0 else None
    if old is not None and old.class_names == dataset.class_names:
        some = np.random.default_rng(0).permutation(set_aside(old))[:missing]
        sources.append((old.train_images[some], old.train_labels[some]))
    if trained.config.model.reject and dataset.class_names == DIGIT_NAMES:
        sources.append(validation_digits())
    return sources


def groups_to_keep(sources: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the group of each image, int64 (N,), of which only one in a hundred may be refused.

    The images of one class from one source are a group, or all of a source where those would be
    too few to tell.

    Args:
        sources: the labels of the images of each source.
    """
    groups: list[NDArray[np.int64]] = []
    for labels in sources:
        classes = np.bincount(labels)
        alone = classes[classes > 0].min() >= ENOUGH_FOR_A_GROUP
        first = 1 + max((group.max() for group in groups), default=-1)
        groups.append(first + (labels if alone else np.zeros_like(labels)))
    return np.concatenate(groups)


def _old_task(run: Run, data_dir: Path | str | None) -> Dataset | None:
    """Return the data that a tuned network knew before, if they can be loaded offline."""
    about = run.transfer
    if about is None or about["old_data"] is None:
        return None
    try:
        crops = about["source"]["crops"]
        old = load_dataset(about["old_data"], crops=crops, data_dir=data_dir, offline=True)
    except (DataUnavailableError, InputError):  # no longer there
        return None
    return old if old.sha256 == about["old_data_sha256"] else None


def set_aside(old: Dataset) -> NDArray[np.int64]:
    """Return the training images of an old task that are never replayed: those to calibrate with.

    They are those that every recipe validates on, so a source trained on ``old`` by one of them
    never saw them. Where the sample stands in for MNIST, it saw most.
    """
    # The smallest of these parts is in all others.
    fewest = min(each.val_fraction for each in RECIPES.values())
    return choose_images(TrainConfig(val_fraction=fewest), old)[1]


@torch.inference_mode()
def answers(
    model: CNN | Ensemble, images: NDArray[np.uint8], before: nn.Module
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return logits (N, classes) and ood_scores (N,) of stored images, uint8 (N, 28, 28).

    Args:
        model: in evaluation mode.
        images: as they are stored.
        before: what comes between them and the network's first layer.
    """
    batches = torch.split(torch.from_numpy(images), 500)
    said = [answer(model, before(to_float(batch)))[:2] for batch in batches]
    digits, scores = (torch.cat(part) for part in zip(*said, strict=True))
    return digits.numpy(), scores.numpy()


def calibrated(
    logits: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> Calibration:
    """Return what logits (N, classes) and ood_scores (N,) of digits call for.

    Args:
        logits: of the classes.
        scores: as the network gives them.
        labels: int64 (N,).
        groups: int64 (N,), as of ``groups_to_keep``.
    """
    from scipy.special import softmax

    temperature = fit_temperature(logits, labels)
    limits = fit_limits(scores, labels, groups, logits.shape[1])
    if limits:
        scores = scores - softmax(logits / temperature, axis=1) @ np.array(limits, np.float32)
    return Calibration(temperature, fit_threshold(scores, groups), limits)


def fit_limits(
    ood_scores: NDArray[np.floating[Any]],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: int,
) -> tuple[float, ...]:
    """Return the ood_score that one in a hundred of each class exceeds, less the mean of these.

    Of groups of one class each, the one with the strangest images counts. Nothing is returned where
    a class has no group of its own.
    """
    highest = np.full(classes, -np.inf)
    for group in np.unique(groups):
        own = labels[groups == group]
        if (own == own[0]).all():
            score = np.quantile(ood_scores[groups == group], 1 - REJECTED_DIGITS)
            highest[own[0]] = max(highest[own[0]], score)
    if not np.isfinite(highest).all():
        return ()
    return tuple((highest - highest.mean()).tolist())


def fit_temperature(logits: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
    """Return the temperature, from 0.05 to 20, at which the labels are most likely.

    Each label counts for (N + 1) / (N + 2), and the likeliest other class for the rest.

    Args:
        logits: (N, classes).
        labels: int64 (N,).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    rows, share = np.arange(len(labels)), 1 / (len(labels) + 2)

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        own = scaled[rows, labels].copy()
        scaled[rows, labels] = -np.inf
        return float(-((1 - share) * own + share * scaled.max(axis=1)).mean())

    best = minimize_scalar(loss, bounds=np.log((_COLDEST, _HOTTEST)), method="bounded")
    return float(np.exp(best.x))


def fit_threshold(
    ood_scores: NDArray[np.floating[Any]], groups: NDArray[np.int64] | None = None
) -> float:
    """Return the ood_score that at most one in a hundred digits of each group exceeds.

    Args:
        ood_scores: (N,).
        groups: int64 (N,), the group of each; all are one by default.
    """
    groups = np.zeros(len(ood_scores), np.int64) if groups is None else groups
    accepted = 1 - REJECTED_DIGITS
    return max(float(np.quantile(ood_scores[groups == g], accepted)) for g in np.unique(groups))
