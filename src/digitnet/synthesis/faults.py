"""What goes wrong between the paper and the network, imitated on a batch of inks.

Guarantees:

- Output has the shape, dtype and range of the input: float32 (N, 1, S, S) in [0, 1].
- Each image gets each fault with the given probability, hard thresholds with five times that,
  independently of the other faults, and all randomness comes from the given generator.
- Probability 0 returns the images themselves.

The faults: strokes broken by gaps, remains of ruled lines, strokes wiped out along lines, bits of a
neighbour at the edge, scraps of one anywhere, specks, a side cut off, blur, ink that is faint or
saturated, hard thresholds, noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor


def add_faults(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Return copies of ``images``, float32 (N, 1, S, S) in [0, 1], with faults at random."""
    if not probability:
        return images
    dice = _BatchDice(images, generator)
    for fault, times in _FAULTS:
        chosen = torch.nonzero(dice.uniform(len(images)) < times * probability).flatten()
        if len(chosen):
            images = images.index_copy(0, chosen, fault(images[chosen], dice))
    return images.clamp(0.0, 1.0)


class _BatchDice:
    """Random numbers for a batch."""

    def __init__(self, images: Tensor, generator: torch.Generator) -> None:
        self.batch, self.size, self.generator = images, images.shape[-1], generator

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(*shape, generator=self.generator) * (high - low) + low

    def each(self, count: int, low: float, high: float) -> Tensor:
        """Return one number for each image, shaped to be multiplied with images: (N, 1, 1, 1)."""
        return self.uniform(count, 1, 1, 1, low=low, high=high)

    def stripes(self, count: int) -> Tensor:
        """Return lines one to two pixels broad at a random distance, across or down."""
        position = torch.arange(self.size).view(1, -1)
        distance = self.uniform(count, 1, low=6, high=24)
        phase = self.uniform(count, 1) * distance
        width = self.uniform(count, 1, low=0.6, high=2.0)
        from_line = (position + phase) % distance
        line = (width - from_line).clamp(0, 1)
        down = line.view(count, 1, self.size, 1).expand(-1, -1, -1, self.size)
        turned = self.uniform(count, 1, 1, 1) < 0.5
        return torch.where(turned, down, down.transpose(2, 3))


def _gaps(images: Tensor, dice: _BatchDice) -> Tensor:
    """Break strokes where a coarse random field is low."""
    coarse = torch.randn(len(images), 1, 10, 10, generator=dice.generator)
    field = F.interpolate(coarse, size=dice.size, mode="bicubic", align_corners=False)
    return images * ((field + dice.each(len(images), 0.9, 2.0)) * 2).clamp(0, 1)


def _remains_of_lines(images: Tensor, dice: _BatchDice) -> Tensor:
    faint = dice.stripes(len(images)) * dice.each(len(images), 0.05, 0.45)
    # Lines remain in bits: what a threshold left of them.
    coarse = torch.randn(len(images), 1, 8, 8, generator=dice.generator)
    bits = (F.interpolate(coarse, size=dice.size) > 0.5).float()
    return torch.maximum(images, faint * bits)


def _wiped_lines(images: Tensor, dice: _BatchDice) -> Tensor:
    return images * (1 - dice.stripes(len(images)) * dice.each(len(images), 0.2, 0.9))


def _neighbour(images: Tensor, dice: _BatchDice) -> Tensor:
    """Put a bit of another digit of the batch at one side."""
    others = dice.batch[torch.randint(len(dice.batch), (len(images),), generator=dice.generator)]
    offset = int(torch.randint(17, 23, (), generator=dice.generator))
    # No further in than a few pixels from the edge of the digit's own field.
    reach = torch.zeros_like(others)
    edge = (dice.size - 28) // 2 + int(torch.randint(0, 4, (), generator=dice.generator))
    side = int(torch.randint(4, (), generator=dice.generator))
    shift, cut = ((offset, 3), (-offset, 3), (offset, 2), (-offset, 2))[side]
    near = slice(0, edge) if shift < 0 else slice(dice.size - edge, dice.size)
    reach[(..., near) if cut == 3 else (..., near, slice(None))] = 1
    return torch.maximum(images, torch.roll(others, shift, dims=cut) * reach)


def _crumbs(images: Tensor, dice: _BatchDice) -> Tensor:
    """Leave a scrap of another digit of the batch anywhere."""
    others = dice.batch[torch.randint(len(dice.batch), (len(images),), generator=dice.generator)]
    shift = torch.randint(-9, 10, (2,), generator=dice.generator).tolist()
    position = torch.arange(dice.size)
    scrap = torch.ones(())
    for axes in ((1, 1, 1, -1), (1, 1, -1, 1)):
        start = dice.each(len(images), 0.2, 0.7) * dice.size
        length = dice.each(len(images), 3, 9)
        along = position.view(axes)
        scrap = scrap * ((along >= start) & (along < start + length))
    return torch.maximum(images, torch.roll(others, shift, dims=(2, 3)) * scrap)


def _specks(images: Tensor, dice: _BatchDice) -> Tensor:
    """Drop a few dots of a pixel or two anywhere."""
    density = dice.each(len(images), 0.001, 0.006)
    dots = (dice.uniform(*images.shape) < density).float()
    wide = F.max_pool2d(dots, 2, stride=1, padding=1)[..., : dice.size, : dice.size]
    large = dice.uniform(len(images), 1, 1, 1) < 0.5
    return torch.maximum(images, torch.where(large, wide, dots) * dice.each(len(images), 0.2, 1))


def _cut(images: Tensor, dice: _BatchDice) -> Tensor:
    """Cut up to a tenth of the digit off at one side."""
    turns = int(torch.randint(4, (), generator=dice.generator))
    images = torch.rot90(images, turns, (2, 3))
    present = images.amax((1, 2)) > 0.3
    position = torch.arange(dice.size)
    first = torch.where(present, position, dice.size).amin(1, keepdim=True)
    last = torch.where(present, position, -1).amax(1, keepdim=True)
    depth = dice.uniform(len(images), 1) * 0.1 * (last - first + 1)
    kept = (position >= first + depth).float().view(len(images), 1, 1, -1)
    return torch.rot90(images * kept, -turns, (2, 3))


def _blur(images: Tensor, dice: _BatchDice) -> Tensor:
    sigma = float(dice.uniform(1, low=0.4, high=1.4))
    radius = math.ceil(2.5 * sigma)
    offsets = torch.arange(-radius, radius + 1).float()
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    across = F.conv2d(images, kernel.view(1, 1, 1, -1), padding=(0, radius))
    return F.conv2d(across, kernel.view(1, 1, -1, 1), padding=(radius, 0))


def _tone(images: Tensor, dice: _BatchDice) -> Tensor:
    return images.clamp(min=1e-4) ** torch.exp(dice.each(len(images), -0.9, 0.9)) * (images > 0)


def _threshold(images: Tensor, dice: _BatchDice) -> Tensor:
    """Sharpen edges about a random level, as thresholding a scan does."""
    level, slope = dice.each(len(images), 0.2, 0.6), dice.each(len(images), 2, 12)
    return ((images - level) * slope + 0.5).clamp(0, 1)


def _noise(images: Tensor, dice: _BatchDice) -> Tensor:
    noise = torch.randn(images.shape, generator=dice.generator) * dice.each(len(images), 0.01, 0.06)
    return images + noise


# In the order in which they come about (pen, page, cropping, camera, tone), and how likely each is
# beside the others: pictures are cut from finer ones, so all of them are sharper than MNIST.
_FAULTS: tuple[tuple[Callable[[Tensor, _BatchDice], Tensor], int], ...] = (
    (_gaps, 1),
    (_remains_of_lines, 1),
    (_wiped_lines, 1),
    (_neighbour, 1),
    (_crumbs, 1),
    (_specks, 1),
    (_cut, 1),
    (_blur, 1),
    (_tone, 1),
    (_threshold, 5),
    (_noise, 1),
)
