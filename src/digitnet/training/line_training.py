"""The training of the line reader: the loop's ``Training`` for strips instead of images.

Guarantees, besides those of ``stream_training``: strips are made of training images and writers
only; those of validation are made of other images and other writers.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor

from digitnet.data.dataset import Dataset
from digitnet.data.pen_signs import load_hands, split_writers
from digitnet.network.config import TrainConfig
from digitnet.network.line_reader import BLANK, LineReader
from digitnet.synthesis.page_numbers import LineMaker
from digitnet.training.device import CPU
from digitnet.training.finder_training import VAL_SEED
from digitnet.training.line_batches import LineBatch, LineBatches, line_batch
from digitnet.training.loop import choose_images
from digitnet.training.page_batches import page_seed
from digitnet.training.statistics import wilson_interval
from digitnet.training.stream_training import StreamTraining

# Lines for validation, and for the test; in batches of so many.
VAL_LINES, TEST_LINES, _AT_A_TIME = 1024, 2048, 64
_TEST_SEED = 2**33
# Middle lines of an image are found once; of as many images as are soon all known.
_IMAGES = 9000


def line_maker(config: TrainConfig, dataset: Dataset, *, training: bool) -> LineMaker:
    """Return what draws lines: of training images and writers, or of those for validation."""
    hands = load_hands()
    images = choose_images(config, dataset)[0 if training else 1][:_IMAGES]
    items = split_writers(hands)[0 if training else 1]
    return LineMaker(dataset.train_images[images], dataset.train_labels[images], hands, items)


class LineTraining(StreamTraining):
    """A line reader in training; see ``Training``."""

    model: LineReader  # type: ignore[assignment]

    def __init__(self, config: TrainConfig, dataset: Dataset, device: torch.device = CPU) -> None:
        super().__init__(config, dataset, device, LineReader(), config.lines)

    @property
    def network(self) -> LineReader:  # type: ignore[override]
        """The running mean of the weights."""
        assert isinstance(self.average.module, LineReader)
        return self.average.module

    @functools.cached_property
    def batches(self) -> LineBatches:  # type: ignore[override]
        """The stream of lines."""
        maker = line_maker(self.config, self.dataset, training=True)
        return LineBatches(maker, self.batch_size, self.config.seed)

    def forward(self, batch: LineBatch) -> Tensor:  # type: ignore[override]
        """Return the logits of a batch, (N, T, 12)."""
        strips = batch.strips.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            logits = self.model.columns(strips)
        return logits.float()

    def loss(self, logits: Tensor, batch: LineBatch) -> Tensor:  # type: ignore[override]
        """Return what the optimizer is to lower."""
        return line_loss(logits, batch)

    @functools.cached_property
    def _val_batches(self) -> list[LineBatch]:
        maker = line_maker(self.config, self.dataset, training=False)
        return _batches(maker, VAL_SEED, VAL_LINES)

    def measured(self) -> tuple[float, float]:
        """Return the loss, and the share of lines read exactly."""
        model = self.network.eval()
        losses, exact = [], list[bool]()
        for batch in self._val_batches:
            logits = model.columns(batch.strips.to(self.device)).cpu()
            losses.append(line_loss(logits, batch).item())
            exact += are_exact(logits, batch)
        return float(np.mean(losses)), float(np.mean(exact))


def line_loss(logits: Tensor, batch: LineBatch) -> Tensor:
    """Return the loss of columns: of each strip minus the logarithm of its text's probability."""
    chances = F.log_softmax(logits, dim=-1).transpose(0, 1)
    places = batch.labels.to(logits.device), batch.columns, batch.lengths
    total = F.ctc_loss(chances, *places, blank=BLANK, reduction="sum", zero_infinity=True)
    return total / batch.count


def are_exact(logits: Tensor, batch: LineBatch) -> list[bool]:
    """Return of each strip whether what each column takes for likeliest spells its text."""
    picks = logits.argmax(-1)
    texts = torch.split(batch.labels, batch.lengths.tolist())
    exact = []
    for row, columns, text in zip(picks, batch.columns.tolist(), texts, strict=True):
        read = torch.unique_consecutive(row[:columns])
        exact.append(read[read != BLANK].tolist() == text.tolist())
    return exact


def measure_lines(reader: LineReader, dataset: Dataset) -> dict[str, Any]:
    """Read the test lines: of test images, and of writers who are set aside.

    Args:
        reader: in evaluation mode.
        dataset: its test images are in the lines.
    """
    hands = load_hands()
    images = dataset.test_images[:_IMAGES], dataset.test_labels[:_IMAGES]
    maker = LineMaker(*images, hands, split_writers(hands)[1])
    with torch.inference_mode():
        exact = [
            right
            for batch in _batches(maker, _TEST_SEED, TEST_LINES)
            for right in are_exact(reader.columns(batch.strips), batch)
        ]
    interval = wilson_interval(sum(exact), len(exact))
    return {"lines": len(exact), "exact": float(np.mean(exact)), "interval": list(interval)}


def _batches(maker: LineMaker, seed: int, count: int) -> list[LineBatch]:
    """Return lines, one of each sheet, sorted by width and in batches."""
    strips = [maker.lines(page_seed(seed, number))[0] for number in range(count)]
    strips.sort(key=lambda each: each[0].shape[1])
    return [line_batch(strips[start : start + _AT_A_TIME]) for start in range(0, count, _AT_A_TIME)]
