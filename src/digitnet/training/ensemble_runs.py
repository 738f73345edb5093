"""Ensembles: runs of the same settings but for the seed, whose networks answer as one.

    folder = train_ensemble("reference", members=5)
    result = evaluate_ensemble(folder)

The folder of an ensemble holds ``ensemble.json``, its seeds and settings, and a run for each seed,
``seed0`` and so on; later, as a run does, ``metrics.json``, ``predictions.csv``, ``report.html``
and ``model.onnx``, which are of all of them together.

Guarantees:

- The seeds are chosen before anything is trained, one after the other from that of the settings;
  no result decides who is a member.
- A member is a run like any other: evaluated, and killed and resumed without loss. A member that is
  finished is never trained again.
- Runs are taken for one ensemble only if they are finished and differ in nothing but the seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from digitnet.errors import InputError, StoppedError, UsageError
from digitnet.files import hold_lock, write_json
from digitnet.network.cnn import predict_logits
from digitnet.network.config import SCHEMA_VERSION, TrainConfig, differences
from digitnet.network.ensemble import Ensemble, pooled
from digitnet.training.device import resolve_device
from digitnet.training.evaluation import DISPUTED_MNIST_TEST, Metrics, measure, predictions
from digitnet.training.loop import choose_images
from digitnet.training.progress import Progress
from digitnet.training.run_evaluation import measure_reader
from digitnet.training.run_training import (
    continue_training,
    prepare,
    refuse_changes,
    run_training,
)
from digitnet.training.runs import ENSEMBLE_FILE, Run, create_run, open_run
from digitnet.training.statistics import Summary, summarise
from digitnet.training.trained import Options, Trained, data_of, ignore, open_trained

# The folder of an ensemble, or the runs that are taken for one.
Runs: TypeAlias = Path | str | Sequence[Path | str | Run]


@dataclass(frozen=True)
class EnsembleMetrics:
    """How good networks are on the same test images, each alone and several as one."""

    folder: str | None
    """Of the ensemble; None if it is of runs that lie anywhere."""
    seeds: tuple[int, ...]
    """The seed of each member."""
    members: tuple[Metrics, ...]
    """Each alone."""
    groups: tuple[tuple[int, ...], ...]
    """The seeds of the members of each ensemble."""
    ensembles: tuple[Metrics, ...]
    """Each of the groups as one."""

    @property
    def alone(self) -> Summary:
        """Accuracy of the members alone."""
        return summarise([each.accuracy for each in self.members])

    @property
    def together(self) -> Summary:
        """Accuracy of the ensembles."""
        return summarise([each.accuracy for each in self.ensembles])

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with both summaries."""
        summaries = {"alone": self.alone, "together": self.together}
        return dataclasses.asdict(self) | {n: dataclasses.asdict(s) for n, s in summaries.items()}


def train_ensemble(
    recipe: str | TrainConfig = "reference",
    members: int = 5,
    *,
    out: Path | str | None = None,
    device: str = "auto",
    progress: bool | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_progress: Callable[[Progress], None] = ignore,
    on_message: Callable[[str], None] = ignore,
    **settings: Any,
) -> Path:
    """Train and evaluate several networks with consecutive seeds, one after the other.

    Args:
        recipe: a recipe's name, or complete settings; its seed is that of the first member.
        members: how many, from 2.
        out: the folder of the ensemble, new or empty; by default a fresh one under ``runs/``.
        device: as for ``train``, and so are all below.
        progress: whether to show how far each training is.
        data_dir: folder that holds the data.
        offline: use no network.
        on_progress: called after every step of every training.
        on_message: called with a line of text when the training of a member starts.
        **settings: single settings by their flat names.

    Returns:
        The folder of the ensemble, for ``evaluate_ensemble`` and ``export_run``.

    Raises:
        UsageError: there are too few members, or as for ``train``.
        TrainingDivergedError: as for ``train``.
        StoppedError: Ctrl-C or SIGTERM came; ``resume_ensemble`` continues.
    """
    if members < 2:
        raise UsageError(f"--members cannot be {members}; allowed: 2 and more, each a network.")
    options = Options(device, progress, data_dir, offline, on_progress, on_message)
    config, dataset = prepare(recipe, options, **settings)
    if config.is_stream:
        raise UsageError(
            f"--members is for networks that read digits; the recipe '{config.recipe}' trains "
            "another one. Leave it out."
        )
    seeds = [config.seed + number for number in range(members)]
    config.override(seed=seeds[-1])  # an error now if it is too large
    folder = create_run(out, f"{config.recipe}-ensemble").path
    about = {"schema_version": SCHEMA_VERSION, "seeds": seeds, "settings": config.as_dict()}
    with hold_lock(folder):
        write_json(folder / ENSEMBLE_FILE, about)
        _train_members(folder, dataclasses.replace(options, dataset=dataset))
    return folder


def resume_ensemble(
    path: Path | str,
    *,
    device: str = "auto",
    progress: bool | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_progress: Callable[[Progress], None] = ignore,
    on_message: Callable[[str], None] = ignore,
    **settings: Any,
) -> Path:
    """Train what is left of an ensemble: the member that was stopped, and those after it.

    Args:
        path: the folder of the ensemble.
        device: as for ``train_ensemble``, and so are all others.
        progress: whether to show how far each training is.
        data_dir: folder that holds the data.
        offline: use no network.
        on_progress: called after every step of every training.
        on_message: called with a line of text when the training of a member starts.
        **settings: what the settings of the ensemble must be, if anything.

    Returns:
        The folder.

    Raises:
        InputError: the folder is not that of an ensemble.
        UsageError: a setting, or the data, is not that of the ensemble.
        StoppedError: as for ``train_ensemble``.
    """
    folder = Path(path)
    config, seeds = _read_ensemble(folder)
    if settings.get("threads") == 0:
        # As many as there are cores: no claim about how many it took.
        del settings["threads"]
    refuse_changes(Run(folder), config.flat(), config.override(**settings).flat())
    options = Options(device, progress, data_dir, offline, on_progress, on_message)
    first = _member(folder, seeds[0])
    dataset = data_of(first, options) if _has_begun(first) else options.load(config)
    with hold_lock(folder):
        _train_members(folder, dataclasses.replace(options, dataset=dataset))
    return folder


def evaluate_ensemble(
    runs: Runs,
    members: int | None = None,
    *,
    device: str = "auto",
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = ignore,
) -> EnsembleMetrics:
    """Measure networks on the test images, each alone and several as one.

    The probabilities of an ensemble are the mean of its members' (see ``network.ensemble``).

    Args:
        runs: the folder of an ensemble, or finished runs that differ in the seed only.
        members: how many make an ensemble, from 2: of 30 runs, 5 make six ensembles, each of 5 runs
            in the order given, and no run is in two. By default all runs are one ensemble.
        device: as for ``train``, and so are all others.
        data_dir: folder that holds the data.
        offline: use no network.
        on_message: called with a line of text when something takes long, or runs are left over.

    Returns:
        The metrics. In the folder of an ensemble, measured as a whole, ``metrics.json`` and
        ``predictions.csv`` hold them.

    Raises:
        InputError: a folder is not a run or not an ensemble, or is not finished.
        UsageError: the runs differ in more than the seed, there are too few of them, or the data
            are not theirs.
        IntegrityError: a model file is damaged.
    """
    opened = open_members(runs, Options(data_dir=data_dir, offline=offline, on_message=on_message))
    groups = _groups(opened, members)
    if left := len(opened) - sum(map(len, groups)):
        on_message(f"Left out of the ensembles, as too few for another: the last {left}.")
    folder = Run(Path(runs)) if is_ensemble(runs) else None
    if folder and members is None:
        with hold_lock(folder.path):
            return measure_members(folder, opened, device)
    return _measured(folder, opened, _logits(opened, opened[0].dataset.test_images, device), groups)


def measure_members(
    folder: Run, opened: Sequence[Trained], device: str = "auto"
) -> EnsembleMetrics:
    """Measure the networks of an ensemble, opened, and write the results into its folder.

    The caller holds the lock of the folder.
    """
    dataset = opened[0].dataset
    logits = _logits(opened, dataset.test_images, device)
    metrics = _measured(folder, opened, logits, _groups(opened, None))
    folder.write_predictions(predictions(pooled(logits).numpy(), dataset.test_labels))
    folder.write_metrics(_about(folder, opened, device) | _of_one(metrics))
    return metrics


def _measured(
    folder: Run | None, opened: Sequence[Trained], logits: list[Tensor], groups: list[range]
) -> EnsembleMetrics:
    """Return how good networks are whose logits of the test images these are."""
    dataset = opened[0].dataset
    disputed = DISPUTED_MNIST_TEST if opened[0].config.data == "mnist" else ()

    def measured(of: Sequence[int]) -> Metrics:
        together = pooled([logits[number] for number in of]).numpy()
        return measure(together, dataset.test_labels, dataset.class_names, disputed)

    seeds = [each.config.seed for each in opened]
    return EnsembleMetrics(
        folder=str(folder.path) if folder else None,
        seeds=tuple(seeds),
        members=tuple(measured([number]) for number in range(len(opened))),
        groups=tuple(tuple(seeds[number] for number in group) for group in groups),
        ensembles=tuple(map(measured, groups)),
    )


def _groups(opened: Sequence[Trained], size: int | None) -> list[range]:
    """Return the numbers of the members of each ensemble."""
    size = len(opened) if size is None else size
    if not 2 <= size <= len(opened):
        raise UsageError(f"--members cannot be {size}; allowed: 2 to {len(opened)}, the runs.")
    return [range(at, at + size) for at in range(0, len(opened) - size + 1, size)]


def is_ensemble(runs: object) -> TypeGuard[Path | str]:
    """Return whether this is the folder of an ensemble."""
    return isinstance(runs, str | Path) and Run(Path(runs)).is_ensemble


def open_members(runs: Runs, options: Options) -> list[Trained]:
    """Load the networks of an ensemble, and the data that they share.

    Raises:
        InputError: as for ``evaluate_ensemble``.
        UsageError: as for ``evaluate_ensemble``.
        IntegrityError: a model file is damaged.
    """
    found = _finished_runs(runs)
    _refuse_others(found)
    first = open_trained(found[0], options)
    same = dataclasses.replace(options, dataset=first.dataset)
    opened = [first, *(open_trained(run, same) for run in found[1:])]
    for each in opened:
        each.model  # noqa: B018 (refuses what does not read digits)
    return opened


def as_one(folder: Run, opened: Sequence[Trained]) -> Trained:
    """Return an ensemble as one: its folder, and its opened networks, which answer together."""
    network = Ensemble([each.model for each in opened]).eval()
    return Trained(folder, opened[0].config, opened[0].dataset, network)


def members_of(folder: Path | str) -> list[Run]:
    """Return the runs of an ensemble, whether they have been trained or not.

    Raises:
        InputError: the folder holds no ensemble, or its file is damaged.
    """
    _, seeds = _read_ensemble(Path(folder))
    return [_member(Path(folder), seed) for seed in seeds]


def _finished_runs(runs: Runs) -> list[Run]:
    """Return the members, all of them finished."""
    if isinstance(runs, str | Path):
        folder, found = Path(runs), members_of(runs)
    else:
        folder, found = None, [open_run(each) for each in runs]
    if len(found) < 2:
        raise UsageError(f"An ensemble has two runs or more, not {len(found)}.")
    for run in found:
        if not (_has_begun(run) and _is_complete(run)):
            raise InputError(
                f"The run {run.path} has not been trained to its end, and an ensemble is of "
                f"finished runs. Continue with: digitnet train --resume {folder or run.path}"
            )
    return found


def _refuse_others(runs: Sequence[Run]) -> None:
    """Refuse runs that differ in more than the seed, or have the same."""
    first, seeds = runs[0], dict[int, Run]()
    aside = {"seed": None, "threads": None}
    for run in runs:
        config = run.config
        if differing := differences(first.config.flat() | aside, config.flat() | aside):
            raise UsageError(
                f"The runs {first.path} and {run.path} are no ensemble, whose members differ in "
                f"the seed only. Of the first, {differing}."
            )
        other = seeds.setdefault(config.seed, run)
        if other is not run:
            raise UsageError(
                f"The runs {other.path} and {run.path} have the same seed, {config.seed}. The "
                "members of an ensemble differ in it."
            )


def _train_members(folder: Path, options: Options) -> None:
    """Train and evaluate the members that are not finished."""
    config, seeds = _read_ensemble(folder)
    for number, seed in enumerate(seeds, 1):
        run, own = _member(folder, seed), config.override(seed=seed)
        if _is_done(run):
            continue
        options.on_message(f"Member {number} of {len(seeds)}, seed {seed} …")
        try:
            begun = _has_begun(run)
            trained = (
                continue_training(run, options, **own.flat())
                if begun
                else run_training(own, run.path, options)
            )
        except StoppedError as stop:
            raise StoppedError(
                f"Training stopped in member {number} of {len(seeds)}. Nothing is lost; continue "
                f"with: digitnet train --resume {folder}",
                stop.exit_code - 128,
            ) from stop
        with hold_lock(run.path):
            measure_reader(trained, options.device)


def _member(folder: Path, seed: int) -> Run:
    return Run(folder / f"seed{seed}")


def _has_begun(run: Run) -> bool:
    return (run.path / "config.json").is_file()


def _is_complete(run: Run) -> bool:
    """Return whether a run has its last epoch, or was ended by early stopping."""
    config, losses = run.config, [row.val_loss for row in run.history]
    stale = len(losses) - 1 - losses.index(min(losses)) if losses else 0
    return len(losses) >= config.epochs or 0 < config.early_stopping <= stale


def _is_done(run: Run) -> bool:
    """Return whether nothing is left to train or to evaluate."""
    try:
        return _is_complete(run) and run.metrics.get("model_sha256") == run.model_sha256
    except InputError:
        return False


def _read_ensemble(folder: Path) -> tuple[TrainConfig, list[int]]:
    """Return the settings of the first member, and the seeds of all.

    Raises:
        InputError: the folder holds no ensemble, or its file is damaged.
    """
    if not Run(folder).is_ensemble:
        raise InputError(
            f"{folder} is no ensemble: it has no {ENSEMBLE_FILE}. `digitnet train --members 5` "
            "makes one."
        )
    values = Run(folder).ensemble
    try:
        seeds = [int(seed) for seed in values["seeds"]]
        if values["schema_version"] != SCHEMA_VERSION or len(seeds) < 2:
            raise ValueError(f"it needs format {SCHEMA_VERSION} and two seeds or more")
        return TrainConfig.from_dict(values["settings"]), seeds
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise InputError(f"{folder / ENSEMBLE_FILE} is not of an ensemble: {error}.") from error


def _logits(opened: Sequence[Trained], images: NDArray[np.uint8], device: str) -> list[Tensor]:
    """Return what each network says of images, uint8 (N, 28, 28): logits (N, classes)."""
    stored, place = torch.from_numpy(images), resolve_device(device)
    return [predict_logits(each.model, stored, place) for each in opened]


def _about(folder: Run, opened: Sequence[Trained], device: str) -> dict[str, Any]:
    """Return what ``metrics.json`` says of an ensemble besides its result on the test images."""
    first = opened[0]
    _, val = choose_images(first.config, first.dataset)
    dataset = first.dataset
    together = pooled(_logits(opened, dataset.train_images[val], device)).numpy()
    validation = measure(together, dataset.train_labels[val], dataset.class_names)
    return {
        "schema_version": SCHEMA_VERSION,
        "run": str(folder.path),
        "model_sha256": folder.model_sha256,
        "recipe": first.config.recipe,
        "data": first.config.data,
        "parameters": sum(each.model.num_parameters for each in opened),
        "epochs": sum(len(each.run.history) for each in opened),
        "seconds": sum(row.seconds for each in opened for row in each.run.history),
        "val_accuracy": validation.accuracy,
        "val_loss": validation.loss,
    }


def _of_one(metrics: EnsembleMetrics) -> dict[str, Any]:
    """Return what ``metrics.json`` says of the test images."""
    (whole,) = metrics.ensembles
    rows = zip(metrics.seeds, metrics.members, strict=True)
    return {
        "test_accuracy": whole.accuracy,
        "test_loss": whole.loss,
        "misses": whole.misses,
        "members": [{"seed": seed, **member.as_dict()} for seed, member in rows],
        "test": whole.as_dict(),
    }
