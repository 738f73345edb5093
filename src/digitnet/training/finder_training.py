"""The training of the finder: the loop's ``Training`` for pages instead of images.

Guarantees, besides those of the loop:

- Pages come from an endless stream that the seed decides; no page comes twice. They are made of
  training images only; those of validation are made of other images and other writers.
- The network that is saved has the running mean of the weights (decay 0.998).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from digitnet.data.dataset import Dataset
from digitnet.network.config import TrainConfig
from digitnet.network.finder import Finder, Maps, find
from digitnet.synthesis.hands import load_hands, split_writers
from digitnet.synthesis.page_scenes import Page, PageMaker
from digitnet.training.checkpoint import named, save_finder
from digitnet.training.device import CPU
from digitnet.training.loop import Position, Training, choose_images
from digitnet.training.page_batches import PageBatch, PageBatches, batch_of, drawn, page_seed
from digitnet.training.runs import Epoch, Run

# Of the running mean of weights, a step.
DECAY = 0.998
# Validation: batches for the loss, and pages on which signs are counted; apart from every seed of
# training.
_VAL_BATCHES, _VAL_PAGES, VAL_SEED = 24, 200, 2**31
# How much each part of the loss counts.
_CENTRES, _VOTES, _SIZES, _STROKES, _OVERLAP = 1.0, 1.0, 0.2, 1.0, 0.3
# A centre found within this many sides of a true one is right.
RIGHT = 0.3


def page_maker(config: TrainConfig, dataset: Dataset, *, training: bool) -> PageMaker:
    """Return what draws pages: of training images and writers, or of those for validation."""
    hands = load_hands()
    images = choose_images(config, dataset)[0 if training else 1]
    items = split_writers(hands)[0 if training else 1]
    return PageMaker(dataset.train_images[images], dataset.train_labels[images], hands, items)


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

    @property
    def averaged(self) -> Finder:
        """The network with the running mean of the weights."""
        finder: Finder = self.average.module  # type: ignore[assignment]
        return finder

    def close(self, run: Run | None) -> None:
        """Save the finder, and end the process that draws."""
        self.batches.close()
        if run:
            model = self.model if self.finished else self.averaged
            save_finder(run.model_file, model, self.config, {"epochs": len(self.history)})

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

    def count(  # type: ignore[override]
        self,
        batch: PageBatch,
        logits: Maps,  # noqa: ARG002 (there is nothing to count in it)
        loss: float,
        seconds: float,
    ) -> None:
        """Add a step to the sums of the epoch, and its weights to their running mean."""
        self.position.step += 1
        self.position.images += batch.count
        self.position.loss_sum += loss * batch.count
        self.position.seconds += seconds
        self.average.update_parameters(self.model)
        if self.done == self.total_steps:
            self.model.load_state_dict(self.averaged.state_dict())

    @functools.cached_property
    def _val_batches(self) -> list[PageBatch]:
        maker = page_maker(self.config, self.dataset, training=False)
        size = self.batch_size
        return [batch_of(drawn(maker, VAL_SEED, i * size, size)) for i in range(_VAL_BATCHES)]

    @functools.cached_property
    def _val_pages(self) -> list[Page]:
        maker = page_maker(self.config, self.dataset, training=False)
        return [maker.page(page_seed(VAL_SEED, 10_000 + i)) for i in range(_VAL_PAGES)]

    def validate(self) -> Epoch | None:
        """Add a row to the history: the loss, and the share of pages with exactly their signs."""
        position, started = self.position, time.perf_counter()
        model = self.averaged.eval()
        with torch.inference_mode():
            losses = [finder_loss(model(batch.pages), batch).item() for batch in self._val_batches]
            exact = [all_found(model, page) for page in self._val_pages]
        self.refuse_divergence(float(np.mean(losses)))
        row = Epoch(
            epoch=position.epoch + 1,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            train_loss=position.loss_sum / position.images,
            train_accuracy=0.0,
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


def all_found(model: Finder, page: Page) -> bool:
    """Return whether exactly the signs of a page are found, each as what it is."""
    grey = torch.from_numpy(page.grey).float()[None, None]
    found = find(model(grey))
    if len(found.presence) != len(page.labels):
        return False
    truth = {(int(label > 9), *map(float, box)) for label, box in _signs(page)}
    for ink, share in zip(found.inks[:, 0], found.digit_share, strict=True):
        rows, columns = ink.amax(1) > 0.3, ink.amax(0) > 0.3
        if not bool(rows.any() and columns.any()):
            return False
        left, right = _ends(columns)
        top, bottom = _ends(rows)
        kind = int(share < 0.5)
        near = {t for t in truth if t[0] == kind and _is_near(t[1:], (left, top, right, bottom))}
        if not near:
            return False
        truth.discard(near.pop())
    return True


def _signs(page: Page) -> Iterator[tuple[int, tuple[float, ...]]]:
    for label, box in zip(page.labels, page.boxes, strict=True):
        yield int(label), tuple(box)


def _ends(present: Tensor) -> tuple[float, float]:
    where = torch.nonzero(present).flatten()
    return float(where[0]), float(where[-1] + 1)


def _is_near(box: tuple[float, ...], other: tuple[float, ...]) -> bool:
    side = max(box[2] - box[0], box[3] - box[1])
    # Each edge, for what is found of a sign decides how it is read.
    return all(abs(a - b) < RIGHT * side for a, b in zip(box, other, strict=True))
