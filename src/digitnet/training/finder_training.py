"""The training of the finder: the loop's ``Training`` for pages instead of images.

Guarantees, besides those of the loop:

- Pages come from an endless stream that the seed decides; no page comes twice. They are made of
  training images only; those of validation are made of other images and other writers.
- The network that is saved has the running mean of the weights (decay 0.998).
"""

from __future__ import annotations

import functools
import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from digitnet.data.dataset import Dataset
from digitnet.errors import InputError
from digitnet.network.config import TrainConfig
from digitnet.network.finder import Finder, Maps
from digitnet.synthesis.hands import load_hands, split_writers
from digitnet.synthesis.page_scenes import Page, PageMaker
from digitnet.training.checkpoint import named, save_finder
from digitnet.training.device import CPU
from digitnet.training.finder_evaluation import look_at
from digitnet.training.loop import DIGITS, Position, Training, choose_images
from digitnet.training.page_batches import PageBatch, PageBatches, batch_of, drawn, page_seed
from digitnet.training.runs import Epoch, Run

# Of the running mean of weights, a step.
DECAY = 0.998
# Validation: batches for the loss, and pages on which signs are counted; apart from every seed of
# training.
VAL_BATCHES, VAL_PAGES, VAL_SEED = 24, 200, 2**31
# How much each part of the loss counts.
_CENTRES, _VOTES, _SIZES, _STROKES, _OVERLAP = 1.0, 1.0, 0.2, 1.0, 0.3


def page_maker(config: TrainConfig, dataset: Dataset, *, training: bool) -> PageMaker:
    """Return what draws pages: of training images and writers, or of those for validation."""
    hands = load_hands()
    images = choose_images(config, dataset)[0 if training else 1]
    items = split_writers(hands)[0 if training else 1]
    return PageMaker(dataset.train_images[images], dataset.train_labels[images], hands, items)


def refuse_other_than_digits(dataset: Dataset) -> None:
    """Refuse data that no pages can be made of.

    Raises:
        InputError: the classes are not the ten digits.
    """
    if dataset.class_names != DIGITS:
        raise InputError(
            f"Pages are made of digits, but '{dataset.name}' has the classes "
            f"{', '.join(dataset.class_names[:12])}. Name data of digits, such as --data mnist."
        )


class FinderTraining(Training):
    """A finder in training; see ``Training``."""

    model: Finder  # type: ignore[assignment]

    def __init__(self, config: TrainConfig, dataset: Dataset, device: torch.device = CPU) -> None:
        super().__init__(config, dataset, device, Finder())  # type: ignore[arg-type]
        self.dataset = dataset
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.steps = config.pages // config.batch_size
        self.total_steps = config.epochs * self.steps
        mean = get_ema_multi_avg_fn(DECAY)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.model, multi_avg_fn=mean, use_buffers=True)

    def close(self) -> None:
        """End the process that draws."""
        self.batches.close()

    def finish(self, run: Run | None) -> None:
        """Save the finder."""
        if run:
            about = {"epochs": len(self.history)}
            save_finder(run.model_file, self.network, self.config, about)

    @property
    def network(self) -> Finder:
        """The running mean of the weights."""
        assert isinstance(self.average.module, Finder)
        return self.average.module

    def count_right(self, batch: Any, logits: Any) -> int:  # noqa: ARG002
        """Return nothing: see ``train_accuracy``."""
        return 0

    @property
    def train_accuracy(self) -> float | None:
        """None: finding what is on a page takes longer than learning from it."""
        return None

    @functools.cached_property
    def batches(self) -> PageBatches:  # type: ignore[override]
        """The stream of pages."""
        maker = page_maker(self.config, self.dataset, training=True)
        return PageBatches(maker, self.batch_size, self.config.seed)

    def order(self) -> Tensor:
        """Return the pages of this epoch: the next ones of the stream."""
        pages = self.steps * self.batch_size
        return torch.arange(pages) + self.position.epoch * pages

    def forward(self, batch: PageBatch) -> Maps:  # type: ignore[override]
        """Return the maps of a batch."""
        pages = batch.pages.to(self.device, memory_format=torch.channels_last)
        maps: Maps = self.model(pages)
        return maps

    def loss(self, logits: Maps, batch: PageBatch) -> Tensor:  # type: ignore[override]
        """Return what the optimizer is to lower."""
        return finder_loss(logits, batch)

    def count(self, batch: Any, logits: Any, loss: float, seconds: float) -> None:
        """Add a step to the sums of the epoch, and its weights to their running mean."""
        super().count(batch, logits, loss, seconds)
        self.average.update_parameters(self.model)

    @functools.cached_property
    def _val_batches(self) -> list[PageBatch]:
        maker = page_maker(self.config, self.dataset, training=False)
        size = self.batch_size
        return [batch_of(drawn(maker, VAL_SEED, i * size, size)) for i in range(VAL_BATCHES)]

    @functools.cached_property
    def _val_pages(self) -> list[Page]:
        maker = page_maker(self.config, self.dataset, training=False)
        return [maker.page(page_seed(VAL_SEED, 10_000 + i)) for i in range(VAL_PAGES)]

    def validate(self) -> Epoch | None:
        """Add a row to the history: the loss, and the share of pages with exactly their signs."""
        position, started = self.position, time.perf_counter()
        model = self.network.eval()
        with torch.inference_mode():
            losses = [finder_loss(model(batch.pages), batch).item() for batch in self._val_batches]
            exact = [look_at(model, page).is_exact for page in self._val_pages]
        self.refuse_divergence(float(np.mean(losses)))
        row = Epoch(
            epoch=position.epoch + 1,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            train_loss=position.loss_sum / position.images,
            train_accuracy=self.train_accuracy,
            val_loss=float(np.mean(losses)),
            val_accuracy=float(np.mean(exact)),
            seconds=position.seconds + time.perf_counter() - started,
        )
        self.history.append(row)
        self.position = Position(epoch=position.epoch + 1)
        return row

    def more_state(self) -> dict[str, Tensor]:
        """Return the running mean of the weights."""
        return {f"average.{name}": value for name, value in self.average.state_dict().items()}

    def restore_more(self, tensors: dict[str, Tensor]) -> None:
        """Take over what ``more_state`` returned."""
        self.average.load_state_dict(named(tensors, "average."))


def finder_loss(maps: Maps, batch: PageBatch) -> Tensor:
    """Return the loss of maps: a weighted sum over strokes, votes, centres and sizes.

    Strokes: cross-entropy, ink counting three times, and the Dice loss of Milletari et al. (3DV
    2016). Centres: the focal loss of Law and Deng, "CornerNet" (ECCV 2018). Votes and sizes:
    absolute errors where there is ink, and near centres.
    """
    weight = 1 + 2 * batch.strokes
    entropy = F.binary_cross_entropy_with_logits(maps.strokes, batch.strokes, weight)
    likely = torch.sigmoid(maps.strokes)
    both = 2 * (likely * batch.strokes).sum((2, 3)) + 1
    overlap = 1 - both / ((likely**2).sum((2, 3)) + (batch.strokes**2).sum((2, 3)) + 1)
    # Every sign has as much of a say as its area gives it, but no page of none divides by zero.
    votes = ((maps.votes - batch.votes).abs() * batch.owned).sum() / (batch.owned.sum() + 1)
    near = batch.centres.amax(1, keepdim=True)
    sizes = ((maps.sizes - batch.sizes).abs() * near).sum() / (near.sum() + 1)
    return (
        _STROKES * entropy
        + _OVERLAP * overlap.mean()
        + _VOTES * votes
        + _SIZES * sizes
        + _CENTRES * _focal_loss(maps.centres, batch.centres)
    )


def _focal_loss(logits: Tensor, bumps: Tensor) -> Tensor:
    """Return the focal loss of maps of centres (alpha 2, beta 4), over the number of centres."""
    top = (bumps == 1).to(logits.dtype)
    likely = torch.sigmoid(logits)
    hits = F.logsigmoid(logits) * (1 - likely) ** 2 * top
    others = F.logsigmoid(-logits) * likely**2 * (1 - bumps) ** 4 * (1 - top)
    return -(hits + others).sum() / (top.sum() + 1)
