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
from digitnet.experiments.transfer.comparison import (
    AUGMENTATION,
    BATCH_SIZE,
    LABEL_SMOOTHING,
    RATES,
    WEIGHT_DECAY,
    Method,
    TransferConfig,
)
from digitnet.network.cnn import CNN
from digitnet.network.config import TrainConfig
from digitnet.synthesis.nondigits import draw_non_digits
from digitnet.training.batches import Batches
from digitnet.training.calibration import set_aside
from digitnet.training.checkpoint import load_model, read_tensors
from digitnet.training.device import CPU, resolve_threads
from digitnet.training.loop import choose_images
from digitnet.training.runs import open_run
from digitnet.training.trained import trained_model

# Images of the old task to choose from when it is replayed, and drawings of no digit.
_REPLAYED, _DRAWINGS = 6_000, 400
# Drawings in a batch; few, because there are few of them and they are only to be kept in mind.
DRAWN = 4
SHIPPED = "digitnet"
_SHIPPED_FILE = "digitnet.safetensors"


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A trained network."""

    name: str
    """How the user called it."""
    model: CNN
    sha256: str
    class_names: tuple[str, ...]
    data: str
    """The data set it was trained on."""
    recipe: str

    def as_dict(self) -> dict[str, Any]:
        """Return what identifies it."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "data": self.data,
            "recipe": self.recipe,
            "classes": list(self.class_names),
            "parameters": self.model.num_parameters,
            "crops": self.model.config.crops,
        }


def load_pretrained(name: Path | str = SHIPPED) -> Pretrained:
    """Return a network to start from.

    Args:
        name: a run folder, a ``model.safetensors``, or "digitnet" for the network that is shipped.

    Raises:
        InputError: there is no such network, or the run has none yet.
        IntegrityError: the file is damaged or something else.
    """
    if str(name) == SHIPPED and not Path(name).exists():
        resource = importlib.resources.files("digitnet") / "assets" / _SHIPPED_FILE
        with importlib.resources.as_file(resource) as file:
            return _pretrained(SHIPPED, file, None)
    path = Path(name)
    if path.is_dir():
        run = open_run(path)
        return _pretrained(str(name), run.model_file, trained_model(run))
    if path.suffix == ".onnx":
        raise InputError(
            f"{path} is made for recognition and cannot be trained on. Name the run folder that it "
            "was exported from, or its model.safetensors."
        )
    if not path.exists():
        raise InputError(
            f"There is no network {name}. Name a run folder, a model.safetensors file, or "
            f"'{SHIPPED}' for the network that comes with digitnet."
        )
    return _pretrained(str(name), path, None)


def _pretrained(name: str, file: Path, model: CNN | None) -> Pretrained:
    model = model or load_model(file)
    _, about = read_tensors(file, "model")
    return Pretrained(
        name=name,
        model=model,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        class_names=tuple(map(str, about.get("class_names", ()))),
        data=str(about.get("data", "")),
        recipe=str(about.get("recipe", "")),
    )


def known_task(
    source: Pretrained, name: str | None, on_message: Callable[[str], None], **where: Any
) -> Dataset | None:
    """Return the images of the task that ``source`` knows, or None where they are not here.

    Args:
        source: the network.
        name: the data set, which is then fetched if need be; None takes the source's own if that
            needs no download, and else, for MNIST, the sample of it that ships.
        on_message: called with a line about what is missing.
        **where: ``data_dir``, ``offline``: as for ``load_dataset``.

    Raises:
        InputError: the data set has other classes than the network.
        DataUnavailableError: the data set was named and cannot be had.
    """
    if name is not None:
        old = load_dataset(name, crops=source.model.config.crops, progress=on_message, **where)
        if old.class_names != source.class_names:
            raise InputError(
                f"--old-data {name} has the classes {', '.join(old.class_names[:12])}, but the "
                f"network knows {', '.join(source.class_names[:12])}. Name the data that it was "
                "trained on."
            )
        return old
    known = _offline(source, where.get("data_dir"))
    if known is None and source.data == "mnist":
        on_message("MNIST is not in the cache; the sample of it that ships is used instead.")
        known = load_dataset("sample")
    if known is None or known.class_names != source.class_names:
        on_message(
            f"The images of the old task ({source.data or 'unknown'}) are not on this machine: "
            "nothing is replayed and nothing measured on them. Name them with --old-data."
        )
        return None
    return known


def _offline(source: Pretrained, data_dir: Any) -> Dataset | None:
    crops = source.model.config.crops
    try:
        return load_dataset(source.data, crops=crops, data_dir=data_dir, offline=True)
    except (DataUnavailableError, InputError, UsageError):
        # Not fetched, a folder of pictures that is no more, a data set of another digitnet.
        return None


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
        base = TrainConfig(model=self.source.model.config).override(
            num_classes=classes, reject=self.refuses, crops=self.config.crops
        )
        config = base.override(
            recipe="transfer",
            data=self.target.name,
            seed=seed,
            train_images=labels * classes,
            batch_size=BATCH_SIZE,
            optimizer="adamw",
            schedule="warm-cosine",
            learning_rate=RATES.get(method, RATES["all"])["learning_rate"],
            weight_decay=WEIGHT_DECAY,
            label_smoothing=LABEL_SMOOTHING,
            non_digits=DRAWN / BATCH_SIZE if self.refuses else 0.0,
            threads=self.config.threads,
            augmentation=AUGMENTATION,
        )
        images = len(choose_images(config, self.target.train_labels)[0])
        new, _ = self.batch_parts(method)
        epochs = math.ceil(self.config.steps_for(images) / math.ceil(images / new))
        return resolve_threads(config.override(epochs=epochs))

    def batch_parts(self, method: Method) -> tuple[int, int]:
        """Return how many images of a batch are of the new task and of the old one."""
        # The rival knows nothing that could be forgotten: its batches are all of the new task.
        replayed = 0 if method == "scratch" or self.replayed is None else self.config.replayed
        old = round(BATCH_SIZE * replayed)
        return max(1, BATCH_SIZE - old - DRAWN * self.refuses), old

    @functools.cached_property
    def replayed(self) -> NDArray[np.int64] | None:
        """Indices of the old images to replay; None where there are none, or none are wanted."""
        if self.old is None or not self.config.replayed:
            return None
        free = np.setdiff1d(np.arange(len(self.old.train_images)), set_aside(self.old))
        return np.random.default_rng(0).permutation(free)[:_REPLAYED]

    def old_batches(self, config: TrainConfig) -> Batches | None:
        """Return the old images to replay, distorted as the new ones are."""
        if self.old is None or self.replayed is None:
            return None
        images = torch.from_numpy(self.old.train_images[self.replayed])
        labels = torch.from_numpy(self.old.train_labels[self.replayed])
        return Batches(images, labels, config, self.old.class_names, self.device)

    def drawings(self, new: NDArray[np.uint8]) -> Tensor | None:
        """Return drawings of no digit, uint8 (400, 40, 40), made of old digits or else of new."""
        if not self.refuses:
            return None
        return self._of_old_digits if self.replayed is not None else self._drawn(new)

    @functools.cached_property
    def _of_old_digits(self) -> Tensor:
        assert self.old is not None
        return self._drawn(self.old.train_images[self.replayed])

    def _drawn(self, digits: NDArray[np.uint8]) -> Tensor:
        drawn, _ = draw_non_digits(_DRAWINGS, 0, digits)
        return torch.from_numpy(drawn).to(self.device)

    def budgets(self) -> list[int]:
        """Return the label budgets that the data allow, and name those that they do not."""
        config = TrainConfig()
        train, _ = choose_images(config, self.target.train_labels)
        most = int(np.bincount(self.target.train_labels[train]).min())
        wanted = sorted(set(self.config.labels), key=lambda labels: (labels == 0, labels))
        if too_many := [labels for labels in wanted if labels > most]:
            self.on_message(
                f"{self.target.name} has {most:,} images of its smallest class to learn from: "
                f"{', '.join(map(str, too_many))} of each class {'are' if too_many[1:] else 'is'} "
                "left out."
            )
        return [labels for labels in wanted if labels <= most]
