"""Random distortions of a whole batch of images, as tensors, in one pass.

Guarantees:

- Output has the shape, dtype and range of the input: float32 (N, 1, S, S) in [0, 1].
- Every image gets its own distortion, drawn from the given generator and from nothing else.
- A config of zeros returns the images themselves.
- Pixels are resampled once, however many distortions are on.
- Redrawing with a pen (``config.pen``) needs more than pixels and happens before; see ``pens``.

The elastic distortion follows Simard, Steinkraus and Platt, "Best practices for convolutional
neural networks applied to visual document analysis" (ICDAR 2003), with the Gaussian smoothing
written as a sum of Gaussian bumps on a coarse grid.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor

from digitnet.network.config import AugmentationConfig
from digitnet.synthesis.faults import add_faults

# Width of the Gaussian that smooths elastic displacements, in pixels of a 28-pixel image
# (Simard et al. use 4), and the distance between its centres.
ELASTIC_SIGMA = 4.0
ELASTIC_SPACING = 4.0


def augment(images: Tensor, config: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Return distorted copies of ``images``.

    Args:
        images: float32 (N, 1, S, S) in [0, 1], square.
        config: how far each distortion may go.
        generator: the only source of randomness.
    """
    if config.is_off:
        return images
    if config.stroke:
        images = _change_strokes(images, config.stroke, generator)
    if _moves_pixels(config):
        grid = _sampling_grid(images, config, generator)
        images = F.grid_sample(images, grid, mode="bilinear", align_corners=False)
    return add_faults(images, config.faults, generator)


def _moves_pixels(config: AugmentationConfig) -> bool:
    return any((config.shift, config.rotate, config.scale, config.shear, config.elastic))


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
    displacements: Tensor = (rows @ noise @ columns.T).permute(0, 2, 3, 1) * size
    return displacements


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
    thick = F.max_pool2d(images, 3, stride=1, padding=1)
    thin = -F.max_pool2d(-images, 3, stride=1, padding=1)
    return torch.lerp(images, torch.where(amount > 0, thick, thin), amount.abs())
