"""Train a recipe in a run folder of its own, or continue where a training stopped.

    run = train("reference", epochs=3)

Guarantees:

- The test images are never looked at.
- Every function that writes into a run folder holds its lock.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from digitnet.data.dataset import Dataset
from digitnet.errors import StoppedError, UsageError
from digitnet.files import hold_lock
from digitnet.network.cnn import CNN
from digitnet.network.config import TrainConfig, differences
from digitnet.network.finder import Finder
from digitnet.network.line_reader import LineReader
from digitnet.network.recipes import recipe as named_recipe
from digitnet.text import count_of
from digitnet.training.checkpoint import read_finder, read_line_reader, read_model
from digitnet.training.device import reproducible, resolve_device, resolve_threads
from digitnet.training.finder_training import FinderTraining, refuse_other_than_digits
from digitnet.training.line_training import LineTraining
from digitnet.training.loop import Training, choose_images, fit, refuse_other_hands
from digitnet.training.progress import Progress, collect_signals, show_progress
from digitnet.training.runs import Run, create_run, open_run
from digitnet.training.trained import (
    DEFAULTS,
    Options,
    Trained,
    data_of,
    ignore,
    open_trained,
    trained_finder,
    trained_lines,
    trained_model,
)


def train(
    recipe: str | TrainConfig = "reference",
    *,
    out: Path | str | None = None,
    device: str = "auto",
    progress: bool | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_progress: Callable[[Progress], None] = ignore,
    on_message: Callable[[str], None] = ignore,
    **settings: Any,
) -> Run:
    """Train a network in a run folder of its own.

    Args:
        recipe: a recipe's name, or complete settings.
        out: the run folder, new or empty; by default a fresh one under ``runs/``.
        device: "cpu", "cuda" or "mps"; "auto" takes a GPU if torch can use one.
        progress: whether to show how far training is; by default a bar on a terminal and in a
            notebook.
        data_dir: folder that holds the data; by default the cache, filled when needed.
        offline: use no network.
        on_progress: called after every step.
        on_message: called with a line of text when something takes long before training starts.
        **settings: single settings by their flat names: ``epochs=3, dropout=0.5, rotate=15``.

    Returns:
        The run, with its history and its model.

    Raises:
        UsageError: a setting does not exist or cannot have that value; the device is not there.
        TrainingDivergedError: the loss became infinite or NaN.
        DataUnavailableError: the data cannot be had.
        StoppedError: Ctrl-C or SIGTERM came; the run can be evaluated, reported and resumed.
    """
    options = Options(device, progress, data_dir, offline, on_progress, on_message)
    return run_training(recipe, out, options, **settings).run


def resume(
    path: Path | str | Run,
    *,
    device: str = "auto",
    progress: bool | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_progress: Callable[[Progress], None] = ignore,
    on_message: Callable[[str], None] = ignore,
    **settings: Any,
) -> Run:
    """Continue a run where it stopped; a finished one is left as it is.

    With ``epochs=20`` a run of fewer is extended, if its schedule is constant: it ends with the
    weights that training for 20 epochs at once would have given.

    Args:
        path: the run folder.
        device: as for ``train``; on another kind of device than before the rest of a run differs.
        progress: as for ``train``.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_progress: as for ``train``.
        on_message: as for ``train``.
        **settings: ``epochs`` to extend the run; any other must be what the run has.

    Raises:
        InputError: the folder is not a run.
        UsageError: a setting, or the data, is not that of the run, or it cannot be extended; the
            message says which and why.
        StoppedError: as for ``train``.
    """
    options = Options(device, progress, data_dir, offline, on_progress, on_message)
    return continue_training(path, options, **settings).run


def run_training(
    recipe: str | TrainConfig = "reference",
    out: Path | str | None = None,
    options: Options = DEFAULTS,
    **settings: Any,
) -> Trained:
    """Do what ``train`` does, and return the run with its data and its network."""
    config, dataset = prepare(recipe, options, **settings)
    run = create_run(out, f"{config.recipe}-seed{config.seed}")
    with hold_lock(run.path):
        # First, because a folder with this file is a run that can be resumed.
        run.write_config(config, dataset.sha256, dataset.class_names)
        return _trained(run, config, dataset, options)


def prepare(
    recipe: str | TrainConfig, options: Options, **settings: Any
) -> tuple[TrainConfig, Dataset]:
    """Return complete settings and their data, before a folder is made for them.

    Raises:
        UsageError: a setting, the network or the split is impossible; the device is not there.
        DataUnavailableError: the data cannot be had.
        InputError: there is no network to start from.
        IntegrityError: it is damaged, or of another kind.
    """
    config = named_recipe(recipe) if isinstance(recipe, str) else recipe
    config = resolve_threads(config.override(**settings))
    resolve_device(options.device)
    dataset = options.load(config)
    # The data set's own name: for a folder the full path, which holds wherever the run is used.
    config = config.override(data=dataset.name, num_classes=len(dataset.class_names))
    choose_images(config, dataset)
    refuse_other_hands(config, dataset.class_names)
    if config.is_stream:
        refuse_other_than_digits(dataset)
    else:
        # Only to see whether it can be built; nothing random is drawn.
        with torch.device("meta"):
            CNN(config.model)
    if config.start_from:
        _first_network(config)
    return config, dataset


def continue_training(
    path: Path | str | Run, options: Options = DEFAULTS, **settings: Any
) -> Trained:
    """Do what ``resume`` does, and return the run with its data and its network."""
    run = open_run(path)
    config = run.config
    resolve_device(options.device)
    if settings.get("threads") == 0:
        # As many as there are cores: no claim about how many the run took.
        del settings["threads"]
    wanted = config.override(**settings)
    if wanted.epochs > config.epochs:
        _refuse_extension(run, wanted.epochs)
        config = config.override(epochs=wanted.epochs)
    refuse_changes(run, config.flat(), wanted.flat())
    if about := run.transfer:
        if not about.get("finished", True):
            raise UsageError(
                f"`digitnet transfer` was interrupted while it tuned {run.path}; repeat that "
                "command, which continues it."
            )
        return open_trained(run, options)
    dataset = data_of(run, options)
    with hold_lock(run.path):
        if config != run.config:
            run.write_config(config, dataset.sha256, dataset.class_names)
        return _trained(run, config, dataset, options)


def _refuse_extension(run: Run, epochs: int) -> None:
    """Refuse more epochs for a run that would have been another one with so many from the start.

    Raises:
        UsageError: the message says why, and what to do.
    """
    config = run.config
    losses = [row.val_loss for row in run.history]
    patience = config.early_stopping
    reason = None
    if run.transfer is not None:
        reason = "`digitnet transfer` made it, in a fixed number of steps. Tune a new one"
    elif config.schedule != "constant":
        reason = (
            f"its schedule '{config.schedule}' spreads the learning rate over "
            f"{count_of(config.epochs, 'epoch')}. Train a new run with --epochs {epochs}"
        )
    elif patience and losses and len(losses) - 1 - losses.index(min(losses)) >= patience:
        reason = (
            f"early stopping ended it after epoch {len(losses)}. Train a new run with a larger "
            "--early-stopping"
        )
    if reason:
        raise UsageError(f"The run {run.path} cannot be extended to {epochs} epochs: {reason}.")


def _trained(run: Run, config: TrainConfig, dataset: Dataset, options: Options) -> Trained:
    """Train in a run folder, from its checkpoint if there is one."""
    drawn = config.non_digits, config.hands, config.signs, config.found
    if any((*drawn, config.augmentation.style, config.augmentation.pen)):
        options.on_message(
            "Preparing the images: styles, pens, other hands, what is no digit; some minutes …"
        )
    device = resolve_device(options.device)
    with reproducible(config, device):
        training = _kind_of(config)(config, dataset, device)
        if config.start_from and not run.checkpoint_file.exists():
            training.learn_on(_first_network(config))
        training.restore(run)
        fit_or_stop(training, run, options, f"digitnet train --resume {run.path}")
    return Trained(run, config, dataset, training.network.cpu().eval())


def _first_network(config: TrainConfig) -> CNN | Finder | LineReader:
    """Return the trained network that learns on.

    Raises:
        InputError: there is none, or the run's is of another kind or an earlier epoch.
        IntegrityError: the file is damaged, or holds one of another kind.
        UsageError: its settings are others.
    """
    place = Path(config.start_from)
    run = open_run(place) if place.is_dir() else None
    if config.pages:
        return trained_finder(run) if run else read_finder(place)[0]
    if config.lines:
        return trained_lines(run) if run else read_line_reader(place)[0]
    model, _ = trained_model(run) if run else read_model(place)
    saved, wanted = (TrainConfig(model=each).flat() for each in (model.config, config.model))
    if differing := differences(saved, wanted):
        raise UsageError(
            f"--start-from names {config.start_from}, another network: its {differing}. "
            "Train with its settings, or name one with these."
        )
    return model


def _kind_of(config: TrainConfig) -> type[Training]:
    if config.pages:
        return FinderTraining
    return LineTraining if config.lines else Training


def fit_or_stop(training: Training, run: Run | None, options: Options, command: str) -> None:
    """Train, showing how far it is, until it is finished or Ctrl-C or SIGTERM comes.

    Raises:
        StoppedError: a signal came; its message names the ``command`` that continues.
    """

    def listen(progress: Progress) -> None:
        show(progress)
        options.on_progress(progress)

    with collect_signals() as received, show_progress(options.progress) as show:
        finished = fit(training, run, on_progress=listen, should_stop=lambda: bool(received))
        # A signal during the last step stops what comes after training.
        if received or not finished:
            raise StoppedError(
                f"Training stopped after {len(training.history)} of "
                f"{count_of(training.config.epochs, 'epoch')}. Nothing is lost; continue with: "
                f"{command}",
                received[0],
            )


def refuse_changes(run: Run, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse settings, ``wanted``, that are not those ``saved`` in a run.

    Raises:
        UsageError: the message names each setting that differs, with both values.
    """
    if differing := differences(saved, wanted):
        raise UsageError(
            f"The run {run.path} has other settings: {differing}. "
            f"Resume it without changing them, or train a new run."
        )
