"""Training from an endless stream: the loop's ``Training`` for what is drawn while it learns.

Guarantees, besides those of the loop:

- What is learned from comes from a stream that the seed decides; nothing comes twice.
- The network that is saved has the running mean of the weights (decay 0.998).
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from digitnet.data.dataset import Dataset
from digitnet.network.config import TrainConfig
from digitnet.training.checkpoint import save_network
from digitnet.training.loop import Position, Training, moving_average
from digitnet.training.runs import Epoch, Run

# Of the running mean of weights, a step.
DECAY = 0.998


class StreamTraining(Training):
    """A network in training on a stream; see ``Training``.

    Args:
        config: the settings.
        dataset: its images are in what is drawn.
        device: where it is trained.
        model: the network to start from.
        items: what is drawn in an epoch.
    """

    average: AveragedModel

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        device: torch.device,
        model: nn.Module,
        items: int,
    ) -> None:
        super().__init__(config, dataset, device, model)  # type: ignore[arg-type]
        self.dataset = dataset
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.steps = items // config.batch_size
        self.total_steps = config.epochs * self.steps
        self.average = moving_average(self.model, DECAY)

    def order(self) -> Tensor:
        """Return the numbers of what is drawn in this epoch."""
        first = self.position.epoch * self.steps * self.batch_size
        return torch.arange(first, first + self.steps * self.batch_size)

    def close(self) -> None:
        """End the process that draws."""
        if "batches" in vars(self):  # Nothing draws before the first batch is asked for.
            self.batches.close()  # type: ignore[attr-defined]

    def finish(self, run: Run | None) -> None:
        """Save the network."""
        if run:
            about = {"epochs": len(self.history)}
            save_network(run.model_file, self.network, self.config, about)  # type: ignore[arg-type]

    def count_right(self, batch: Any, logits: Any) -> int:  # noqa: ARG002
        """Return nothing: see ``train_accuracy``."""
        return 0

    @property
    def train_accuracy(self) -> float | None:
        """None: measuring takes longer than learning."""
        return None

    def measured(self) -> tuple[float, float]:
        """Return the loss and the accuracy on what is set aside for validation."""
        raise NotImplementedError

    def validate(self) -> Epoch | None:
        """Add a row to the history, and turn to the next epoch."""
        position, started = self.position, time.perf_counter()
        with torch.inference_mode():
            val_loss, val_accuracy = self.measured()
        self.refuse_divergence(val_loss)
        row = Epoch(
            epoch=position.epoch + 1,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            train_loss=position.loss_sum / position.images,
            train_accuracy=self.train_accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            seconds=position.seconds + time.perf_counter() - started,
        )
        self.history.append(row)
        self.position = Position(epoch=position.epoch + 1)
        return row
