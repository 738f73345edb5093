"""Train a recipe, and open what was trained: runs with their data and network in memory.

    run = train("reference", epochs=3)
    metrics = evaluate(run)

Guarantees:

- ``open_trained`` is the only place that loads the data and the network of a run. It refuses a
  network of an earlier epoch than the history's last, and data of another SHA-256 than the run's.
- ``train`` never looks at the test images; ``evaluate`` changes nothing that training wrote.
- Metrics of another network than the last ones remove the report, which is of the old network.
- Every function that writes into a run folder holds its lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import Dataset
from digitnet.errors import InputError, StoppedError, UsageError
from digitnet.files import hold_lock, storage_errors
from digitnet.network.cnn import CNN, predict_logits
from digitnet.network.config import SCHEMA_VERSION, TrainConfig, differences
from digitnet.network.ensemble import Ensemble
from digitnet.network.finder import Finder
from digitnet.network.line_reader import LineReader
from digitnet.network.recipes import recipe as named_recipe
from digitnet.text import count_of
from digitnet.training.checkpoint import read_finder, read_line_reader, read_model
from digitnet.training.device import reproducible, resolve_device, resolve_threads
from digitnet.training.evaluation import DISPUTED_MNIST_TEST, Metrics, measure, predictions
from digitnet.training.finder_evaluation import FinderMetrics, measure_finder
from digitnet.training.finder_training import FinderTraining, refuse_other_than_digits
from digitnet.training.line_training import LineTraining, measure_lines
from digitnet.training.loop import Training, choose_images, fit
from digitnet.training.progress import Progress, collect_signals, show_progress
from digitnet.training.runs import Run, create_run, open_run


def _ignore(_: Any) -> None:
    """Take no notice."""


@dataclass(frozen=True)
class Options:
    """How a training runs, apart from its settings; the arguments of ``train``."""

    device: str = "auto"
    progress: bool | None = None
    data_dir: Path | str | None = None
    offline: bool | None = None
    on_progress: Callable[[Progress], None] = _ignore
    on_message: Callable[[str], None] = _ignore
    dataset: Dataset | None = None
    """The data of the settings, if they are in memory already."""

    def load(self, config: TrainConfig) -> Dataset:
        """Return the data set of these settings."""
        if self.dataset:
            return self.dataset
        return load_dataset(
            config.data,
            crops=config.model.crops,
            data_dir=self.data_dir,
            offline=self.offline,
            progress=self.on_message,
        )


DEFAULTS = Options()


@dataclass(frozen=True, eq=False)
class Trained:
    """A run with its data and its network in memory."""

    run: Run
    config: TrainConfig
    dataset: Dataset
    network: CNN | Finder | LineReader | Ensemble
    """In evaluation mode."""

    @property
    def model(self) -> CNN:
        """The network, which reads.

        Raises:
            InputError: it is of another kind.
        """
        if isinstance(self.network, CNN):
            return self.network
        raise _of_other_kind(self.run, _READER)

    @property
    def finder(self) -> Finder:
        """The network, which finds.

        Raises:
            InputError: it is of another kind.
        """
        if isinstance(self.network, Finder):
            return self.network
        raise _of_other_kind(self.run, _FINDER)

    @property
    def lines(self) -> LineReader:
        """The network, which reads lines.

        Raises:
            InputError: it is of another kind.
        """
        if isinstance(self.network, LineReader):
            return self.network
        raise _of_other_kind(self.run, _LINES)


def train(
    recipe: str | TrainConfig = "reference",
    *,
    out: Path | str | None = None,
    device: str = "auto",
    progress: bool | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_progress: Callable[[Progress], None] = _ignore,
    on_message: Callable[[str], None] = _ignore,
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
    on_progress: Callable[[Progress], None] = _ignore,
    on_message: Callable[[str], None] = _ignore,
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


def evaluate(
    path: Path | str | Run,
    *,
    device: str = "auto",
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = _ignore,
) -> Metrics:
    """Measure the network of a run on the test images and write the results.

    Args:
        path: the run folder.
        device: as for ``train``.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_message: as for ``train``.

    Returns:
        The metrics on the test images; ``metrics.json`` and ``predictions.csv`` hold them.

    Raises:
        InputError: the folder is not a run, or has no model yet, or a finder.
        UsageError: the data are not those of the run, or another process works in the folder.
        IntegrityError: the model file is damaged.
    """
    run = open_run(path)
    options = Options(data_dir=data_dir, offline=offline, on_message=on_message)
    with hold_lock(run.path):
        return measure_reader(open_trained(run, options), device)


def evaluate_finder(
    path: Path | str | Run,
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = _ignore,
) -> FinderMetrics:
    """Measure the finder of a run on 400 pages made of test images, and write the results.

    Args:
        path: the run folder.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_message: as for ``train``.

    Returns:
        The metrics, which ``metrics.json`` holds.

    Raises:
        InputError: the folder is not a run, or has no finder.
        UsageError: the data are not those of the run, or another process works in the folder.
        IntegrityError: the model file is damaged.
    """
    run = open_run(path)
    options = Options(data_dir=data_dir, offline=offline, on_message=on_message)
    with hold_lock(run.path):
        return _measure_finder(open_trained(run, options))


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
    if config.is_stream:
        refuse_other_than_digits(dataset)
    else:
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


def open_trained(run: Run, options: Options = DEFAULTS) -> Trained:
    """Load a finished run: its settings, its data and its network.

    Raises:
        InputError: the folder is not a run, or has no model, or that of an earlier epoch.
        UsageError: the data are not those of the run.
        IntegrityError: the model file is damaged.
        DataUnavailableError: the data cannot be had.
    """
    # The network first: data may have to be fetched.
    config = run.config
    network = _network_of(run)
    return Trained(run, config, data_of(run, options), network)


def _network_of(run: Run) -> CNN | Finder | LineReader:
    if run.config.pages:
        return trained_finder(run)
    return trained_lines(run) if run.config.lines else trained_model(run)[0]


def trained_model(run: Run) -> tuple[CNN, dict[str, Any]]:
    """Return the network of a run, and what its file says about it.

    Raises:
        InputError: the run has none yet, or that of an earlier epoch, or a finder.
        IntegrityError: the model file is damaged.
    """
    if run.config.is_stream:
        raise _of_other_kind(run, _READER)
    if run.model_file.is_file():
        model, about = read_model(run.model_file)
        if about.get("epochs") == len(run.history):
            return model, about
    raise _no_network(run)


def trained_finder(run: Run) -> Finder:
    """Return the finder of a run.

    Raises:
        InputError: the run has none yet, or that of an earlier epoch, or a network that reads.
        IntegrityError: the model file is damaged.
    """
    if not run.config.pages:
        raise _of_other_kind(run, _FINDER)
    if run.model_file.is_file():
        finder, about = read_finder(run.model_file)
        if about.get("epochs") == len(run.history):
            return finder
    raise _no_network(run)


def trained_lines(run: Run) -> LineReader:
    """Return the line reader of a run.

    Raises:
        InputError: the run has none yet, or that of an earlier epoch, or another network.
        IntegrityError: the model file is damaged.
    """
    if not run.config.lines:
        raise _of_other_kind(run, _LINES)
    if run.model_file.is_file():
        reader, about = read_line_reader(run.model_file)
        if about.get("epochs") == len(run.history):
            return reader
    raise _no_network(run)


_READER = "a network that reads digits"
_FINDER = "a finder, which says where signs are"
_LINES = "a line reader"


def _of_other_kind(run: Run, needed: str) -> InputError:
    there = _FINDER if run.config.pages else _LINES if run.config.lines else _READER
    return InputError(f"The run {run.path} holds {there}; what is needed here is {needed}.")


def _no_network(run: Run) -> InputError:
    return InputError(
        f"{run.path} has no network of its last epoch. If its training was interrupted, continue "
        f"it with: digitnet train --resume {run.path}. If it diverged, train a new run with a "
        f"smaller --learning-rate than {run.config.learning_rate:g}."
    )


def data_of(run: Run, options: Options) -> Dataset:
    """Return the data of a run.

    Raises:
        InputError: they are a folder of pictures that has been moved.
        UsageError: a SHA-256 differs from that in ``config.json``; the message names the file.
    """
    folder, remedy = Path(run.config.data), "Name the folder that holds its data with --data-dir"
    if folder.is_absolute():
        remedy = "Put its pictures back as they were"
        with storage_errors(folder, "read"):
            if not (options.dataset or folder.is_dir()):
                gone = f"The run {run.path} was trained on {folder}, which is no longer there."
                raise InputError(f"{gone} Put that folder back, with the same pictures in it.")
    dataset = options.load(run.config)
    if differing := dict(run.data_sha256.items() ^ dataset.sha256.items()):
        raise UsageError(
            f"The run {run.path} used other data than the '{dataset.name}' found here: the SHA-256 "
            f"of {', '.join(sorted(differing))} differs from that in its config.json. {remedy}, "
            "or train a new run."
        )
    return dataset


def measure_trained(trained: Trained, device: str = "auto") -> None:
    """Measure a network, of whichever kind, and write the results into its run.

    The caller holds the lock of the run.
    """
    if trained.config.pages:
        _measure_finder(trained)
    elif trained.config.lines:
        _measure_lines(trained)
    else:
        measure_reader(trained, device)


def measure_reader(trained: Trained, device: str = "auto") -> Metrics:
    """Measure a network on the test images of its data and write the results into its run.

    The caller holds the lock of the run.
    """
    run, config, dataset = trained.run, trained.config, trained.dataset
    names = dataset.class_names
    started = time.perf_counter()
    logits = _logits(trained.model, dataset.test_images, device)
    seconds = time.perf_counter() - started
    disputed = DISPUTED_MNIST_TEST if config.data == "mnist" else ()
    metrics = measure(logits, dataset.test_labels, names, disputed)
    _, val = choose_images(config, dataset)
    val_logits = _logits(trained.model, dataset.train_images[val], device)
    validation = measure(val_logits, dataset.train_labels[val], names)
    run.write_predictions(predictions(logits, dataset.test_labels))
    run.write_metrics(
        {
            **_about(trained),
            "val_accuracy": validation.accuracy,
            "val_loss": validation.loss,
            "test_accuracy": metrics.accuracy,
            "test_loss": metrics.loss,
            "misses": metrics.misses,
            "microseconds_per_image": 1e6 * seconds / len(logits),
            "test": metrics.as_dict(),
        }
    )
    return metrics


def _measure_finder(trained: Trained) -> FinderMetrics:
    metrics = measure_finder(trained.finder, trained.dataset)
    _write_metrics_of_stream(
        trained, pages_exact=metrics.exact, signs_found=metrics.found, test=metrics.as_dict()
    )
    return metrics


def evaluate_lines(
    path: Path | str | Run,
    *,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = _ignore,
) -> dict[str, Any]:
    """Measure the line reader of a run on 2,048 lines of test images, and write the results.

    Args:
        path: the run folder.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_message: as for ``train``.

    Returns:
        How many lines there are, which share is read exactly, and its 95 % interval.

    Raises:
        InputError: the folder is not a run, or has no line reader.
        UsageError: the data are not those of the run, or another process works in the folder.
        IntegrityError: the model file is damaged.
    """
    run = open_run(path)
    options = Options(data_dir=data_dir, offline=offline, on_message=on_message)
    with hold_lock(run.path):
        return _measure_lines(open_trained(run, options))


def _measure_lines(trained: Trained) -> dict[str, Any]:
    measured = measure_lines(trained.lines, trained.dataset)
    _write_metrics_of_stream(trained, lines_exact=measured["exact"], test=measured)
    return measured


def _write_metrics_of_stream(trained: Trained, **measured: Any) -> None:
    """Write what was measured of a network that learned from a stream."""
    # As it was after the last epoch; None before the first has ended.
    last = trained.run.history[-1:]
    validation = {
        "val_accuracy": last[0].val_accuracy if last else None,
        "val_loss": last[0].val_loss if last else None,
    }
    trained.run.write_metrics({**_about(trained), **validation, **measured})


def _about(trained: Trained) -> dict[str, Any]:
    """Return what ``metrics.json`` says of a network of either kind."""
    run, config, history = trained.run, trained.config, trained.run.history
    return {
        "schema_version": SCHEMA_VERSION,
        "run": str(run.path),
        "model_sha256": run.model_sha256,
        "recipe": config.recipe,
        "data": config.data,
        "seed": config.seed,
        "parameters": trained.network.num_parameters,
        "epochs": len(history),
        "seconds": sum(row.seconds for row in history),
    }


def _logits(model: CNN, images: NDArray[np.uint8], device: str) -> NDArray[np.float32]:
    return predict_logits(model, torch.from_numpy(images), resolve_device(device)).numpy()


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
        if not fit(training, run, on_progress=listen, should_stop=lambda: bool(received)):
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
