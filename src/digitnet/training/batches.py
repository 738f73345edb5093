"""What one step of training sees: images as the settings want them, with their labels.

Guarantees:

- The same images, settings and state of torch's generator give the same batch.
- Stored images are never changed.
- Images come first and in the order asked for; drawings of no digit, if any, come behind them,
  labelled with the number after the last class.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor

from digitnet.network.cnn import to_float
from digitnet.network.config import TrainConfig
from digitnet.synthesis.nondigits import SIZE, draw_non_digits
from digitnet.synthesis.pens import draw_with_pen, stroke_distances
from digitnet.synthesis.styles import restyle
from digitnet.training.augment import augment

# Drawings to choose from: one for every two images, and at most this many.
_NON_DIGITS = 24_000
# Drawings made as coarse as this, and large again, are as soft as MNIST's digits.
_COARSE = 28
# Pen widths in pixels of a digit 20 pixels high.
_FINEST, _BROADEST = 0.6, 6.5


class Batches:
    """Training images and labels, ready to be taken in batches.

    Args:
        images: uint8 (N, 28, 28).
        labels: int64 (N,).
        config: the settings.
    """

    def __init__(self, images: Tensor, labels: Tensor, config: TrainConfig) -> None:
        self.labels, self.config = labels, config
        array = images.numpy()
        if share := config.augmentation.style:
            array = restyle(array, labels.numpy().astype(str), share, config.seed)
        self.images = torch.from_numpy(array)
        self.distances = torch.from_numpy(stroke_distances(array)) if _pen(config) else None
        self.non_digits = self._draw_non_digits() if config.non_digits else None

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images at ``indices``, float32 (M, 1, S, S) in [0, 1], and labels (M,)."""
        images, labels = self._framed(self._drawn(indices)), self.labels[indices]
        if self.non_digits is not None:
            count = max(1, round(len(indices) * self.config.non_digits))
            extra = some_drawings(self.non_digits, count)
            images = torch.cat((images, extra))
            none = torch.full((len(extra),), self.config.model.num_classes)
            labels = torch.cat((labels, none))
        return augment(images, self.config.augmentation, torch.default_generator), labels

    def _draw_non_digits(self) -> Tensor:
        count = min(_NON_DIGITS, len(self.images) // 2)
        drawn, _ = draw_non_digits(count, self.config.seed, self.images.numpy())
        return torch.from_numpy(drawn)

    def _drawn(self, indices: Tensor) -> Tensor:
        """Return the images at ``indices``, some of them with another pen."""
        images = to_float(self.images[indices])
        if self.distances is None:
            return images
        chosen = torch.nonzero(torch.rand(len(indices)) < _pen(self.config)).flatten()
        # Drawn on a log scale: fine pens differ from each other by as much as broad ones.
        spread = torch.rand(len(chosen)) * math.log(_BROADEST / _FINEST)
        redrawn = draw_with_pen(self.distances[indices[chosen]], _FINEST * torch.exp(spread))
        return images.index_copy(0, chosen, redrawn)

    def _framed(self, images: Tensor) -> Tensor:
        """Give a canonical network's images the room to be turned and stretched in."""
        if not self.config.model.canonical:
            return images
        margin = (SIZE - images.shape[-1]) // 2
        return F.pad(images, (margin,) * 4)


def some_drawings(drawings: Tensor, count: int) -> Tensor:
    """Return ``count`` of the drawings of no digit, float32 (count, 1, 40, 40) in [0, 1].

    Half of them are as soft as MNIST's digits are, or a network would refuse what is sharp.

    Args:
        drawings: uint8 (N, 40, 40).
        count: how many; some may come twice.
    """
    sharp = to_float(drawings[torch.randint(len(drawings), (count,))])
    coarse = F.interpolate(sharp, size=_COARSE, mode="area")
    soft = F.interpolate(coarse, size=SIZE, mode="bilinear")
    return torch.where(torch.rand(count, 1, 1, 1) < 0.5, soft, sharp)


def _pen(config: TrainConfig) -> float:
    return config.augmentation.pen
