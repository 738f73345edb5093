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
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from digitnet.experiments.transfer_results import AVERAGED, RATES, REMEMBERING, Method
from digitnet.experiments.transfer_task import ReplayBatches, TransferTask
from digitnet.network.cnn import CNN, output_count, to_float
from digitnet.network.config import ModelConfig, TrainConfig
from digitnet.training.batches import Batch
from digitnet.training.checkpoint import named
from digitnet.training.loop import Position, Training, choose_images
from digitnet.training.runs import Epoch

# The temperature at which old images are compared with what the source says of them.
_TEMPERATURE = 2.0
# The statistics of averaged weights are taken from so many batches.
_STATISTICS_BATCHES = 8
# More images than these teach a last layer nothing new, and fitting it takes long.
PROBED = 10_000
# Inverse strength of a probe's penalty, for features that are scaled to unit variance.
_FREEDOM, _ITERATIONS = 0.05, 300


class TwoTasks(nn.Module):
    """A network, and the last layer of the old task where the network has another.

    Args:
        model: the network, with the last layer of the new task.
        old: that of the old one, or nothing.
    """

    def __init__(self, model: CNN, old: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.model, self.old = model, nn.ModuleList(old)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of each last layer beside each other; ``images`` are canonical."""
        features = self.model.features_of(images)
        return torch.cat([layer(features) for layer in (self.model.head[-1], *self.old)], dim=1)


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
        self.source = task.source.model.to(task.device)
        self.tasks = begin(task, config.model, method).to(task.device)
        super().__init__(config, task.target, task.device, self.tasks.model)
        images = len(self.train_images)
        self.batch_size, self.replayed = task.batch_parts(method)
        self.steps = math.ceil(images / self.batch_size)
        self.total_steps = task.config.steps_for(images)
        self.late_mean = AveragedModel(self.tasks)

    @functools.cached_property
    def batches(self) -> ReplayBatches:
        """The images of both tasks."""
        return ReplayBatches(self, self.task, self.method)

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
        old = ({"params": list(layer.parameters()), "lr": top} for layer in self.tasks.old)
        return [*groups, *old]

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
        logits: Tensor = self.tasks(batch.images)
        return logits

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy of both tasks, and how far the old one is read otherwise."""
        new = len(logits) - self.replayed
        loss = self._cross_entropy(self._new_logits(logits)[:new], batch.labels[:new])
        if self.replayed:
            with torch.no_grad():
                expected = self.source.logits_of(batch.images[new:])
            old = logits[new:, -expected.shape[1] :]
            loss = loss + self._cross_entropy(old, batch.labels[new:])
            loss = loss + REMEMBERING * _distillation_loss(old, expected)
        return loss / len(logits)

    def _new_logits(self, logits: Tensor) -> Tensor:
        return logits[:, : output_count(self.config.model)]

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        smoothing = self.config.label_smoothing
        return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)

    def count(self, batch: Batch, logits: Tensor, loss: float, seconds: float) -> None:
        """Count a step, and in the second half add its weights to their mean."""
        super().count(batch, self._new_logits(logits), loss, seconds)
        if self.done > math.ceil((1 - AVERAGED) * self.total_steps):
            self.late_mean.update_parameters(self.tasks)
        if self.done == self.total_steps:
            self.tasks.load_state_dict(self.late_mean.module.state_dict())
            if self.method == "scratch":
                # Statistics that belong to the mean of the weights.
                some = (
                    torch.randint(len(self.batches), (self.batch_size,))
                    for _ in range(_STATISTICS_BATCHES)
                )
                update_bn((self.batches.batch(indices).images for indices in some), self.tasks)

    def validate(self) -> Epoch | None:
        """Validate if this is wanted, and turn to the next epoch."""
        if self.validated:
            return super().validate()
        self.position = Position(epoch=self.position.epoch + 1)
        return None

    def knowing_old(self) -> CNN:
        """Return the network with the old task's last layer, on the CPU, when tuning is over."""
        model = copy.deepcopy(self.tasks.cpu().model)
        for layer in self.tasks.old:
            model.head[-1], model.config = layer, self.source.config
        return model

    def more_state(self) -> dict[str, Tensor]:
        """Return the mean of the weights, and the old last layer if it is another."""
        parts = {"average.": self.late_mean, "old.": self.tasks.old}
        return {f"{part}{n}": v for part, m in parts.items() for n, v in m.state_dict().items()}

    def restore_more(self, tensors: dict[str, Tensor]) -> None:
        """Take over what ``more_state`` returned."""
        self.late_mean.load_state_dict(named(tensors, "average."))
        self.tasks.old.load_state_dict(named(tensors, "old."))


def _distillation_loss(logits: Tensor, expected: Tensor) -> Tensor:
    """Return the divergence of (N, outputs) logits from those of the source, summed over N."""
    target = torch.softmax(expected / _TEMPERATURE, dim=1)
    own = torch.log_softmax(logits / _TEMPERATURE, dim=1)
    return _TEMPERATURE**2 * F.kl_div(own, target, reduction="sum")


def begin(task: TransferTask, config: ModelConfig, method: Method) -> TwoTasks:
    """Return the network to tune; other classes get a new last layer beside the source's own.

    Call it inside ``reproducible``: it draws what is new.
    """
    if method == "scratch":
        return TwoTasks(CNN(config))
    model, old = copy.deepcopy(task.source.model), []
    if not task.same_classes:
        old, model.head[-1] = [model.head[-1]], CNN(config).head[-1]
    model.config = config
    return TwoTasks(model.use_fast_memory_order(), old)


def probed(task: TransferTask, config: TrainConfig) -> CNN:
    """Return a copy of the source with a last layer fitted to its features.

    Args:
        task: the network and what it learns.
        config: the settings; the first 10,000 of the images they choose are used.
    """
    model = begin(task, config.model, "probe").model.to(task.device).eval()
    train = choose_images(config, task.target)[0][:PROBED]
    images = task.target.train_images[train]
    parts, labels = [torch.from_numpy(images)], [torch.from_numpy(task.target.train_labels[train])]
    if (drawn := task.drawings(images)) is not None:
        parts.append(drawn)
        labels.append(torch.full((len(drawn),), config.model.num_classes))
    with torch.no_grad():
        features = [
            model.features_of(model.canonical(to_float(some.to(task.device)))).cpu()
            for part in parts
            for some in torch.split(part, 1000)
        ]
    outputs = output_count(config.model)
    model.head[-1] = _regression(torch.cat(features), torch.cat(labels), outputs)
    return model.cpu()


def _regression(features: Tensor, labels: Tensor, outputs: int) -> nn.Linear:
    """Return the layer that a logistic regression on (N, units) features comes to."""
    # One scale for all: units that hardly vary are noise and must not be amplified.
    mean, scale = features.mean(0), features.std(0).mean().clamp(min=1e-6)
    scaled = ((features - mean) / scale).double()
    layer = nn.Linear(features.shape[1], outputs).double()
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        misfit = F.cross_entropy(layer(scaled), labels, reduction="sum")
        total = _FREEDOM * misfit + layer.weight.square().sum() / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        layer.weight.div_(scale)
        layer.bias.sub_(layer.weight @ mean.double())
    return layer.float()
