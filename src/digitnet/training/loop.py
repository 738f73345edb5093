"""The training loop: ``fit``, which every network of digitnet is trained by.

Guarantees:

- Data live in memory as uint8, on the device; a batch is indexed, converted, distorted, and used.
- Validation images are set aside before anything else; the test images are never touched here.
- The same settings give the same weights, bit for bit, on the CPU of the same machine with the
  same versions and the same number of threads. Elsewhere the last digits differ.
- Killed at any instant, a training goes on from its last checkpoint and ends with the weights and
  the history (but for the seconds) of one that was never killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from digitnet.data.dataset import DIGIT_NAMES, Dataset, split_train_val, take_of_each_class
from digitnet.errors import IntegrityError, TrainingDivergedError, UsageError
from digitnet.machine import environment
from digitnet.network.cnn import CNN, predict_logits
from digitnet.network.config import LEAST_RATE, WARM_UP, Schedule, TrainConfig, differences
from digitnet.synthesis.hand_drawings import validation_digits
from digitnet.text import count_of
from digitnet.training.batches import Batch, Batches
from digitnet.training.checkpoint import (
    SHIPPED_FINDER,
    named,
    read_tensors,
    restore_state,
    save_model,
    training_state,
    write_tensors,
)
from digitnet.training.device import CPU, computes_bfloat16, generator_of
from digitnet.training.optimizers import make_optimizer
from digitnet.training.progress import Progress
from digitnet.training.runs import Epoch, Run

# Steps between checkpoints: a few seconds of work, and a fraction of a per cent of the time.
CHECKPOINT_STEPS = 200


def fit(
    training: Training,
    run: Run | None = None,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train until the last epoch, early stopping, or a request to stop.

    Args:
        training: what is trained, from where it stands; made and used inside ``reproducible``.
        run: the run folder to save in, whose ``config.json`` is written; None saves nothing.
        on_progress: called after every step.
        should_stop: asked after every step; if it says yes, everything is saved and training ends.

    Returns:
        True when training is finished, False when it was stopped.

    Raises:
        TrainingDivergedError: the loss is infinite or NaN.
    """
    training.open(run)
    stopped = False
    with contextlib.closing(training):
        while not (training.finished or stopped):
            order = training.order()
            training.begin_epoch()
            for step in range(training.position.step, training.steps):
                started = time.perf_counter()
                size = training.batch_size
                batch = training.batches.batch(order[step * size : (step + 1) * size])
                logits = training.forward(batch)
                loss = training.loss(logits, batch)
                training.refuse_divergence(loss.item())
                training.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                training.set_learning_rates()
                training.optimizer.step()
                training.count(batch, logits, loss.item(), time.perf_counter() - started)
                over = training.epoch_is_over
                on_progress(training.progress(training.validate() if over else None))
                stopped = should_stop()
                if run and (over or stopped or (step + 1) % CHECKPOINT_STEPS == 0):
                    training.save(run)
                if over or stopped:
                    break
            if run:
                run.write_history(training.history)
    training.finish(run)
    return training.finished


@dataclass
class Position:
    """What has been done: complete epochs, then steps of the next one and their running sums."""

    epoch: int = 0
    step: int = 0
    images: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    stale_epochs: int = 0
    """Epochs since the validation loss was lowest; counts towards early stopping."""


class Training:
    """A network in training: what it learns from, how, and how far it is.

    Args:
        config: the settings, with ``threads`` resolved.
        dataset: training images are split into train and val; test is left alone.
        device: where it is trained.
        model: the network to start from; a new one by default, the same on every device.
    """

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        device: torch.device = CPU,
        model: CNN | None = None,
    ) -> None:
        self.config, self.device = config, device
        self.class_names, self.data_sha256 = dataset.class_names, dataset.sha256
        train, val = choose_images(config, dataset)
        images, labels = map(torch.from_numpy, (dataset.train_images, dataset.train_labels))
        self.train_images, self.train_labels = images[train], labels[train]
        self.val_images, self.val_labels = images[val].to(device), labels[val]
        if config.hands or config.found:
            self._validate_on_other_hands()
        self.batch_size = config.batch_size
        self.steps = math.ceil(len(train) / config.batch_size)
        self.total_steps = config.epochs * self.steps
        self.model = (model or CNN(config.model)).to(device)
        self.optimizer = make_optimizer(self.parameter_groups(), config)
        self.average = moving_average(self.model, config.averaging) if config.averaging else None
        self.in_bfloat16 = config.bfloat16 and computes_bfloat16(device)
        self.position = Position()
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}

    def _validate_on_other_hands(self) -> None:
        """Add digits of writers who are set aside to the images for validation."""
        refuse_other_hands(self.config, self.class_names)
        images, labels = map(torch.from_numpy, validation_digits())
        self.val_images = torch.cat((self.val_images, images.to(self.device)))
        self.val_labels = torch.cat((self.val_labels, labels))

    @functools.cached_property
    def batches(self) -> Batches:
        """The training images; made when first asked for, which may take minutes."""
        return Batches(
            self.train_images, self.train_labels, self.config, self.class_names, self.device
        )

    @property
    def done(self) -> int:
        """Steps done since the start."""
        return self.position.epoch * self.steps + self.position.step

    @property
    def finished(self) -> bool:
        """True when no step is left, or early stopping has ended the training."""
        patience = self.config.early_stopping
        stopped = bool(patience) and self.position.stale_epochs >= patience
        return stopped or self.done >= self.total_steps

    def open(self, run: Run | None) -> None:
        """Bring the history and the environment in the run folder to where training stands."""
        if run:
            # A kill may have come between a checkpoint and the history that belongs to it.
            run.write_history(self.history)
            if not self.finished:
                run.write_environment(environment() | {"device": self.device.type})

    def close(self) -> None:
        """Let go of what training needed besides memory; it is over, or has failed."""

    def finish(self, run: Run | None) -> None:
        """Put the best weights into a network that is finished, and save it."""
        if self.finished and self.best:
            self.network.load_state_dict(self.best)
        if run:
            about = {"class_names": list(self.class_names), "epochs": len(self.history)}
            save_model(run.model_file, self.network, self.config, about)

    @property
    def network(self) -> CNN:
        """What is kept of the training: the moving average of the weights, or the last ones."""
        if self.average is None:
            return self.model
        assert isinstance(self.average.module, CNN)
        return self.average.module

    def learn_on(self, network: nn.Module) -> None:
        """Take over the weights of a trained network, before the first step."""
        self.model.load_state_dict(network.state_dict())
        if self.average:
            self.average.module.load_state_dict(network.state_dict())

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the weights that learn, in groups, each with its top learning rate."""
        return [{"params": list(self.model.parameters()), "lr": self.config.learning_rate}]

    def order(self) -> Tensor:
        """Return the order of the images in this epoch: a function of the seed and the epoch."""
        # Apart from the stream that augmentation and dropout draw from, so that an epoch can be
        # entered in its middle.
        seed = self.config.seed * 1_000_003 + self.position.epoch
        generator = torch.Generator().manual_seed(seed)
        return torch.randperm(len(self.train_images), generator=generator)

    def begin_epoch(self) -> None:
        """Switch on what is only used in training, such as dropout."""
        self.model.train()
        if self.config.plain_fraction:
            self.batches.distorts = self.position.epoch < self.config.distorted_epochs

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits of a batch, (M, outputs)."""
        images = self.model.canonical(batch.images)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            logits = self.model.logits_of(images)
        return logits.float()

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return what the optimizer is to lower: the mean cross-entropy of the batch."""
        smoothing = self.config.label_smoothing
        return F.cross_entropy(logits, batch.labels, label_smoothing=smoothing)

    def set_learning_rates(self) -> None:
        """Set the rate of each group as the schedule has it at this step."""
        factor = rate_factor(self.config.schedule, self.done / self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def refuse_divergence(self, loss: float) -> None:
        """Stop a training that has diverged, before its checkpoint is overwritten.

        Raises:
            TrainingDivergedError: the loss is infinite or NaN.
        """
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"Training diverged in epoch {self.position.epoch + 1}, after "
                f"{count_of(self.position.step, 'step')}: the loss is {loss}. {self.remedy}"
            )

    @property
    def remedy(self) -> str:
        """What to do when the loss is infinite or NaN."""
        rate = self.config.learning_rate
        return f"Train a new run with a smaller --learning-rate than {rate:g}."

    @property
    def train_accuracy(self) -> float | None:
        """Share of the images of this epoch so far that were read correctly."""
        return self.position.correct / max(self.position.images, 1)

    @property
    def epoch_is_over(self) -> bool:
        """True after the last step of an epoch."""
        return self.position.step == self.steps or self.done == self.total_steps

    def count(self, batch: Batch, logits: Tensor, loss: float, seconds: float) -> None:
        """Add a step to the running sums of the epoch, and its weights to their average."""
        if self.average:
            self.average.update_parameters(self.model)
        position = self.position
        position.step += 1
        position.images += batch.count
        position.loss_sum += loss * batch.count
        position.seconds += seconds
        position.correct += self.count_right(batch, logits)

    def count_right(self, batch: Batch, logits: Tensor) -> int:
        """Return how many images of a batch were read correctly."""
        # Of the images themselves, not of the drawings of no digit that follow them.
        right = logits[: batch.count].argmax(1) == batch.labels[: batch.count]
        return int(right.sum())

    def validate(self) -> Epoch | None:
        """Add a row to the history, keep the best weights, and turn to the next epoch."""
        position, started = self.position, time.perf_counter()
        logits = predict_logits(self.network, self.val_images)
        val_loss = F.cross_entropy(logits, self.val_labels).item()
        self.refuse_divergence(val_loss)
        row = Epoch(
            epoch=position.epoch + 1,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            train_loss=position.loss_sum / position.images,
            train_accuracy=self.train_accuracy,
            val_loss=val_loss,
            val_accuracy=(logits.argmax(1) == self.val_labels).double().mean().item(),
            seconds=position.seconds + time.perf_counter() - started,
        )
        is_best = all(row.val_loss < earlier.val_loss for earlier in self.history)
        self.history.append(row)
        if self.config.early_stopping and is_best:
            self.best = {name: value.clone() for name, value in self.network.state_dict().items()}
        stale = 0 if is_best else position.stale_epochs + 1
        self.position = Position(epoch=position.epoch + 1, stale_epochs=stale)
        return row

    def progress(self, row: Epoch | None) -> Progress:
        """Return where training stands; ``row`` is that of an epoch which has just ended."""
        at, steps, epochs = self.position, self.steps, math.ceil(self.total_steps / self.steps)
        if row:
            means = row.train_loss, row.train_accuracy
            return Progress(row.epoch, epochs, steps, steps, *means, finished=row)
        loss = at.loss_sum / max(at.images, 1)
        return Progress(at.epoch + 1, epochs, at.step, steps, loss, self.train_accuracy)

    def more_state(self) -> dict[str, Tensor]:
        """Return what a checkpoint must hold besides weights and optimizer."""
        kept = {f"best.{name}": value for name, value in self.best.items()}
        if self.average is None:
            return kept
        state = self.average.state_dict()
        return kept | {f"average.{name}": value for name, value in state.items()}

    def restore_more(self, tensors: dict[str, Tensor]) -> None:
        """Take over what ``more_state`` returned."""
        self.best = named(tensors, "best.")
        if self.average:
            self.average.load_state_dict(named(tensors, "average."))

    def save(self, run: Run) -> None:
        """Write the checkpoint: weights, optimizer, generator, position, history."""
        tensors = training_state(self.model, self.optimizer) | self.more_state()
        tensors["generator"] = generator_of(self.device).get_state()
        about = {
            "config": self.config.as_dict(),
            "data_sha256": self.data_sha256,
            "finder_sha256": self._finder_sha256,
            "device": self.device.type,
            "position": dataclasses.asdict(self.position),
            "history": [dataclasses.asdict(row) for row in self.history],
        }
        write_tensors(run.checkpoint_file, "checkpoint", tensors, about)

    def restore(self, run: Run) -> None:
        """Go to where the checkpoint of ``run`` stands; without one, stay at the start.

        Raises:
            IntegrityError: the checkpoint is damaged, or of other settings or data.
        """
        file = run.checkpoint_file
        if not file.exists():
            return
        tensors, about = read_tensors(file, "checkpoint")
        try:
            self._refuse_other(run, about)
            restore_state(file, tensors, self.model, self.optimizer)
            self.restore_more(tensors)
            if about.get("device", "cpu") == self.device.type:
                # On another device nothing can be drawn as it would have been on the first.
                generator_of(self.device).set_state(tensors["generator"])
            self.position = Position(**about["position"])
            self.history = [Epoch(**row) for row in about["history"]]
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError, UsageError) as error:
            raise IntegrityError(
                f"{file} is not a complete checkpoint: {type(error).__name__}, {error}."
            ) from error

    @functools.cached_property
    def _finder_sha256(self) -> str | None:
        """Of the finder whose finds are learned from, None if there is none."""
        if not self.config.found:
            return None
        return hashlib.sha256(SHIPPED_FINDER.read_bytes()).hexdigest()

    def _refuse_other(self, run: Run, about: dict[str, Any]) -> None:
        """Refuse a checkpoint of other settings or data, saying which."""
        saved = TrainConfig.from_dict(about["config"])
        if saved.schedule == "constant":
            # Nothing but their number depends on the epochs: the run is being extended.
            saved = saved.override(epochs=self.config.epochs)
        learned = {"data_sha256": self.data_sha256, "finder_sha256": self._finder_sha256}
        wanted = self.config.flat() | learned
        held = saved.flat() | {name: about.get(name) for name in learned}
        if differing := differences(held, wanted):
            raise IntegrityError(
                f"{run.checkpoint_file} was written with other settings: {differing}."
            )


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return a network whose weights and statistics are the moving average of those of ``model``.

    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992), with
    weights that fall exponentially.
    """
    mean = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=mean, use_buffers=True)


def rate_factor(schedule: Schedule, done: float) -> float:
    """Return the learning rate as a fraction of its setting.

    Args:
        schedule: how it moves.
        done: fraction of steps completed, from 0 to 1.
    """
    cosine = (1 + math.cos(math.pi * done)) / 2
    if schedule == "cosine":
        return cosine
    if schedule == "warm-cosine":
        return max(min(done / WARM_UP, 1.0), 0.01) * max(cosine, LEAST_RATE)
    if schedule == "exponential":
        return math.pow(0.01, done)
    if schedule == "one-cycle":
        # Up along a line for the first third, then down along a line to nothing.
        return max(min(3 * done, 1.5 * (1 - done)), 0.01)
    return 1.0


def refuse_other_hands(config: TrainConfig, class_names: Sequence[str]) -> None:
    """Refuse digits of other hands beside images of something else.

    Raises:
        UsageError: they are asked for, and the classes are not the digits.
    """
    for name in ("hands", "found"):
        if getattr(config, name) and tuple(class_names) != DIGIT_NAMES:
            raise UsageError(
                f"--{name} cannot be {getattr(config, name)!r}; allowed: 0 with the classes "
                f"{', '.join(class_names[:12])}, because other hands wrote the digits 0 to 9."
            )


def choose_images(
    config: TrainConfig, dataset: Dataset
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the training images to learn from, and of those to validate on.

    Args:
        config: the settings.
        dataset: its training images are divided; whole writers are set aside where they are known.

    Raises:
        UsageError: there are too few of a class.
        InputError: as ``split_train_val``.
    """
    labels, fraction, seed = dataset.train_labels, config.val_fraction, config.split_seed
    train, val = split_train_val(labels, val_fraction=fraction, seed=seed, writers=dataset.writers)
    if config.train_images:
        train = take_of_each_class(train, labels, config.train_images, config.seed)
    return train, val
