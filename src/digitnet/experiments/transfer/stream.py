"""What one step of tuning sees: images of the new task, and, behind them, of the old one.

Guarantees:

- Images are what the network's first layer takes: canonical where the network is.
- The two parts of a batch keep their sizes; the same seed gives the same batches.

Old images in each batch keep what the network knows (rehearsal: Robins, "Catastrophic forgetting,
rehearsal and pseudorehearsal", Connection Science 1995).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from digitnet.experiments.transfer.rows import in_a_row
from digitnet.network.canonical import Canonical
from digitnet.network.cnn import to_float
from digitnet.network.config import TrainConfig
from digitnet.synthesis.nondigits import draw_non_digits
from digitnet.training.augment import augment
from digitnet.training.batches import Batches, some_drawings


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images to learn from: uint8 (N, 28, 28), and their labels, int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> Pictures:
        """Return the first ``count`` of them."""
        return Pictures(self.images[:count], self.labels[:count])


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's images, float32 (N, 1, 28, 28) in [0, 1], and labels, int64 (N,)."""

    images: Tensor
    labels: Tensor
    new: int
    """How many of them, the first, are of the new task; the others are of the old one."""


class Stream:
    """Batches without end.

    Args:
        new: images of the new task.
        old: images of the old task, or None.
        non_digits: uint8 (M, 40, 40), drawings to refuse, or None.
        config: the settings; ``augmentation`` is for both tasks.
        sizes: images of the new task, of the old one and drawings in a batch.
        crops: whether a part of the old images stands in rows of writing.
    """

    def __init__(
        self,
        new: Pictures,
        old: Pictures | None,
        non_digits: Tensor | None,
        config: TrainConfig,
        sizes: tuple[int, int, int],
        *,
        crops: bool,
    ) -> None:
        plain = config.override(non_digits=0.0)
        self._new, self._old = _batches(new, plain), _batches(old, plain) if old else None
        self._non_digits, self._config = non_digits, config
        self._sizes, self._crops = sizes, crops
        self._canonical = Canonical() if config.model.canonical or crops else torch.nn.Identity()
        self._order = torch.empty(0, dtype=torch.long)

    @torch.no_grad()
    def next(self) -> Batch:
        """Return the next batch."""
        new, old, drawings = self._sizes
        indices = self._next_of_new(new)
        parts = [self._new.batch(indices)]
        if self._non_digits is not None:
            parts.append(self._some_drawings(self._non_digits, drawings))
        of_new = sum(len(labels) for _, labels in parts)
        if self._old is not None and old:
            parts += self._some_old(self._old, old)
        images = torch.cat([self._canonical(images) for images, _ in parts])
        return Batch(images, torch.cat([labels for _, labels in parts]), of_new)

    def _next_of_new(self, count: int) -> Tensor:
        """Return the next indices of an order in which every image comes once before one twice."""
        while len(self._order) < count:
            self._order = torch.cat((self._order, torch.randperm(len(self._new))))
        taken, self._order = self._order[:count], self._order[count:]
        return taken

    def _some_drawings(self, drawings: Tensor, count: int) -> tuple[Tensor, Tensor]:
        chosen = some_drawings(drawings, count)
        config = self._config
        none = torch.full((count,), config.model.num_classes)
        return augment(chosen, config.augmentation, torch.default_generator), none

    def _some_old(self, old: Batches, count: int) -> list[tuple[Tensor, Tensor]]:
        """Return old images: some as they are, some distorted, some in rows of writing."""
        chosen = torch.randint(len(old), (count,))
        as_they_are, others = chosen[: count // 3], chosen[count // 3 :]
        parts = [(to_float(old.images[as_they_are]), old.labels[as_they_are])]
        if self._crops:
            in_rows, others = others[: len(others) // 2], others[len(others) // 2 :]
            parts.append((in_a_row(to_float(old.images[in_rows])), old.labels[in_rows]))
        return [*parts, old.batch(others)]


def _batches(pictures: Pictures, config: TrainConfig) -> Batches:
    return Batches(torch.from_numpy(pictures.images), torch.from_numpy(pictures.labels), config)


def drawings(count: int, seed: int, digits: NDArray[np.uint8]) -> Tensor:
    """Return drawings of no digit, uint8 (count, 40, 40), made with the help of ``digits``."""
    drawn, _ = draw_non_digits(count, seed, digits)
    return torch.from_numpy(drawn)
