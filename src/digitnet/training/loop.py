"""Training: the loop, its history, and going on where it stopped.

Guarantees:

- Data live in memory as uint8; a batch is indexed, converted, augmented, and used.
- Validation images are set aside before anything else; the test images are never touched here.
- The same config gives the same weights, bit for bit, on the same machine with the same versions
  and the same number of threads. Elsewhere the last digits differ.
- Killed at any instant, ``Trainer.restore`` goes on from the last checkpoint and ends with the
  weights and the history (but for the seconds) of a run that was never killed.
- The caller's random state and thread count are as before when training ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from numpy.typing import NDArray
from torch import Tensor

from digitnet.data.dataset import Dataset, split_train_val, take_of_each_class
from digitnet.errors import IntegrityError, TrainingDivergedError, UsageError
from digitnet.machine import environment, usable_cores
from digitnet.network.cnn import CNN, predict_logits
from digitnet.network.config import TrainConfig, differences
from digitnet.training.batches import Batches
from digitnet.training.checkpoint import check_tensors, read_tensors, save_model, write_tensors
from digitnet.training.runs import Epoch, Run

# Steps between checkpoints: a few seconds of work, and a fraction of a per cent of the time.
CHECKPOINT_STEPS = 200


@dataclass(frozen=True)
class Progress:
    """Where training stands; given to ``on_progress`` after every step."""

    epoch: int
    """The epoch under way, from 1."""
    epochs: int
    step: int
    """Steps done in this epoch."""
    steps: int
    loss: float
    """Mean training loss of this epoch so far."""
    accuracy: float
    """Training accuracy of this epoch so far."""
    finished: Epoch | None = None
    """The epoch's row of the history, after its last step."""


@dataclass
class Position:
    """What has been done: whole epochs, then steps of the next one and their running sums."""

    epoch: int = 0
    step: int = 0
    images: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    stale_epochs: int = 0
    """Epochs since the validation loss was lowest; counts towards early stopping."""


class Trainer:
    """One training run in memory.

    Use it inside ``reproducible(config)``: it draws from torch's generator.

    Args:
        config: the settings, with ``threads`` resolved.
        dataset: training images are split into train and val; test is left alone.
    """

    def __init__(self, config: TrainConfig, dataset: Dataset) -> None:
        self.config = config
        train, val = choose_images(config, dataset.train_labels)
        self.train = _tensors(dataset, train)
        self.val_images, self.val_labels = _tensors(dataset, val)
        self.steps = math.ceil(len(train) / config.batch_size)
        self.model = CNN(config.model)
        self.optimizer = _optimizer(self.model, config)
        self.position = Position()
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}

    @functools.cached_property
    def batches(self) -> Batches:
        """The training images; made when first asked for, which may take minutes."""
        return Batches(*self.train, self.config)

    @property
    def finished(self) -> bool:
        """True when no epoch is left, or early stopping has ended the training."""
        patience = self.config.early_stopping
        stopped = bool(patience) and self.position.stale_epochs >= patience
        return stopped or self.position.epoch >= self.config.epochs

    def run_epoch(self, after_step: Callable[[Progress], None] = lambda _: None) -> Iterator[None]:
        """Train for the rest of an epoch and validate; yields after each step.

        A generator, so that the caller can save or stop between any two steps.
        """
        self.model.train()
        order = self._order()
        for step in range(self.position.step, self.steps):
            started = time.perf_counter()
            indices = order[step * self.config.batch_size : (step + 1) * self.config.batch_size]
            self._step(indices)
            if self.position.step == self.steps:
                self._end_epoch(started)
                after_step(self._progress(self.history[-1]))
            else:
                self.position.seconds += time.perf_counter() - started
                after_step(self._progress())
            yield

    def _order(self) -> Tensor:
        """Return the order of the images in this epoch: a function of the seed and the epoch."""
        # Apart from the stream that augmentation and dropout draw from, so that an epoch can be
        # entered in its middle.
        generator = torch.Generator()
        generator.manual_seed(self.config.seed * 1_000_003 + self.position.epoch)
        return torch.randperm(len(self.train[0]), generator=generator)

    def _step(self, indices: Tensor) -> None:
        """Update the weights once, on the images at ``indices``."""
        images, labels = self.batches.batch(indices)
        self._set_learning_rate()
        self.optimizer.zero_grad()
        logits = self.model(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        if not bool(torch.isfinite(loss)):
            raise TrainingDivergedError(
                f"Training diverged in epoch {self.position.epoch + 1}, step "
                f"{self.position.step + 1}: the loss is {loss.item()}. The last checkpoint is "
                f"untouched. Train anew with a smaller --learning-rate than "
                f"{self.config.learning_rate:g}."
            )
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.position.step += 1
        self.position.images += len(indices)
        self.position.loss_sum += loss.item() * len(indices)
        # Of the images themselves; drawings of no digit come behind them.
        right = logits[: len(indices)].argmax(1) == labels[: len(indices)]
        self.position.correct += int(right.sum())

    def _set_learning_rate(self) -> None:
        done = self.position.epoch * self.steps + self.position.step
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, done / (self.config.epochs * self.steps))

    def _end_epoch(self, started: float) -> None:
        """Validate, add a row to the history, keep the best weights, and turn to the next epoch."""
        position = self.position
        logits = predict_logits(self.model, self.val_images)
        row = Epoch(
            epoch=position.epoch + 1,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            train_loss=position.loss_sum / position.images,
            train_accuracy=position.correct / position.images,
            val_loss=F.cross_entropy(logits, self.val_labels).item(),
            val_accuracy=(logits.argmax(1) == self.val_labels).double().mean().item(),
            seconds=position.seconds + time.perf_counter() - started,
        )
        is_best = all(row.val_loss < earlier.val_loss for earlier in self.history)
        self.history.append(row)
        if self.config.early_stopping and is_best:
            self.best = {name: value.clone() for name, value in self.model.state_dict().items()}
        stale = 0 if is_best else position.stale_epochs + 1
        self.position = Position(epoch=position.epoch + 1, stale_epochs=stale)

    def _progress(self, finished: Epoch | None = None) -> Progress:
        if finished:
            return Progress(
                finished.epoch,
                self.config.epochs,
                self.steps,
                self.steps,
                finished.train_loss,
                finished.train_accuracy,
                finished,
            )
        position = self.position
        return Progress(
            position.epoch + 1,
            self.config.epochs,
            position.step,
            self.steps,
            position.loss_sum / position.images,
            position.correct / position.images,
        )

    def use_best(self) -> None:
        """Put the weights of the best epoch into the network, if early stopping kept them."""
        if self.best:
            self.model.load_state_dict(self.best)

    def save(self, run: Run, data_sha256: dict[str, str]) -> None:
        """Write the checkpoint: weights, optimizer, generator, position, history."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
        tensors["generator"] = torch.get_rng_state()
        about = {
            "config": self.config.as_dict(),
            "data_sha256": data_sha256,
            "position": dataclasses.asdict(self.position),
            "history": [dataclasses.asdict(row) for row in self.history],
        }
        write_tensors(run.checkpoint_file, "checkpoint", tensors, about)

    def restore(self, run: Run, data_sha256: dict[str, str]) -> None:
        """Go to where the checkpoint of ``run`` stands; without one, stay at the start.

        Raises:
            IntegrityError: the checkpoint is damaged, or of other settings or data.
        """
        if not run.checkpoint_file.exists():
            return
        tensors, about = read_tensors(run.checkpoint_file, "checkpoint")
        try:
            self._restore(run, tensors, about, data_sha256)
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError, UsageError) as error:
            raise IntegrityError(
                f"{run.checkpoint_file} is not a whole checkpoint: {type(error).__name__}, {error}."
            ) from error

    def _restore(
        self,
        run: Run,
        tensors: dict[str, Tensor],
        about: dict[str, Any],
        data_sha256: dict[str, str],
    ) -> None:
        _refuse_other(run, about, self.config, data_sha256)
        weights = _under(tensors, "model.")
        check_tensors(self.model, weights, run.checkpoint_file)
        self.model.load_state_dict(weights)
        self.best = _under(tensors, "best.")
        self._restore_optimizer(_under(tensors, "optimizer."))
        torch.set_rng_state(tensors["generator"])
        self.position = Position(**about["position"])
        self.history = [Epoch(**row) for row in about["history"]]

    def _restore_optimizer(self, tensors: dict[str, Tensor]) -> None:
        parameters = list(self.model.parameters())
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, slot = name.split(".", 1)
            like = parameters[int(index)]
            # Files hold plain memory order; the fused optimizer walks weights and their moments
            # side by side in memory, so the moments need the order of their weights.
            if value.ndim and value.shape != like.shape:
                raise ValueError(f"optimizer.{name} does not fit its weights")
            laid_out = torch.empty_like(like).copy_(value) if value.ndim else value
            state.setdefault(int(index), {})[slot] = laid_out
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def fit(
    run: Run,
    config: TrainConfig,
    dataset: Dataset,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train in ``run``, from its checkpoint if it has one, and save the network.

    Args:
        run: the run folder; its ``config.json`` is written already.
        config: the settings, with ``threads`` resolved.
        dataset: the data.
        on_progress: called after every step.
        should_stop: asked after every step; when it says yes, everything is saved and training
            ends before its time.

    Returns:
        True when training is finished, False when it was stopped.
    """
    with reproducible(config):
        trainer = Trainer(config, dataset)
        trainer.restore(run, dataset.sha256)
        # A kill may have come between a checkpoint and the history that belongs to it.
        run.write_history(trainer.history)
        if not trainer.finished:
            # Where training goes on: other versions or another machine, perhaps.
            run.write_environment(environment())
        stopped = False
        while not trainer.finished and not stopped:
            for _ in trainer.run_epoch(on_progress):
                stopped = should_stop()
                if stopped or trainer.position.step % CHECKPOINT_STEPS == 0:
                    trainer.save(run, dataset.sha256)
                if stopped:
                    break
            run.write_history(trainer.history)
        if trainer.finished:
            trainer.use_best()
        about = {"class_names": list(dataset.class_names), "epochs": len(trainer.history)}
        save_model(run.model_file, trainer.model, config, about)
        return trainer.finished


def learning_rate(config: TrainConfig, done: float) -> float:
    """Return the learning rate when the share ``done``, from 0 to 1, of all steps is behind."""
    top = config.learning_rate
    if config.schedule == "cosine":
        return top * (1 + math.cos(math.pi * done)) / 2
    if config.schedule == "exponential":
        return top * math.pow(0.01, done)
    if config.schedule == "one-cycle":
        # Up along a line for the first third, then down along a line to nothing.
        return top * max(min(3 * done, 1.5 * (1 - done)), 0.01)
    return top


def choose_images(
    config: TrainConfig, labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of the training images to learn from, and of those to validate on.

    Args:
        config: the settings.
        labels: int64 (N,), of all training images.

    Raises:
        UsageError: there are too few of a class.
    """
    train, val = split_train_val(labels, val_fraction=config.val_fraction, seed=config.split_seed)
    if config.train_images:
        train = take_of_each_class(train, labels, config.train_images, config.seed)
    return train, val


def resolve_threads(config: TrainConfig) -> TrainConfig:
    """Return the config with ``threads`` a real number, which decides the last digits."""
    return config.override(threads=config.threads or usable_cores())


@contextlib.contextmanager
def reproducible(config: TrainConfig) -> Iterator[None]:
    """Seed torch and set its threads as the config says, and put both back afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _tensors(dataset: Dataset, indices: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor]:
    return (
        torch.from_numpy(dataset.train_images[indices]),
        torch.from_numpy(dataset.train_labels[indices]),
    )


def _optimizer(model: CNN, config: TrainConfig) -> torch.optim.Optimizer:
    rate, decay = config.learning_rate, config.weight_decay
    # fused: one pass over all weights instead of one for each of them and each operation.
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), rate, config.momentum, weight_decay=decay, fused=True
        )
    cls = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return cls(model.parameters(), rate, weight_decay=decay, fused=True)


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _refuse_other(run: Run, about: dict[str, Any], config: TrainConfig, sha: Any) -> None:
    """Refuse a checkpoint of other settings or data, saying which."""
    saved = TrainConfig.from_dict(about["config"]).flat() | {"data_sha256": about["data_sha256"]}
    if told := differences(saved, config.flat() | {"data_sha256": sha}):
        raise IntegrityError(f"{run.checkpoint_file} was written with other settings: {told}.")
