"""Methods, label budgets and seeds: each learns from the same images, and each is measured.

Guarantees:

- With one seed and budget, every method gets the same images of the new task.
- Validation images are never learnt from and test images never looked at but to report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from digitnet.data.dataset import Dataset, split_train_val, take_of_each_class
from digitnet.errors import InputError
from digitnet.experiments.transfer.methods import (
    AUGMENTATION,
    BATCH_SIZE,
    LABEL_SMOOTHING,
    NON_DIGITS,
    RATES,
    REPLAYED,
    TUNED,
    WEIGHT_DECAY,
    Method,
    TransferConfig,
)
from digitnet.experiments.transfer.probing import MOST_IMAGES, probe
from digitnet.experiments.transfer.results import Repetition
from digitnet.experiments.transfer.source import Source
from digitnet.experiments.transfer.stream import Pictures, Stream, drawings
from digitnet.experiments.transfer.tuning import Tuned, tune
from digitnet.network.cnn import CNN, predict_logits
from digitnet.network.config import TrainConfig
from digitnet.training.calibration import set_aside
from digitnet.training.loop import resolve_threads
from digitnet.training.runs import Epoch

# Shares to set aside for validation: the first that leaves an image of each class on either side.
_VAL_FRACTIONS = (0.1, 0.15, 0.2, 0.25, 1 / 3, 0.5)
# Fewer drawings than images: there are 400 of them, and they are only to be kept in mind.
_DRAWN = 4


@dataclass(frozen=True, eq=False)
class Task:
    """A source, what it is to learn, and what it knows."""

    source: Source
    target: Dataset
    old: Dataset | None
    config: TransferConfig
    on_message: Callable[[str], None] = lambda _: None

    @property
    def same_classes(self) -> bool:
        """Whether the new task has the classes of the old one, in the same order."""
        return self.target.class_names == self.source.class_names

    def train_config(self, method: Method, labels: int, seed: int) -> TrainConfig:
        """Return the settings of a network, as a run folder keeps them."""
        model = self.source.model.config
        reject = model.reject and self.same_classes
        base = TrainConfig(model=model).override(
            num_classes=len(self.target.class_names), reject=reject, crops=self.config.crops
        )
        count = labels * len(self.target.class_names)
        return resolve_threads(
            base.override(
                recipe="transfer",
                data=self.target.name,
                seed=seed,
                train_images=count,
                batch_size=BATCH_SIZE,
                optimizer="adamw",
                schedule="cosine",
                learning_rate=RATES.get(method, RATES["all"]).learning_rate,
                weight_decay=WEIGHT_DECAY,
                label_smoothing=LABEL_SMOOTHING,
                non_digits=_DRAWN / BATCH_SIZE if reject else 0.0,
                val_fraction=self.val_fraction,
                threads=self.config.threads,
                augmentation=AUGMENTATION,
            )
        )

    @property
    def val_fraction(self) -> float:
        """The share of the new task's training images that is set aside to validate on.

        Raises:
            InputError: a class has too few images.
        """
        for fraction in _VAL_FRACTIONS:
            try:
                split_train_val(self.target.train_labels, val_fraction=fraction)
            except InputError:
                continue
            return fraction
        counts = np.bincount(self.target.train_labels, minlength=len(self.target.class_names))
        name = self.target.class_names[int(counts.argmin())]
        raise InputError(
            f"The class {name} of {self.target.name} has {counts.min()} images to learn from; each "
            "class needs two or more, one of them to validate on."
        )

    def split(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the training images that may be learnt from, and those to validate on."""
        return split_train_val(self.target.train_labels, val_fraction=self.val_fraction)

    def images_for(self, labels: int, seed: int) -> Pictures:
        """Return ``labels`` images of each class, drawn by ``seed``; 0 gives all."""
        train, _ = self.split()
        target = self.target
        if labels:
            count = labels * len(target.class_names)
            train = take_of_each_class(train, target.train_labels, count, seed)
        return Pictures(target.train_images[train], target.train_labels[train])

    @property
    def val(self) -> Pictures:
        """The images of the new task that are validated on."""
        _, val = self.split()
        return Pictures(self.target.train_images[val], self.target.train_labels[val])

    def budgets(self) -> list[int]:
        """Return the label budgets that the data allow; those that they do not are told."""
        train, _ = self.split()
        most = int(np.bincount(self.target.train_labels[train]).min())
        wanted = sorted(set(self.config.labels), key=lambda labels: (labels == 0, labels))
        if too_many := [labels for labels in wanted if labels > most]:
            self.on_message(
                f"{self.target.name} has {most:,} images of its smallest class to learn from: "
                f"{', '.join(map(str, too_many))} a class {'is' if len(too_many) == 1 else 'are'} "
                "left out."
            )
        return [labels for labels in wanted if labels <= most]


class Learner:
    """Makes the networks of a task; what all of them share is made once."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._replayed = self._images_to_replay()
        self._drawn = self._drawings(self._replayed) if self._replayed else None

    def _images_to_replay(self) -> Pictures | None:
        old = self.task.old
        if old is None or not self.task.config.replayed:
            return None
        free = np.setdiff1d(np.arange(len(old.train_images)), set_aside(old))
        some = np.random.default_rng(0).permutation(free)[:REPLAYED]
        return Pictures(old.train_images[some], old.train_labels[some])

    def _drawings(self, digits: Pictures) -> Tensor | None:
        task = self.task
        if not (task.source.model.config.reject and task.same_classes):
            return None
        # Pairs and negatives are made of digits: with nothing to replay, of those that are learnt.
        return drawings(NON_DIGITS, 0, digits.images)

    def learn(
        self,
        method: Method,
        labels: int,
        seed: int,
        val: Pictures | None = None,
        on_epoch: Callable[[Epoch], None] = lambda _: None,
    ) -> tuple[Tuned, TrainConfig, int]:
        """Return a network, its settings, and how many images it learnt from.

        Args:
            method: any but zero-shot.
            labels: images of each class; 0 takes all.
            seed: of the choice of images and of everything drawn.
            val: images to validate on after each epoch.
            on_epoch: called after each.
        """
        task, config = self.task, self.task.train_config(method, labels, seed)
        new, same = task.images_for(labels, seed), task.same_classes
        drawn = self._drawn if self._replayed else self._drawings(new)
        if method not in TUNED:
            new = new.first(MOST_IMAGES)
            probed = probe(task.source.model, new, drawn, config, same_classes=same)
            return probed, config, len(new)
        # The rival knows nothing that could be forgotten: its batches are all of the new task.
        old = None if method == "scratch" else self._replayed
        sizes = self._sizes(old, drawn)

        def stream() -> Stream:
            crops = task.config.crops
            return Stream(new, old, drawn, config, sizes, crops=crops)

        steps = task.config.steps_for(len(new))
        settings: Any = {"same_classes": same, "val": val, "on_epoch": on_epoch}
        tuned = tune(task.source.model, stream, config, method, steps, len(new), **settings)
        return tuned, config, len(new)

    def _sizes(self, old: Pictures | None, drawn: Tensor | None) -> tuple[int, int, int]:
        """Return how many images of a batch are new, old and drawings."""
        drawings = 0 if drawn is None else _DRAWN
        replayed = round(BATCH_SIZE * self.task.config.replayed) if old else 0
        return max(1, BATCH_SIZE - replayed - drawings), replayed, drawings


def right(model: CNN, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> int:
    """Return how many images, uint8 (N, 28, 28), a network reads as their labels say."""
    logits = predict_logits(model, torch.from_numpy(images)).numpy()
    return int((logits.argmax(1) == labels).sum())


def compare(
    task: Task,
    on_repetition: Callable[[Repetition], None] = lambda _: None,
    known: Iterable[Repetition] = (),
    *,
    measure_old: bool = False,
) -> list[Repetition]:
    """Measure every method with every budget and seed.

    Args:
        task: what is compared.
        on_repetition: called with each repetition as soon as it is measured.
        known: repetitions measured before; they are not repeated.
        measure_old: whether every network is measured on the old task too, which takes longer than
            tuning with few labels.
    """
    found = {(r.method, r.labels, r.seed): r for r in known}
    learner = Learner(task)
    for key in _wanted(task):
        if key not in found:
            found[key] = _measured(learner, *key, measure_old=measure_old)
            on_repetition(found[key])
    return list(found.values())


def _wanted(task: Task) -> Iterable[tuple[Method, int, int]]:
    methods = task.config.methods
    if "zero-shot" in methods:
        if task.same_classes:
            yield "zero-shot", 0, 0
        else:
            task.on_message(
                "Zero-shot is left out: the classes of "
                f"{task.target.name} are not those that {task.source.name} knows."
            )
    for labels in task.budgets():
        for seed in range(task.config.seeds):
            for method in methods:
                # A probe draws nothing but images: on all of them it is always the same.
                same_again = method == "probe" and labels == 0 and seed > 0
                if method != "zero-shot" and not same_again:
                    yield method, labels, seed


def _measured(
    learner: Learner, method: Method, labels: int, seed: int, *, measure_old: bool
) -> Repetition:
    task, target = learner.task, learner.task.target
    old_accuracy, images, steps, seconds = None, 0, 0, 0.0
    if method == "zero-shot":
        model, knowing_old = task.source.model, task.source.model
    else:
        tuned, _, images = learner.learn(method, labels, seed)
        model, knowing_old = tuned.model, tuned.knowing_old()
        steps, seconds = tuned.steps, tuned.seconds
    read = right(model, target.test_images, target.test_labels)
    if measure_old and task.old and method != "scratch":
        old_accuracy = accuracy_on_old(task, knowing_old)
    return Repetition(
        method=method,
        labels=labels,
        seed=seed,
        images=images,
        steps=steps,
        seconds=seconds,
        accuracy=read / len(target.test_labels),
        misses=len(target.test_labels) - read,
        old_accuracy=old_accuracy,
    )


def accuracy_on_old(task: Task, model: CNN) -> float | None:
    """Return the share of the old task's test images that ``model`` reads; None without them."""
    if task.old is None:
        return None
    old = task.old
    return right(model, old.test_images, old.test_labels) / len(old.test_labels)


def about_target(task: Task) -> dict[str, Any]:
    """Return what tells the new task from others."""
    target = task.target
    return {
        "data": target.name,
        "data_sha256": target.sha256,
        "classes": list(target.class_names),
        "train_images": len(target.train_images),
        "test_images": len(target.test_images),
        "val_fraction": task.val_fraction,
        "same_classes": task.same_classes,
    }
