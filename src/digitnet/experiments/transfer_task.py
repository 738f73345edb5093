"""What transfer starts from and what it learns: a pretrained network, both tasks, their batches.

Guarantees:

- A network is named by its SHA-256; loading it runs no code from the file.
- The images of its task are looked for offline (``known_task``), unless they are asked for by name.
- Images to validate on, and those of the old task to calibrate with, are never learned from.
- In a row of writing the digit stays whole and in the middle, so that its label stays true.
"""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from numpy.typing import NDArray
from torch import Tensor, nn

from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import Dataset
from digitnet.errors import DataUnavailableError, InputError, UsageError
from digitnet.experiments.transfer_results import RATES, TUNING, Method, TransferConfig, in_order
from digitnet.network.canonical import Canonical
from digitnet.network.cnn import CNN, to_float
from digitnet.network.config import TrainConfig
from digitnet.synthesis.nondigits import draw_non_digits
from digitnet.training.batches import Batch, Batches, partly_softened
from digitnet.training.calibration import set_aside
from digitnet.training.checkpoint import SHIPPED_MODEL, read_model
from digitnet.training.device import resolve_device, resolve_threads
from digitnet.training.loop import Training, choose_images
from digitnet.training.runs import open_run
from digitnet.training.trained import Options, trained_model

# Images of the old task to choose from when it is replayed, and drawings of no digit.
_REPLAYED, _DRAWINGS = 6_000, 400
# Drawings in a batch; few, because there are few of them and they are only to be kept in mind.
DRAWN = 4
SHIPPED = "digitnet"

# The canvas of a row of writing, in pixels of a 28-pixel image.
HEIGHT, WIDTH = 40, 64
_MIDDLE = WIDTH / 2
_NEIGHBOUR, _STOP, _RULE = 0.6, 0.25, 0.2
# The slant of a row, in degrees to the right: mean and standard deviation.
_SLANT = (12.0, 12.0)
# How far beyond the digit the picture may reach, in pixels.
_REACH = 9.0


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A trained network."""

    model: CNN
    class_names: tuple[str, ...]
    about: dict[str, Any]
    """What identifies it, as plain JSON values: name, SHA-256, data, recipe, classes, size."""


def load_pretrained(name: Path | str = SHIPPED) -> Pretrained:
    """Return a network to start from.

    Args:
        name: a run folder, a ``model.safetensors``, or "digitnet" for the network that is shipped.

    Raises:
        InputError: there is no such network, or the run has none yet.
        IntegrityError: the file is damaged or something else.
    """
    file = Path(name)
    if file.suffix == ".onnx":
        raise InputError(
            f"{file} is made for recognition and cannot be trained on. Name the run folder that it "
            "was exported from, or its model.safetensors."
        )
    run = open_run(file) if file.is_dir() else None
    if run:
        file = run.model_file
    elif str(name) == SHIPPED and not file.exists():
        file = SHIPPED_MODEL
    elif not file.exists():
        raise InputError(
            f"There is no network {name}. Name a run folder, a model.safetensors file, or "
            f"'{SHIPPED}' for the network that comes with digitnet."
        )
    model, saved = trained_model(run) if run else read_model(file)
    about = {
        "name": str(name),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "data": saved.get("data", ""),
        "recipe": saved.get("recipe", ""),
        "classes": saved.get("class_names", []),
        "parameters": model.num_parameters,
        "crops": model.config.crops,
    }
    return Pretrained(model, tuple(about["classes"]), about)


def known_task(source: Pretrained, name: str | None, options: Options) -> Dataset | None:
    """Return the images of the task that ``source`` knows, or None where they are not here.

    Args:
        source: the network.
        name: the data set, which is then fetched if need be; None takes the source's own if that
            needs no download, and else, for MNIST, the sample of it that ships.
        options: where data are, and who is told what is missing.

    Raises:
        InputError: the data set has other classes than the network.
        DataUnavailableError: the data set was named and cannot be had.
    """
    own = source.about["data"]
    wanted = TUNING.override(data=name or own, crops=source.model.config.crops)
    old = None
    try:
        old = (options if name else Options(data_dir=options.data_dir, offline=True)).load(wanted)
    except (DataUnavailableError, InputError, UsageError):
        # Not fetched, a folder of pictures that is no more, a data set of another digitnet.
        if name:
            raise
        if own == "mnist":
            options.on_message(
                "MNIST is not in the cache; the sample of it that ships is used instead."
            )
            old = load_dataset("sample")
    if old and old.class_names == source.class_names:
        return old
    if old and name:
        raise InputError(
            f"--old-data {name} has the classes {', '.join(old.class_names[:12])}, but the "
            f"network knows {', '.join(source.class_names[:12])}. Name the data that it was "
            "trained on."
        )
    options.on_message(
        f"The images of the old task ({own or 'unknown'}) are not on this machine: "
        "nothing is replayed and nothing measured on them. Name them with --old-data."
    )
    return None


def open_task(
    data: Path | str | Dataset,
    source: Path | str = SHIPPED,
    config: TransferConfig | None = None,
    old_data: str | None = None,
    options: Options | None = None,
) -> TransferTask:
    """Load a network and the data of both tasks.

    Args:
        data: what to learn: a data set's name, a folder of pictures, or the images themselves.
        source: as for ``load_pretrained``.
        config: how it is learned.
        old_data: the name of the old task's data set, as for ``known_task``.
        options: where data are, the device, and who is told what.
    """
    config, options = config or TransferConfig(), options or Options()
    resolve_device(options.device)  # before anything is fetched
    opened = load_pretrained(source)
    if opened.model.config.reject and not opened.model.config.canonical:
        raise UsageError(
            f"--from cannot be {source}: that network refuses what is no digit, but does not begin "
            "with the canonical image, so what it is to refuse cannot be drawn for it. Start from "
            "one that was trained with --canonical."
        )
    if not isinstance(data, Dataset):
        data = options.load(TUNING.override(data=str(data), crops=config.crops))
    old = known_task(opened, old_data, options)
    return TransferTask(opened, data, old, config, options)


@dataclass(frozen=True, eq=False)
class TransferTask:
    """A pretrained network, what it is to learn, and what it knows."""

    source: Pretrained
    target: Dataset
    old: Dataset | None
    config: TransferConfig
    options: Options

    @property
    def device(self) -> torch.device:
        """Where networks learn."""
        return resolve_device(self.options.device)

    @property
    def same_classes(self) -> bool:
        """Whether the new task has the classes of the old one, in the same order."""
        return self.target.class_names == self.source.class_names

    @property
    def refuses(self) -> bool:
        """Whether the tuned network learns to refuse what is none of the classes."""
        return self.source.model.config.reject and self.same_classes

    def train_config(self, method: Method, labels: int, seed: int) -> TrainConfig:
        """Return the settings of a tuned network, as its run folder keeps them.

        Raises:
            UsageError: there are not so many images of each class.
        """
        if not 0 <= labels <= self.most_labels:
            most = f"of the smallest class there are {self.most_labels:,} to learn from"
            raise UsageError(f"--use cannot be {labels} (labels={labels} in Python); {most}.")
        classes = len(self.target.class_names)
        config = TUNING.override(model=self.source.model.config).override(
            num_classes=classes,
            reject=self.refuses,
            crops=self.config.crops,
            data=self.target.name,
            seed=seed,
            train_images=labels * classes,
            learning_rate=RATES.get(method, RATES["all"])["learning_rate"],
            non_digits=DRAWN / TUNING.batch_size if self.refuses else 0.0,
            threads=self.config.threads,
        )
        images = len(choose_images(config, self.target)[0])
        new, _ = self.batch_parts(method)
        epochs = math.ceil(self.config.steps_for(images) / math.ceil(images / new))
        return resolve_threads(config.override(epochs=epochs))

    def batch_parts(self, method: Method) -> tuple[int, int]:
        """Return how many images of a batch are of the new task and of the old one."""
        # The rival knows nothing that could be forgotten: its batches are all of the new task.
        replayed = 0 if method == "scratch" or self.replayed is None else self.config.replayed
        old = round(TUNING.batch_size * replayed)
        return max(1, TUNING.batch_size - old - DRAWN * self.refuses), old

    @functools.cached_property
    def replayed(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
        """Old images and labels to replay; None where there are none, or none are wanted."""
        if self.old is None or not self.config.replayed:
            return None
        free = np.setdiff1d(np.arange(len(self.old.train_images)), set_aside(self.old))
        chosen = np.random.default_rng(0).permutation(free)[:_REPLAYED]
        return self.old.train_images[chosen], self.old.train_labels[chosen]

    def drawings(self, new: NDArray[np.uint8]) -> Tensor | None:
        """Return drawings of no digit, uint8 (400, 40, 40), made of old digits or else of new."""
        if not self.refuses:
            return None
        drawn, _ = draw_non_digits(_DRAWINGS, 0, self.replayed[0] if self.replayed else new)
        return torch.from_numpy(drawn).to(self.device)

    @functools.cached_property
    def most_labels(self) -> int:
        """How many images of the smallest class there are to learn from."""
        train, _ = choose_images(TUNING, self.target)
        return int(np.bincount(self.target.train_labels[train]).min())

    def budgets(self) -> list[int]:
        """Return the label budgets that the data allow, and name those that they do not."""
        most, wanted = self.most_labels, in_order(set(self.config.labels))
        if too_many := [labels for labels in wanted if labels > most]:
            self.options.on_message(
                f"{self.target.name} has {most:,} images of its smallest class to learn from: "
                f"{', '.join(map(str, too_many))} of each class {'are' if too_many[1:] else 'is'} "
                "left out."
            )
        return [labels for labels in wanted if labels <= most]


class ReplayBatches(Batches):
    """Batches of the new task, followed by drawings of no digit and images of the old task.

    Images are what the network's first layer takes: canonical where the network is.
    """

    def __init__(self, training: Training, task: TransferTask, method: Method) -> None:
        plain, images = training.config.override(non_digits=0.0), training.train_images
        super().__init__(images, training.train_labels, plain, task.target.class_names, task.device)
        _, self._replayed = task.batch_parts(method)
        self._crops, self._drawings = task.config.crops, task.drawings(images.numpy())
        self._old: Batches | None = None
        if task.replayed and self._replayed:
            old_images, old_labels = map(torch.from_numpy, task.replayed)
            names = task.source.class_names
            self._old = Batches(old_images, old_labels, plain, names, task.device)
        canonical = plain.model.canonical or self._crops
        self._canonical = Canonical() if canonical else nn.Identity()

    def batch(self, indices: Tensor) -> Batch:
        """Return the images at ``indices``, then drawings, then images of the old task."""
        with self.device:
            new = super().batch(indices)
            parts = [(new.images, new.labels)]
            if self._drawings is not None:
                some = self._drawings[torch.randint(len(self._drawings), (DRAWN,))]
                drawn = self.distorted(partly_softened(to_float(some)))
                parts.append((drawn, torch.full((DRAWN,), self.config.model.num_classes)))
            if self._old:
                parts += self._some_old(self._old)
            images, labels = zip(*parts, strict=True)
            return Batch(torch.cat([*map(self._canonical, images)]), torch.cat(labels), new.count)

    def _some_old(self, old: Batches) -> list[tuple[Tensor, Tensor]]:
        """Return old images: some as they are, some distorted, some in rows of writing."""
        chosen = torch.randint(len(old), (self._replayed,))
        as_they_are, others = chosen[: self._replayed // 3], chosen[self._replayed // 3 :]
        parts = [(to_float(old.images[as_they_are]), old.labels[as_they_are])]
        if self._crops:
            in_rows, others = others[: len(others) // 2], others[len(others) // 2 :]
            parts.append((in_a_row(to_float(old.images[in_rows])), old.labels[in_rows]))
        distorted = old.batch(others)
        return [*parts, (distorted.images, distorted.labels)]


def in_a_row(digits: Tensor) -> Tensor:
    """Return rows of writing with each of ``digits`` in the middle.

    They hold what cuts of old registers and forms do: neighbours on both sides, cut off where the
    picture ends, a full stop, rests of ruled lines, and the slant of the whole row.

    Args:
        digits: float32 (N, 1, 28, 28) in [0, 1]; neighbours are taken from them too.

    Returns:
        Inks, float32 (N, 1, 40, 64) in [0, 1].
    """
    count = len(digits)
    left, right = _sides(digits)
    row = _placed(digits, torch.zeros_like(left), torch.zeros_like(left))
    for side in (-1, 1):
        others = digits[torch.randint(count, (count,))]
        others = others * (torch.rand(count, 1, 1, 1) < _NEIGHBOUR)
        inner, outer = (right, _sides(others)[0]) if side > 0 else (left, _sides(others)[1])
        shift = inner - outer + side * _uniform(count, -1.5, 4.0)
        row = torch.maximum(row, _placed(others, shift, _uniform(count, -2.5, 2.5)))
    row = torch.maximum(row, _full_stops(_MIDDLE - 14 + right))
    x, _ = _positions()
    start = _MIDDLE - 14 + left - _uniform(count, 0, _REACH)
    end = _MIDDLE - 13 + right + _uniform(count, 0, _REACH)
    row = row * ((x > start) & (x < end))
    for _ in range(2):
        row = torch.maximum(row, _rules(count))
    return _slanted(row)


def _positions() -> tuple[Tensor, Tensor]:
    """Return the middles of the canvas's pixels, across (64,) and down (40, 1)."""
    return torch.arange(WIDTH) + 0.5, torch.arange(HEIGHT)[:, None] + 0.5


def _uniform(count: int, low: float, high: float) -> Tensor:
    """Return a random number for each image, (N, 1, 1, 1)."""
    return torch.rand(count, 1, 1, 1) * (high - low) + low


def _sides(digits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and the last column of each digit, (N, 1, 1, 1); of a blank 28 and -1."""
    present = digits.amax(2, keepdim=True) > 0.4
    columns = torch.arange(28.0)
    first = torch.where(present, columns, 28.0).amin(3, keepdim=True)
    return first, torch.where(present, columns, -1.0).amax(3, keepdim=True)


def _placed(digits: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Return canvases with each digit moved from the middle by whole pixels."""
    x, y = _positions()
    across = (x - _MIDDLE - right.round()).expand(-1, 1, HEIGHT, -1)
    along = (y - HEIGHT / 2 - down.round()).expand(-1, 1, -1, WIDTH)
    # From pixels to the unit of the grid, in which a digit is 2 wide.
    grid = torch.cat((across, along), dim=1).permute(0, 2, 3, 1) / 14
    return F.grid_sample(digits, grid, mode="nearest", align_corners=False)


def _full_stops(right: Tensor) -> Tensor:
    """Return canvases some of which hold a dot at the foot of the digit that ends at ``right``."""
    count = len(right)
    x, y = _positions()
    across, down = x - right - _uniform(count, 1, 4), y - _uniform(count, 26, 32)
    radius = _uniform(count, 0.7, 2.0) * (torch.rand(count, 1, 1, 1) < _STOP)
    dots = (radius - torch.hypot(across, down) + 0.5).clamp(0, 1)
    return dots * (radius > 0)


def _rules(count: int) -> Tensor:
    """Return canvases some of which hold a bit of a line, upright beside the digit or level."""
    x, y = _positions()
    side = torch.where(_uniform(count, 0, 1) < 0.5, -1.0, 1.0)
    upright = _uniform(count, 0, 1) < 0.6
    beside = _MIDDLE + side * _uniform(count, 7, 16)
    level = torch.where(side > 0, _uniform(count, 27, 36), _uniform(count, 4, 10))
    distance = torch.where(upright, (beside - x).abs(), (level - y).abs())
    line = (_uniform(count, 0.5, 1.6) - distance + 0.5).clamp(0, 1)
    near = (x - _MIDDLE).abs() < _uniform(count, 8, 18)
    near = near & ((y - HEIGHT / 2).abs() < _uniform(count, 8, 18))
    strength = _uniform(count, 0.4, 1.0) * (_uniform(count, 0, 1) < _RULE)
    return line * near * strength


def _slanted(rows: Tensor) -> Tensor:
    mean, spread = _SLANT
    degrees = mean + spread * torch.randn(len(rows)).clamp(-3, 3)
    matrices = torch.eye(2, 3).repeat(len(rows), 1, 1)
    matrices[:, 0, 1] = torch.tan(torch.deg2rad(degrees)) * HEIGHT / WIDTH
    grid = F.affine_grid(matrices, list(rows.shape), align_corners=False)
    return F.grid_sample(rows, grid, align_corners=False)
