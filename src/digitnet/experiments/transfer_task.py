"""What transfer starts from and what it learns: a pretrained network, the old task, the new one.

Guarantees:

- A network is named by its SHA-256; loading it runs no code from the file.
- The images of its task are looked for offline (``known_task``), unless they are asked for by name.
- Images to validate on, and those of the old task to calibrate with, are never learned from.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import Dataset
from digitnet.errors import DataUnavailableError, InputError, UsageError
from digitnet.experiments.transfer_results import RATES, TUNING, Method, TransferConfig, in_order
from digitnet.network.cnn import CNN
from digitnet.network.config import TrainConfig
from digitnet.synthesis.nondigits import draw_non_digits
from digitnet.training.calibration import set_aside
from digitnet.training.checkpoint import load_model, read_tensors
from digitnet.training.device import CPU, resolve_device, resolve_threads
from digitnet.training.loop import choose_images
from digitnet.training.runs import open_run
from digitnet.training.trained import Options, trained_model

# Images of the old task to choose from when it is replayed, and drawings of no digit.
_REPLAYED, _DRAWINGS = 6_000, 400
# Drawings in a batch; few, because there are few of them and they are only to be kept in mind.
DRAWN = 4
SHIPPED = "digitnet"


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A trained network."""

    model: CNN
    class_names: tuple[str, ...]
    about: dict[str, Any]
    """What identifies it, as plain JSON values: name, SHA-256, data, recipe, classes, size."""

    @property
    def data(self) -> str:
        """The data set it was trained on."""
        return str(self.about["data"])


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
    model = None
    if file.is_dir():
        run = open_run(file)
        model, file = trained_model(run), run.model_file
    elif str(name) == SHIPPED and not file.exists():
        file = Path(str(importlib.resources.files("digitnet"))) / "assets" / "digitnet.safetensors"
    elif not file.exists():
        raise InputError(
            f"There is no network {name}. Name a run folder, a model.safetensors file, or "
            f"'{SHIPPED}' for the network that comes with digitnet."
        )
    model = model or load_model(file)
    _, saved = read_tensors(file, "model")
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
    wanted = TUNING.override(data=name or source.data, crops=source.model.config.crops)
    old = None
    try:
        old = (options if name else Options(data_dir=options.data_dir, offline=True)).load(wanted)
    except (DataUnavailableError, InputError, UsageError):
        # Not fetched, a folder of pictures that is no more, a data set of another digitnet.
        if name:
            raise
        if source.data == "mnist":
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
        f"The images of the old task ({source.data or 'unknown'}) are not on this machine: "
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
    device, opened = resolve_device(options.device), load_pretrained(source)
    if not isinstance(data, Dataset):
        data = options.load(TUNING.override(data=str(data), crops=config.crops))
    old = known_task(opened, old_data, options)
    return TransferTask(opened, data, old, config, device, options.on_message)


@dataclass(frozen=True, eq=False)
class TransferTask:
    """A pretrained network, what it is to learn, and what it knows."""

    source: Pretrained
    target: Dataset
    old: Dataset | None
    config: TransferConfig
    device: torch.device = CPU
    on_message: Callable[[str], None] = lambda _: None

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
        images = len(choose_images(config, self.target.train_labels)[0])
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

    def budgets(self) -> list[int]:
        """Return the label budgets that the data allow, and name those that they do not."""
        train, _ = choose_images(TUNING, self.target.train_labels)
        most = int(np.bincount(self.target.train_labels[train]).min())
        wanted = in_order(set(self.config.labels))
        if too_many := [labels for labels in wanted if labels > most]:
            self.on_message(
                f"{self.target.name} has {most:,} images of its smallest class to learn from: "
                f"{', '.join(map(str, too_many))} of each class {'are' if too_many[1:] else 'is'} "
                "left out."
            )
        return [labels for labels in wanted if labels <= most]
