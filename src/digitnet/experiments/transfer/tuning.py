"""Tuning: the training loop with a pretrained start, layer rates, replay and averaged weights.

Guarantees:

- The source is never changed. Images to validate on are never learned from.
- The same task, method, seed and threads give the same weights on the same CPU; every method gets
  the same images of the new task.
- Batch statistics of a pretrained network stay as they are: a batch of few pictures, of two tasks,
  says little about how pictures vary. From scratch they are learned as usual.

What keeps the old task: its images in each batch (rehearsal: Robins, "Catastrophic forgetting,
rehearsal and pseudorehearsal", Connection Science 1995), to be read not only as their labels say
but also as the source reads them (Li and Hoiem, "Learning without forgetting", ECCV 2016). What
keeps the network from memorising few images: the weights are the mean over the second half of the
steps (Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI
2018). A probe is a multinomial logistic regression with a ridge penalty (Alain and Bengio,
"Understanding intermediate layers using linear classifier probes", 2016).
"""

from __future__ import annotations

import copy
import functools
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from numpy.typing import NDArray
from torch import Tensor, nn

from digitnet.experiments.transfer.comparison import (
    AVERAGED,
    RATES,
    REMEMBERING,
    TEMPERATURE,
    Method,
)
from digitnet.experiments.transfer.rows import in_a_row
from digitnet.experiments.transfer.transfer_task import DRAWN, TransferTask
from digitnet.network.canonical import Canonical
from digitnet.network.cnn import CNN, output_count, to_float
from digitnet.network.config import ModelConfig, TrainConfig
from digitnet.training.batches import Batch, Batches, some_drawings
from digitnet.training.checkpoint import named
from digitnet.training.loop import Position, Training, choose_images
from digitnet.training.runs import Epoch

# The statistics of averaged weights are taken from so many batches.
_STATISTICS_BATCHES = 8
# More images than these teach a last layer nothing new, and fitting it takes long.
PROBED = 10_000
# Inverse strength of a probe's penalty, for features that are scaled to unit variance.
_FREEDOM, _ITERATIONS = 0.05, 300


@dataclass(frozen=True, eq=False)
class ReplayBatch(Batch):
    """A batch whose last images are of the old task."""

    expected: Tensor
    """What the source says of those, logits (old, outputs of the source)."""


class ReplayBatches(Batches):
    """Batches of the new task, followed by drawings of no digit and images of the old task.

    Images are what the network's first layer takes: canonical where the network is.
    """

    def __init__(self, task: TransferTask, method: Method, config: TrainConfig) -> None:
        train, _ = choose_images(config, task.target.train_labels)
        images = task.target.train_images[train]
        labels = torch.from_numpy(task.target.train_labels[train])
        plain = config.override(non_digits=0.0)
        names = task.target.class_names
        super().__init__(torch.from_numpy(images), labels, plain, names, task.device)
        self._source, self._crops = task.source.model.to(task.device), task.config.crops
        self._old, self._drawings = task.old_batches(plain), task.drawings(images)
        _, self._replayed = task.batch_parts(method)
        canonical = config.model.canonical or self._crops
        self._canonical = Canonical() if canonical else nn.Identity()

    @torch.no_grad()
    def batch(self, indices: Tensor) -> ReplayBatch:
        """Return the images at ``indices``, then drawings, then images of the old task."""
        with self.device:
            new = super().batch(indices)
            images, labels = [new.images], [new.labels]
            if self._drawings is not None:
                images.append(self.distorted(some_drawings(self._drawings, DRAWN)))
                labels.append(torch.full((DRAWN,), self.config.model.num_classes))
            if self._old is not None and self._replayed:
                for old_images, old_labels in self._some_old(self._old):
                    images.append(old_images)
                    labels.append(old_labels)
            together = torch.cat([self._canonical(each) for each in images])
            old = together[len(together) - self._replayed :]
            expected = self._source.logits_of(old)
            return ReplayBatch(together, torch.cat(labels), new.count, expected)

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


class Tuning(Training):
    """A pretrained network that learns a new task, or one like it that begins from nothing.

    Args:
        task: the network, the new task and the old one.
        method: one of ``TUNED``.
        config: the settings that ``task.train_config`` returned for it.
        validated: whether each epoch ends with validation and a row of the history.
    """

    def __init__(
        self, task: TransferTask, method: Method, config: TrainConfig, *, validated: bool = True
    ) -> None:
        self.task, self.method, self.validated = task, method, validated
        model, self.old_head = begin(task, config.model, method)
        self.old_head.to(task.device)
        super().__init__(config, task.target, task.device, model)
        images = len(self.train_images)
        self.batch_size, self._replayed = task.batch_parts(method)
        self.steps = math.ceil(images / self.batch_size)
        self.total_steps = task.config.steps_for(images)
        self.layers = nn.ModuleList((self.model, self.old_head))
        self.average: dict[str, Tensor] = {}

    @functools.cached_property
    def batches(self) -> ReplayBatches:
        """The images of both tasks."""
        return ReplayBatches(self.task, self.method, self.config)

    @property
    def two_heads(self) -> bool:
        """Whether the old task has a last layer of its own."""
        return self.old_head is not self.model.head[-1]

    @property
    def remedy(self) -> str:
        """What to do when the loss is infinite or NaN."""
        return "The source is unchanged; check that the images are what their labels say."

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return each layer that learns, the last one first, with its top learning rate."""
        rates, model = RATES[self.method], self.model
        top, decay = rates["learning_rate"], rates["layer_decay"]
        dense = [layer for layer in model.head if isinstance(layer, nn.Linear)]
        rate, groups = top, []
        for layer in reversed([*model.blocks, *dense]):
            if layer not in dense and not decay:
                # What does not learn needs no gradient, which spares most of the work.
                layer.requires_grad_(False)
                continue
            groups.append({"params": list(layer.parameters()), "lr": rate})
            rate *= decay or 1.0
        if self.two_heads:
            groups.append({"params": list(self.old_head.parameters()), "lr": top})
        return groups

    def order(self) -> Tensor:
        """Return an order of the images that fills every batch."""
        order, wanted = super().order(), self.steps * self.batch_size
        return order.repeat(math.ceil(wanted / len(order)))[:wanted]

    def begin_epoch(self) -> None:
        """Switch dropout on, and batch statistics as the method wants them."""
        super().begin_epoch()
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d) and self.method != "scratch":
                module.eval()

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits of both last layers beside each other, where there are two."""
        features = self.model.features_of(batch.images)
        heads = [self.model.head[-1], *([self.old_head] if self.two_heads else [])]
        return torch.cat([head(features) for head in heads], dim=1)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy of both tasks, and how far the old one is read otherwise."""
        assert isinstance(batch, ReplayBatch)
        new = len(logits) - len(batch.expected)
        loss = self._cross_entropy(self._new_logits(logits)[:new], batch.labels[:new])
        if len(batch.expected):
            old = logits[new:, -batch.expected.shape[1] :]
            loss = loss + self._cross_entropy(old, batch.labels[new:])
            loss = loss + REMEMBERING * _distillation_loss(old, batch.expected)
        return loss / len(logits)

    def _new_logits(self, logits: Tensor) -> Tensor:
        return logits[:, : output_count(self.config.model)]

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        smoothing = self.config.label_smoothing
        return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)

    def count(self, batch: Batch, logits: Tensor, loss: float, seconds: float) -> None:
        """Count a step, and in the second half add its weights to their mean."""
        super().count(batch, self._new_logits(logits), loss, seconds)
        averaged = self.done - math.ceil((1 - AVERAGED) * self.total_steps)
        if averaged > 0:
            for name, value in self.layers.state_dict().items():
                if value.is_floating_point():
                    mean = self.average.setdefault(name, value.clone())
                    mean += (value - mean) / averaged
        if self.done == self.total_steps:
            self._use_average()

    def _use_average(self) -> None:
        """Put the mean of the weights in place, and the statistics that belong to them."""
        self.layers.load_state_dict({**self.layers.state_dict(), **self.average})
        norms = [m for m in self.model.modules() if isinstance(m, nn.BatchNorm2d)]
        if self.method != "scratch" or not norms:
            return
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
        with torch.no_grad():
            for _ in range(_STATISTICS_BATCHES):
                indices = torch.randint(len(self.batches), (self.batch_size,))
                self.model.features_of(self.batches.batch(indices).images)
        for norm in norms:
            norm.momentum = 0.1

    def validate(self) -> Epoch | None:
        """Validate if this is wanted, and turn to the next epoch."""
        if self.validated:
            return super().validate()
        self.position = Position(epoch=self.position.epoch + 1)
        return None

    def knowing_old(self) -> CNN:
        """Return the network with the old task's last layer, on the CPU, when tuning is over."""
        self.layers.cpu()
        if not self.two_heads:
            return self.model
        model = copy.deepcopy(self.model)
        model.head[-1] = self.old_head
        model.config = self.task.source.model.config
        return model

    def more_state(self) -> dict[str, Tensor]:
        """Return the mean of the weights, and the old last layer if it is another."""
        state = {f"average.{name}": value for name, value in self.average.items()}
        if self.two_heads:
            state |= {f"old_head.{n}": value for n, value in self.old_head.state_dict().items()}
        return state

    def restore_more(self, tensors: dict[str, Tensor]) -> None:
        """Take over what ``more_state`` returned."""
        self.average = {n: t.to(self.device) for n, t in named(tensors, "average.").items()}
        if self.two_heads:
            self.old_head.load_state_dict(named(tensors, "old_head."))


def _distillation_loss(logits: Tensor, expected: Tensor) -> Tensor:
    """Return the divergence of (N, outputs) logits from those of the source, summed over N."""
    target = torch.softmax(expected / TEMPERATURE, dim=1)
    own = torch.log_softmax(logits / TEMPERATURE, dim=1)
    return TEMPERATURE**2 * F.kl_div(own, target, reduction="sum")


def begin(task: TransferTask, config: ModelConfig, method: Method) -> tuple[CNN, nn.Linear]:
    """Return the network to tune and the last layer of the old task.

    The last layer is the source's own where the classes are the same, and new otherwise. Call it
    inside ``reproducible``: it draws what is new.
    """
    if method == "scratch":
        model = CNN(config)
        return model, _last(model)
    model = copy.deepcopy(task.source.model)
    old = _last(model)
    if not task.same_classes:
        model.head[-1] = nn.Linear(old.in_features, output_count(config))
    model.config = config
    return model.use_fast_memory_order(), old


def _last(model: CNN) -> nn.Linear:
    layer = model.head[-1]
    assert isinstance(layer, nn.Linear)
    return layer


def probed(task: TransferTask, config: TrainConfig) -> CNN:
    """Return a copy of the source with a last layer fitted to its features.

    Args:
        task: the network and what it learns.
        config: the settings; the first 10,000 of the images they choose are used.
    """
    model, _ = begin(task, config.model, "probe")
    train, _ = choose_images(config, task.target.train_labels)
    images = task.target.train_images[train[:PROBED]]
    features = [features_of(model, to_float(torch.from_numpy(images)))]
    labels = [task.target.train_labels[train[:PROBED]]]
    drawn = task.drawings(images)
    if drawn is not None:
        features.append(features_of(model, to_float(drawn)))
        labels.append(np.full(len(drawn), config.model.num_classes))
    outputs = output_count(config.model)
    model.head[-1] = _fitted(np.concatenate(features), np.concatenate(labels), outputs)
    return model.cpu().eval()


@torch.inference_mode()
def features_of(model: CNN, images: Tensor, batch_size: int = 1000) -> NDArray[np.float32]:
    """Return what the last layer sees, float32 (N, units), of images as ``forward`` takes them."""
    model.eval()
    batches = torch.split(images.to(model.mean.device), batch_size)
    return torch.cat([model.features_of(model.canonical(each)) for each in batches]).cpu().numpy()


def _fitted(features: NDArray[np.float32], labels: NDArray[np.int64], outputs: int) -> nn.Linear:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # One scale for all: units that hardly vary are noise and must not be amplified.
    mean, scale = features.mean(0), float(features.std(0).mean()) or 1.0
    regression = LogisticRegression(C=_FREEDOM, max_iter=_ITERATIONS)
    with warnings.catch_warnings():
        # Many classes may want more iterations; the penalty keeps the result sound.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit((features - mean) / scale, labels)
    weights = np.zeros((outputs, features.shape[1]))
    biases = np.full(outputs, float(regression.intercept_.min()) - 1.0)
    coefficients, intercepts = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:
        # Two classes have one row: the logit of the second above the first.
        coefficients = np.concatenate((-coefficients, coefficients)) / 2
        intercepts = np.concatenate((-intercepts, intercepts)) / 2
    weights[regression.classes_] = coefficients / scale
    biases[regression.classes_] = intercepts - (coefficients / scale) @ mean
    layer = nn.Linear(features.shape[1], outputs)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights))
        layer.bias.copy_(torch.from_numpy(biases))
    return layer
