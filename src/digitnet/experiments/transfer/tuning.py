"""The steps by which a network learns the new task.

Guarantees:

- The source is never changed.
- The same source, images, settings, seed and threads give the same weights.
- Batch statistics of a pretrained network stay as they are: a batch of few pictures, of two tasks,
  says nothing of how pictures are spread. From scratch they are learnt as ever.

What keeps the old task: its images in each batch, read not only as their labels say but also as the
source reads them (Li and Hoiem, "Learning without forgetting", ECCV 2016). What keeps few images
from being learnt by heart: the weights are the mean over the second half of the steps (Izmailov et
al., "Averaging weights leads to wider optima and better generalization", UAI 2018).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor, nn

from digitnet.errors import TrainingDivergedError
from digitnet.experiments.transfer.methods import (
    AVERAGED,
    LEAST_RATE,
    RATES,
    REMEMBERING,
    TEMPERATURE,
    WARM_UP,
    Method,
)
from digitnet.experiments.transfer.stream import Batch, Pictures, Stream
from digitnet.network.cnn import CNN, output_count, predict_logits
from digitnet.network.config import ModelConfig, TrainConfig
from digitnet.training.loop import reproducible
from digitnet.training.runs import Epoch

# What the mean of the weights makes of so many batches, its statistics are taken from.
_STATISTICS_BATCHES = 8


@dataclass(frozen=True, eq=False)
class Tuned:
    """A network that has learnt the new task."""

    model: CNN
    old_head: nn.Linear
    """The last layer for the old task; the network's own where the classes are the same."""
    old_config: ModelConfig
    """The source's, which says what that layer's outputs are."""
    history: list[Epoch]
    steps: int
    seconds: float

    def knowing_old(self) -> CNN:
        """Return the network with the old task's last layer."""
        if self.old_head is self.model.head[-1]:
            return self.model
        model = copy.deepcopy(self.model)
        model.head[-1] = self.old_head
        model.config = self.old_config
        return model


def begin(
    source: CNN, config: ModelConfig, method: Method, *, same_classes: bool
) -> tuple[CNN, nn.Linear]:
    """Return the network to tune and the last layer of the old task.

    The last layer is the source's own where the classes are the same, and new otherwise.
    Call it inside ``reproducible``: it draws what is new.
    """
    if method == "scratch":
        model = CNN(config)
        return model, _last(model)
    model = copy.deepcopy(source)
    old = _last(model)
    if not same_classes:
        model.head[-1] = nn.Linear(old.in_features, output_count(config))
    model.config = config
    return model.use_fast_memory_order(), old


def _last(model: CNN) -> nn.Linear:
    layer = model.head[-1]
    assert isinstance(layer, nn.Linear)
    return layer


def tune(
    source: CNN,
    stream: Callable[[], Stream],
    config: TrainConfig,
    method: Method,
    steps: int,
    images: int,
    val: Pictures | None = None,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    *,
    same_classes: bool,
) -> Tuned:
    """Tune a copy of ``source``, or train one like it from scratch.

    Args:
        source: the network to start from; its convolutions and dense layers are those of
            ``config.model``.
        stream: makes the stream of batches, inside the seed.
        config: the settings, with ``threads`` resolved and the seed.
        method: one of ``TUNED``.
        steps: how many.
        images: of the new task to learn from, which makes an epoch.
        val: images to validate on after each epoch.
        on_epoch: called after each.
        same_classes: whether the new task's classes are those that ``source`` knows.

    Raises:
        TrainingDivergedError: the loss is no number any more.
    """
    with reproducible(config):
        started = time.perf_counter()
        model, old_head = begin(source, config.model, method, same_classes=same_classes)
        tuner = _Tuner(source, model, old_head, config, method, steps)
        batches = stream()
        epochs = _Epochs(images, config.learning_rate, val, on_epoch)
        for step in range(steps):
            batch = batches.next()
            loss, correct = tuner.step(batch, step)
            if step + 1 == steps:
                tuner.use_average(batches)
            epochs.note(tuner, batch, loss, correct, last=step + 1 == steps)
        model.eval()
        seconds = time.perf_counter() - started
        return Tuned(model, old_head, source.config, epochs.history, steps, seconds)


class _Tuner:
    """A network, what of it learns, and how fast."""

    def __init__(
        self,
        source: CNN,
        model: CNN,
        old_head: nn.Linear,
        config: TrainConfig,
        method: Method,
        steps: int,
    ) -> None:
        self.source, self.model, self.old_head, self.config = source, model, old_head, config
        self.frozen_statistics, self.steps = method != "scratch", steps
        groups = _groups(model, old_head, method)
        self.rates = [group["lr"] for group in groups]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)
        self.layers = nn.ModuleList((model, old_head))
        self.average: dict[str, Tensor] = {}
        self.averaged = 0
        self.learn()

    def learn(self) -> None:
        """Switch dropout on, and batch statistics as the method wants them."""
        self.model.train()
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d) and self.frozen_statistics:
                module.eval()

    def step(self, batch: Batch, number: int) -> tuple[float, int]:
        """Update the weights; return the mean loss, and how many new images were read rightly."""
        factor = _factor(number + 1, self.steps)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad()
        features = self.model.features_of(batch.images)
        logits = self.model.head[-1](features[: batch.new])
        loss = self._loss(logits, batch.labels[: batch.new])
        if batch.new < len(features):
            old = self.old_head(features[batch.new :])
            loss = loss + self._loss(old, batch.labels[batch.new :])
            loss = loss + REMEMBERING * self._strangeness(old, batch.images[batch.new :])
        loss = loss / len(features)
        if not bool(torch.isfinite(loss)):
            raise TrainingDivergedError(
                f"Tuning diverged in step {number + 1}: the loss is {loss.item()}. The source is "
                "untouched; check that the images are what their labels say."
            )
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if number >= (1 - AVERAGED) * self.steps:
            self._add_to_average()
        # Drawings of no digit have a label that no class has.
        labels = batch.labels[: batch.new]
        known = labels < self.config.model.num_classes
        right = (logits.argmax(1) == labels) & known
        return loss.item(), int(right.sum())

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(
            logits, labels, reduction="sum", label_smoothing=self.config.label_smoothing
        )

    def _strangeness(self, logits: Tensor, images: Tensor) -> Tensor:
        """Return how far old images are read otherwise than by the source, summed over them."""
        with torch.no_grad():
            expected = torch.softmax(self.source.logits_of(images) / TEMPERATURE, dim=1)
        found = torch.log_softmax(logits / TEMPERATURE, dim=1)
        return TEMPERATURE**2 * F.kl_div(found, expected, reduction="sum")

    def _add_to_average(self) -> None:
        self.averaged += 1
        for name, value in self.layers.state_dict().items():
            if not value.is_floating_point():
                continue
            mean = self.average.setdefault(name, value.clone())
            mean += (value - mean) / self.averaged

    def use_average(self, batches: Stream) -> None:
        """Put the mean of the weights in place, and the statistics that belong to them."""
        self.layers.load_state_dict({**self.layers.state_dict(), **self.average})
        norms = [m for m in self.model.modules() if isinstance(m, nn.BatchNorm2d)]
        if self.frozen_statistics or not norms:
            return
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
        with torch.no_grad():
            for _ in range(_STATISTICS_BATCHES):
                self.model.features_of(batches.next().images)
        for norm in norms:
            norm.momentum = 0.1


def _groups(model: CNN, old_head: nn.Linear, method: Method) -> list[dict[str, Any]]:
    """Return the parameters of each layer that learns, with its rate."""
    rates = RATES[method]
    dense = [layer for layer in model.head if isinstance(layer, nn.Linear)]
    blocks = list(model.blocks)
    rate, groups = rates.learning_rate, []
    for layer in reversed([*blocks, *dense]):
        if layer in blocks and not rates.layer_decay:
            # What does not learn needs no gradient, which spares most of the work.
            layer.requires_grad_(False)
            continue
        groups.append({"params": list(layer.parameters()), "lr": rate})
        rate *= rates.layer_decay or 1.0
    if old_head is not model.head[-1]:
        groups.append({"params": list(old_head.parameters()), "lr": rates.learning_rate})
    return groups


def _factor(step: int, steps: int) -> float:
    """Return the share of the top rate: up along a line, then down along a cosine to a tenth."""
    done = step / steps
    return min(1.0, done / WARM_UP) * max(LEAST_RATE, (1 + math.cos(math.pi * done)) / 2)


class _Epochs:
    """Rows of the history: one for each time that every new image has been seen."""

    def __init__(
        self,
        images: int,
        learning_rate: float,
        val: Pictures | None,
        on_epoch: Callable[[Epoch], None],
    ) -> None:
        self.images, self.learning_rate, self.val = images, learning_rate, val
        self.on_epoch, self.history = on_epoch, list[Epoch]()
        self._reset()

    def _reset(self) -> None:
        self.seen = self.correct = self.count = 0
        self.loss_sum = 0.0
        self.started = time.perf_counter()

    def note(self, tuner: _Tuner, batch: Batch, loss: float, correct: int, *, last: bool) -> None:
        known = int((batch.labels[: batch.new] < tuner.config.model.num_classes).sum())
        self.seen, self.correct = self.seen + known, self.correct + correct
        self.count, self.loss_sum = self.count + 1, self.loss_sum + loss
        if not last and self.seen < self.images:
            return
        if self.val is not None:
            row = self._row(tuner, self.val)
            self.history.append(row)
            self.on_epoch(row)
        self._reset()

    def _row(self, tuner: _Tuner, val: Pictures) -> Epoch:
        logits = predict_logits(tuner.model, torch.from_numpy(val.images))
        tuner.learn()
        labels = torch.from_numpy(val.labels)
        return Epoch(
            epoch=len(self.history) + 1,
            learning_rate=tuner.optimizer.param_groups[0]["lr"],
            train_loss=self.loss_sum / self.count,
            train_accuracy=self.correct / self.seen,
            val_loss=F.cross_entropy(logits, labels).item(),
            val_accuracy=(logits.argmax(1) == labels).double().mean().item(),
            seconds=time.perf_counter() - self.started,
        )
