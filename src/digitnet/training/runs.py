"""A run: one folder that holds everything about one training.

    config.json             settings, seed, SHA-256 of the data
    environment.json        versions, CPU, threads, git revision
    history.csv             one row an epoch
    checkpoint.safetensors  where training stands, enough to go on bit for bit
    model.safetensors       the trained network
    model.onnx              the same from ink to probabilities, for any runtime
    network.onnx            the same from 28×28 images to probabilities, if it was exported alone
    metrics.json            how good it is on the test set
    predictions.csv         what it says of every test image
    transfer.json           of a network tuned from another: which one, how, and the old task
    figures/*.png           pictures
    report.html             all of it on one page

Guarantees: names are stable; every file is written in one step, never half; a folder that is not a
run, or misses a part, is an ``InputError`` that says which part and which command makes it.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError, UsageError
from digitnet.files import is_occupied, make_folder, storage_errors, write_atomic, write_json
from digitnet.network.config import SCHEMA_VERSION, TrainConfig

TRANSFER_FILE, ENSEMBLE_FILE = "transfer.json", "ensemble.json"


@dataclass(frozen=True)
class Epoch:
    """One row of the history.

    Losses are mean cross-entropies; accuracies are shares. Training figures are means over the
    epoch while the weights change, with dropout and augmentation on; validation comes after it,
    with both off. Of a finder, ``val_accuracy`` is the share of pages on which it finds exactly
    what is there; on training pages that is not counted, which None says, and nothing in the file.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float | None
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says of each image of a split; arrays of one length."""

    index: NDArray[np.int64]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability_label: NDArray[np.float64]
    probability_predicted: NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """A run folder; nothing is read before it is asked for."""

    path: Path

    @property
    def checkpoint_file(self) -> Path:
        """Where training stands."""
        return self.path / "checkpoint.safetensors"

    @property
    def model_file(self) -> Path:
        """The trained network."""
        return self.path / "model.safetensors"

    @property
    def report_file(self) -> Path:
        """The report page."""
        return self.path / "report.html"

    @property
    def figures(self) -> Path:
        """The folder of pictures."""
        return self.path / "figures"

    @property
    def config(self) -> TrainConfig:
        """The settings."""
        values = self._json("config.json", "train")
        known = {f.name for f in fields(TrainConfig)}
        if values.get("schema_version") != SCHEMA_VERSION:
            raise InputError(
                f"{self.path / 'config.json'} has format {values.get('schema_version')}; "
                f"this digitnet reads format {SCHEMA_VERSION}."
            )
        try:
            return TrainConfig.from_dict({k: v for k, v in values.items() if k in known})
        except UsageError as error:
            raise InputError(f"{self.path / 'config.json'}: {error}") from error

    @property
    def data_sha256(self) -> dict[str, str]:
        """The data files that the run was trained on: name to SHA-256."""
        hashes = self._json("config.json", "train").get("data_sha256", {})
        if not isinstance(hashes, dict) or not all(isinstance(h, str) for h in hashes.values()):
            raise InputError(f"{self.path}/config.json: data_sha256 should map names to hashes.")
        return hashes

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model file, by which metrics name the network they were measured on.

        Of an ensemble it is that of each member's, sorted.
        """
        files = [*self.path.glob("seed*/model.safetensors")] if self.is_ensemble else []
        files = files or [self._existing("model.safetensors", "train")]
        with storage_errors(self.path, "read"):
            digests = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
        return ", ".join(digests)

    @property
    def environment(self) -> dict[str, Any]:
        """Versions and machine."""
        return self._json("environment.json", "train")

    @property
    def metrics(self) -> dict[str, Any]:
        """Everything in ``metrics.json``."""
        return self._json("metrics.json", "evaluate")

    @property
    def transfer(self) -> dict[str, Any] | None:
        """Everything in ``transfer.json``; None for a network that was trained from nothing."""
        there = (self.path / TRANSFER_FILE).is_file()
        return self._json(TRANSFER_FILE, "transfer") if there else None

    @property
    def is_ensemble(self) -> bool:
        """Whether the folder is that of an ensemble, whose members are runs in it."""
        return (self.path / ENSEMBLE_FILE).is_file()

    @property
    def ensemble(self) -> dict[str, Any]:
        """Everything in ``ensemble.json``."""
        return self._json(ENSEMBLE_FILE, "train")

    @property
    def history(self) -> list[Epoch]:
        """One row for each finished epoch."""
        types = (int, float, float, _number_or_none, float, float, float)
        rows = _read_csv(self._existing("history.csv", "train"), Epoch, types)
        return [Epoch(*row) for row in rows]

    @property
    def predictions(self) -> Predictions:
        """Labels and predictions of the test images."""
        return read_predictions(self._existing("predictions.csv", "evaluate"))

    def write_config(
        self, config: TrainConfig, sha256: dict[str, str], names: Iterable[str]
    ) -> None:
        """Write ``config.json``: the settings, and what the data was."""
        about = {"data_sha256": sha256, "class_names": list(names)}
        values = {"schema_version": SCHEMA_VERSION, **config.as_dict(), **about}
        write_json(self.path / "config.json", values)

    def write_environment(self, environment: dict[str, Any]) -> None:
        """Write ``environment.json``."""
        write_json(self.path / "environment.json", environment)

    def write_history(self, history: Iterable[Epoch]) -> None:
        """Write ``history.csv``."""
        write_csv(self.path / "history.csv", [f.name for f in fields(Epoch)], map(astuple, history))

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write ``metrics.json``, and remove a report of another network than they are of."""
        with contextlib.suppress(InputError), storage_errors(self.report_file, "remove"):
            if self.metrics.get("model_sha256") != metrics.get("model_sha256"):
                self.report_file.unlink(missing_ok=True)
        write_json(self.path / "metrics.json", metrics)

    def write_transfer(self, about: dict[str, Any]) -> None:
        """Write ``transfer.json``."""
        write_json(self.path / TRANSFER_FILE, about)

    def write_predictions(self, predictions: Predictions) -> None:
        """Write ``predictions.csv``."""
        write_predictions(self.path / "predictions.csv", predictions)

    def _existing(self, name: str, verb: str) -> Path:
        file = self.path / name
        if not file.is_file():
            tail = "" if verb == "train" else f" `digitnet {verb} {self.path}` makes it."
            raise InputError(f"The run {self.path} has no {name}.{tail}")
        return file

    def _json(self, name: str, verb: str) -> dict[str, Any]:
        file = self._existing(name, verb)
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{file} is not readable JSON: {error}.") from error
        if not isinstance(values, dict):
            raise InputError(f"{file} should hold a JSON object, not {type(values).__name__}.")
        return values


def open_run(path: Path | str | Run) -> Run:
    """Return the run in the folder ``path``.

    Raises:
        InputError: there is no such folder, or it is not a run.
    """
    if isinstance(path, Run):
        return path
    path = Path(path)
    with storage_errors(path, "read"):
        if not path.is_dir():
            raise InputError(f"There is no run folder {path}.")
        if Run(path).is_ensemble:
            raise InputError(
                f"{path} holds an ensemble. What is needed here is the run of one network, such as "
                "one of those in it."
            )
        if not (path / "config.json").is_file():
            inside = next((each.parent for each in sorted(path.glob("*/config.json"))), None)
            hint = f"There is one in it: {inside}." if inside else "`digitnet train` makes one."
            raise InputError(f"{path} is not a run folder: it has no config.json. {hint}")
    return Run(path)


def create_run(out: Path | str | None, name: str, *, resumes: bool = True) -> Run:
    """Make the folder of a new run: ``out``, or a fresh one under ``runs/``.

    Args:
        out: the folder, or None.
        name: what a fresh one is called after.
        resumes: whether the command can continue a run that is in ``out``, as the error then says.

    Raises:
        UsageError: ``out`` already holds something.
        StorageError: it cannot be made.
    """
    if out is not None:
        path = Path(out)
        if is_occupied(path):
            begun = (path / name for name in ("config.json", ENSEMBLE_FILE))
            is_run = resumes and any(file.is_file() for file in begun)
            remedy = f", or continue the run that is in it with --resume {path}" if is_run else ""
            raise UsageError(f"--out {path} is not empty. Name a new folder{remedy}.")
        return Run(make_folder(path))
    name = name.replace("/", "-")  # A recipe of the user's may be called anything.
    make_folder(Path("runs"))
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    for attempt in itertools.count(1):
        path = Path("runs") / (f"{name}-{stamp}" + (f"-{attempt}" if attempt > 1 else ""))
        # mkdir is the lock: of two runs started in the same second, one gets the next name.
        with storage_errors(path, "make the folder"), contextlib.suppress(FileExistsError):
            path.mkdir()
            break
    return Run(path)


def _number_or_none(text: str) -> float | None:
    return float(text) if text else None


def write_csv(path: Path, header: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file atomically; floats keep every digit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomic(path, text.getvalue())


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a table of predictions, which ``read_predictions`` reads."""
    names = [field.name for field in fields(Predictions)]
    columns = [getattr(predictions, name).tolist() for name in names]
    write_csv(path, names, zip(*columns, strict=True))


def read_predictions(path: Path) -> Predictions:
    """Read a table that ``write_predictions`` wrote.

    Raises:
        InputError: it is not such a table.
    """
    rows = _read_csv(path, Predictions, (np.int64, np.int64, np.int64, float, float))
    columns: list[Any] = list(zip(*rows, strict=True)) or [()] * 5
    index, label, predicted = (np.array(column, np.int64) for column in columns[:3])
    return Predictions(index, label, predicted, np.array(columns[3]), np.array(columns[4]))


def _read_csv(path: Path, row: type, types: Iterable[Callable[[str], Any]]) -> list[list[Any]]:
    """Return the rows of a table whose columns are the fields of ``row``, of these types."""
    header = [field.name for field in fields(row)]
    try:
        with storage_errors(path, "read"), path.open(newline="", encoding="utf-8") as stream:
            lines = csv.reader(stream)
            if next(lines, None) != header:
                raise ValueError("its columns are others")
            return [[to(text) for to, text in zip(types, line, strict=True)] for line in lines]
    except (csv.Error, ValueError, OverflowError) as error:
        raise InputError(f"{path} is not a table of {', '.join(header)}: {error}.") from error
