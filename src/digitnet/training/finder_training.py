"""The training of the finder: the loop's ``Training`` for pages instead of images.

Guarantees, besides those of ``stream_training``: pages are made of training images only; those of
validation are made of other images and other writers.
"""

from __future__ import annotations

import copy
import functools

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor

from digitnet.data.dataset import DIGIT_NAMES, Dataset
from digitnet.data.pen_signs import load_hands, split_writers
from digitnet.errors import InputError
from digitnet.network.config import TrainConfig
from digitnet.network.finder import Finder, Maps
from digitnet.synthesis.page_scenes import Page, PageMaker
from digitnet.training.device import CPU
from digitnet.training.finder_evaluation import look_at
from digitnet.training.loop import choose_images
from digitnet.training.page_batches import PageBatch, PageBatches, batch_of, drawn, page_seed
from digitnet.training.stream_training import StreamTraining

# Validation: batches for the loss, and pages on which signs are counted, with a seed that nobody
# trains with.
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
    if dataset.class_names != DIGIT_NAMES:
        raise InputError(
            f"Pages are made of digits, but '{dataset.name}' has the classes "
            f"{', '.join(dataset.class_names[:12])}. Name data of digits, such as --data mnist."
        )


class FinderTraining(StreamTraining):
    """A finder in training; see ``Training``."""

    model: Finder  # type: ignore[assignment]

    def __init__(self, config: TrainConfig, dataset: Dataset, device: torch.device = CPU) -> None:
        super().__init__(config, dataset, device, Finder(), config.pages)

    @property
    def network(self) -> Finder:  # type: ignore[override]
        """The running mean of the weights."""
        assert isinstance(self.average.module, Finder)
        return self.average.module

    @functools.cached_property
    def batches(self) -> PageBatches:  # type: ignore[override]
        """The stream of pages."""
        maker = page_maker(self.config, self.dataset, training=True)
        return PageBatches(maker, self.batch_size, self.config.seed, self.device)

    def forward(self, batch: PageBatch) -> Maps:  # type: ignore[override]
        """Return the maps of a batch."""
        maps: Maps = self.model(batch.pages.to(memory_format=torch.channels_last))
        return maps

    def loss(self, logits: Maps, batch: PageBatch) -> Tensor:  # type: ignore[override]
        """Return what the optimizer is to lower."""
        return finder_loss(logits, batch)

    @functools.cached_property
    def _val_batches(self) -> list[PageBatch]:
        maker = page_maker(self.config, self.dataset, training=False)
        size = self.batch_size
        arrays = (drawn(maker, VAL_SEED, i * size, size) for i in range(VAL_BATCHES))
        return [batch_of(each).to(self.device) for each in arrays]

    @functools.cached_property
    def _val_pages(self) -> list[Page]:
        maker = page_maker(self.config, self.dataset, training=False)
        return [maker.page(page_seed(VAL_SEED, 10_000 + i)) for i in range(VAL_PAGES)]

    def measured(self) -> tuple[float, float]:
        """Return the loss, and the share of pages with exactly their signs."""
        model = self.network.eval()
        losses = [finder_loss(model(batch.pages), batch).item() for batch in self._val_batches]
        # Pages are looked at as reading does, on the CPU.
        looking = copy.deepcopy(model).cpu()
        exact = [look_at(looking, page).is_exact for page in self._val_pages]
        return float(np.mean(losses)), float(np.mean(exact))


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
