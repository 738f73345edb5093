"""What one step of training sees: images, distorted as the settings say, with their labels.

Guarantees:

- The same images, settings, finder of digitnet and state of torch's generator give the same batch.
- Stored images are never changed; they, and all that is drawn for a batch, lie on one device.
- The images asked for come first and in that order; digits of other hands and signs found on pages
  follow them, then drawings of no digit; what is none is labelled with the number after the last
  class.
- Styles of writing digits are given to classes called "0" to "9" only.
- ``augment`` keeps shape, dtype and range, float32 (N, 1, S, S) in [0, 1], and draws from the given
  generator only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from numpy.typing import NDArray
from torch import Tensor

from digitnet.data.pen_signs import load_hands, split_writers
from digitnet.network.cnn import to_float
from digitnet.network.config import AugmentationConfig, TrainConfig
from digitnet.synthesis.faults import add_faults
from digitnet.synthesis.hand_drawings import draw_digits, draw_signs
from digitnet.synthesis.nondigits import KINDS, SIZE, draw_non_digits
from digitnet.synthesis.page_scenes import PageMaker
from digitnet.synthesis.pens import draw_with_pen, stroke_distances
from digitnet.synthesis.styles import restyle
from digitnet.training.checkpoint import load_finder
from digitnet.training.device import CPU, generator_of
from digitnet.training.found_signs import found_signs

# Drawings to choose from: two for every three images, and at most this many.
_NON_DIGITS = 36_000
# Drawings of digits of other hands, and of signs of theirs, to choose from.
_HANDS, _SIGNS = 60_000, 48_000
# Signs that were found on pages, to choose from: one for every image, and at most this many.
_FOUND = 60_000
# Print is what pictures hold most beside handwriting, and then things.
_LEARNED_KINDS = (*KINDS, *("printed letter", "display letter") * 3, *("silhouette",) * 2)
# Drawings made as coarse as this, and large again, are as soft as MNIST's digits.
_COARSE = 28
# Pen widths in pixels of a digit 20 pixels high.
_FINEST, _BROADEST = 0.6, 6.5
# Width of the Gaussian that smooths elastic displacements, in pixels of a 28-pixel image
# (Simard et al. use 4), and the distance between its centres.
ELASTIC_SIGMA = 4.0
ELASTIC_SPACING = 4.0


@dataclass(frozen=True, eq=False)
class Batch:
    """The images of one step, float32 (M, 1, S, S) in [0, 1], and their labels, int64 (M,)."""

    images: Tensor
    labels: Tensor
    count: int
    """How many of them, the first, are the images that were asked for."""


class Batches:
    """Training images and labels, ready to be taken in batches.

    Args:
        images: uint8 (N, 28, 28).
        labels: int64 (N,).
        config: the settings.
        class_names: the name of each label; those called 0 to 9 may be restyled as digits.
        device: where images are kept and batches are made.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        config: TrainConfig,
        class_names: Sequence[str],
        device: torch.device = CPU,
    ) -> None:
        self.config, self.device, self.distorts = config, device, True
        array = images.numpy()
        if share := config.augmentation.style:
            names = np.array(list(class_names))[labels.numpy()]
            array = restyle(array, names, share, config.seed)
        self.images, self.labels = torch.from_numpy(array).to(device), labels.to(device)
        self.distances = None
        if config.augmentation.pen:
            self.distances = torch.from_numpy(stroke_distances(array)).to(device)
        self.drawings = list(_drawings(array, labels.numpy(), config, device))

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> Batch:
        """Return the images at ``indices``, int64 (M,), followed by those of other sources."""
        # Inside, tensors are made on the device and drawn by its generator.
        with self.device:
            indices = indices.to(self.device)
            images, labels = self._framed(self._drawn(indices)), self.labels[indices]
            for drawings in self.drawings:
                more, what = drawings.some(max(1, round(len(indices) * drawings.share)))
                images, labels = torch.cat((images, more)), torch.cat((labels, what))
            return Batch(self.distorted(images), labels, len(indices))

    def distorted(self, images: Tensor) -> Tensor:
        """Return images, float32 (N, 1, S, S) in [0, 1], distorted as the settings say.

        While ``distorts`` is False, they stay as they are, and so do their pens.
        """
        if not self.distorts:
            return images
        return augment(images, self.config.augmentation, generator_of(self.device))

    def _drawn(self, indices: Tensor) -> Tensor:
        """Return the images at ``indices``, some of them with another pen."""
        images = to_float(self.images[indices])
        if self.distances is None or not self.distorts:
            return images
        pen = self.config.augmentation.pen
        chosen = torch.nonzero(torch.rand(len(indices)) < pen).flatten()
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


@dataclass(frozen=True, eq=False)
class Drawings:
    """What is learned beside the images, to choose from."""

    images: Tensor
    """uint8 (N, 40, 40)."""
    labels: Tensor
    """int64 (N,)."""
    share: float
    """How many of them are in a batch, for each image that is asked for."""
    soft: bool = False
    """Whether they are as soft as pictures already."""

    def some(self, count: int) -> tuple[Tensor, Tensor]:
        """Return images, float32 (count, 1, 40, 40) in [0, 1], and labels; some may come twice."""
        chosen = torch.randint(len(self.images), (count,))
        images = to_float(self.images[chosen])
        return images if self.soft else partly_softened(images), self.labels[chosen]


def _drawings(
    images: NDArray[np.uint8], labels: NDArray[np.int64], config: TrainConfig, device: torch.device
) -> Iterator[Drawings]:
    """Yield what a network with these settings learns beside images."""

    def kept(
        drawn: NDArray[np.uint8],
        what: NDArray[np.int64] | None,
        share: float,
        *,
        soft: bool = False,
    ) -> Drawings:
        meant = np.full(len(drawn), config.model.num_classes) if what is None else what
        margin = (SIZE - drawn.shape[-1]) // 2
        framed = np.pad(drawn, ((0, 0), (margin, margin), (margin, margin)))
        inks, kinds = (torch.from_numpy(part).to(device) for part in (framed, meant))
        return Drawings(inks, kinds, share, soft)

    if config.hands:
        yield kept(*draw_digits(_HANDS, config.seed), config.hands)
    if config.found:
        writers = load_hands()
        maker = PageMaker(images, labels, writers, split_writers(writers)[0])
        seen = found_signs(load_finder(), maker, min(_FOUND, len(images)), config.seed)
        yield kept(*seen, config.found, soft=True)
    if config.non_digits:
        count = min(_NON_DIGITS, 2 * len(images) // 3)
        drawn, _ = draw_non_digits(count, config.seed, images, _LEARNED_KINDS)
        yield kept(drawn, None, config.non_digits)
    if config.signs:
        yield kept(draw_signs(_SIGNS, config.seed), None, config.signs)


def partly_softened(sharp: Tensor) -> Tensor:
    """Make half of the drawings as soft as MNIST's digits, or what is sharp would be refused."""
    coarse = F.interpolate(sharp, size=_COARSE, mode="area")
    soft = F.interpolate(coarse, size=SIZE, mode="bilinear")
    return torch.where(torch.rand(len(sharp), 1, 1, 1) < 0.5, soft, sharp)


def augment(images: Tensor, config: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Return distorted copies of ``images``, each distorted in its own way.

    A config of zeros returns the images themselves. Pixels are resampled once, however many
    distortions are on. Redrawing with a pen (``config.pen``) needs more than pixels and happens
    before. The elastic distortion follows Simard, Steinkraus and Platt, "Best practices for
    convolutional neural networks applied to visual document analysis" (ICDAR 2003), with the
    Gaussian smoothing written as a sum of Gaussian bumps on a coarse grid.

    Args:
        images: float32 (N, 1, S, S) in [0, 1], square.
        config: how far each distortion may go.
        generator: the only source of randomness.
    """
    if config.is_off:
        return images
    if config.stroke:
        images = _change_strokes(images, config.stroke, generator)
    if any((config.shift, config.rotate, config.scale, config.shear, config.elastic)):
        grid = _sampling_grid(images, config, generator)
        images = F.grid_sample(images, grid, mode="bilinear", align_corners=False)
    return add_faults(images, config.faults, generator)


def _sampling_grid(
    images: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Return where each output pixel is read from: (N, H, W, 2), in [-1, 1] across the image."""
    count, _, height, width = images.shape
    matrices = _affine_matrices(count, config, generator)
    # Pixels to the unit of the grid, in which an image is 2 wide.
    unit = torch.tensor([2 / width, 2 / height])
    matrices[:, :, 2] *= unit
    grid = F.affine_grid(matrices, [count, 1, height, width], align_corners=False)
    if config.elastic:
        grid = grid + _displacements(count, height, width, config.elastic, generator) * unit
    return grid


def _affine_matrices(count: int, config: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Return (N, 2, 3) matrices, rotation · shear · scale, and the shift in pixels."""

    def draw(limit: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * limit

    angle = draw(math.radians(config.rotate))
    slant = torch.tan(draw(math.radians(config.shear)))
    # Drawn on a log scale, so that growing and shrinking are equally likely.
    across, down = (torch.exp(draw(math.log1p(config.scale))) for _ in range(2))
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = (
        torch.stack((cos * across, (cos * slant - sin) * down, draw(config.shift)), dim=1),
        torch.stack((sin * across, (sin * slant + cos) * down, draw(config.shift)), dim=1),
    )
    return torch.stack(rows, dim=1)


def _displacements(
    count: int, height: int, width: int, size: float, generator: torch.Generator
) -> Tensor:
    """Return smooth random displacements (N, H, W, 2) whose root mean square is ``size`` pixels."""
    rows, columns = _bumps(height), _bumps(width)
    noise = torch.randn(count, 2, rows.shape[1], columns.shape[1], generator=generator)
    # The small matrices last, so that both products are one large one and not 2 · N small ones.
    displacements: Tensor = ((noise @ columns.T).transpose(2, 3) @ rows.T).permute(0, 3, 2, 1)
    return displacements * size


def _bumps(length: int) -> Tensor:
    """Return Gaussian bumps (length, K), scaled so that unit noise on them stays unit noise."""
    centres = torch.arange(0, length + ELASTIC_SPACING, ELASTIC_SPACING)
    pixels = torch.arange(length) + 0.5
    bumps = torch.exp(-((pixels[:, None] - centres) ** 2) / (2 * ELASTIC_SIGMA**2))
    scaled: Tensor = bumps / torch.linalg.vector_norm(bumps, dim=1, keepdim=True)
    return scaled


def _change_strokes(images: Tensor, limit: float, generator: torch.Generator) -> Tensor:
    """Blend each image with its dilation (thicker) or its erosion (thinner), by up to ``limit``."""
    amount = (torch.rand(len(images), 1, 1, 1, generator=generator) * 2 - 1) * limit
    thick, thin = _dilated(images), -_dilated(-images)
    return torch.lerp(images, torch.where(amount > 0, thick, thin), amount.abs())


def _dilated(images: Tensor) -> Tensor:
    """Return the largest of each 3 by 3 pixels; several times as fast as max pooling."""
    for axis in (2, 3):
        one, length = images.clone(), images.shape[axis] - 1
        for to, source in ((1, 0), (0, 1)):
            part = one.narrow(axis, to, length)
            torch.maximum(part, images.narrow(axis, source, length), out=part)
        images = one
    return images
