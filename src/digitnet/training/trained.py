"""Trained networks with their runs and data in memory, and where to take the data from.

Guarantees:

- ``open_trained`` is the only place that loads the data and the network of a run. It refuses a
  network of an earlier epoch than the history's last, and data of another SHA-256 than the run's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import Dataset
from digitnet.errors import InputError, UsageError
from digitnet.files import storage_errors
from digitnet.network.cnn import CNN
from digitnet.network.config import TrainConfig
from digitnet.network.ensemble import Ensemble
from digitnet.network.finder import Finder
from digitnet.network.line_reader import LineReader
from digitnet.training.checkpoint import read_finder, read_line_reader, read_model
from digitnet.training.progress import Progress
from digitnet.training.runs import Run

_N = TypeVar("_N", CNN, Finder, LineReader)


def ignore(_: Any) -> None:
    """Take no notice."""


@dataclass(frozen=True)
class Options:
    """How a training runs, apart from its settings; the arguments of ``train``."""

    device: str = "auto"
    progress: bool | None = None
    data_dir: Path | str | None = None
    offline: bool | None = None
    on_progress: Callable[[Progress], None] = ignore
    on_message: Callable[[str], None] = ignore
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
        InputError: the run has none yet, or that of an earlier epoch, or one of another kind.
        IntegrityError: the model file is damaged.
    """
    return _trained(run, not run.config.is_stream, _READER, read_model)


def trained_finder(run: Run) -> Finder:
    """Return the finder of a run; raises as ``trained_model`` does."""
    return _trained(run, bool(run.config.pages), _FINDER, read_finder)[0]


def trained_lines(run: Run) -> LineReader:
    """Return the line reader of a run; raises as ``trained_model`` does."""
    return _trained(run, bool(run.config.lines), _LINES, read_line_reader)[0]


def _trained(
    run: Run, is_of_kind: bool, kind: str, read: Callable[[Path], tuple[_N, dict[str, Any]]]
) -> tuple[_N, dict[str, Any]]:
    if not is_of_kind:
        raise _of_other_kind(run, kind)
    if run.model_file.is_file():
        network, about = read(run.model_file)
        if about.get("epochs") == len(run.history):
            return network, about
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
