"""Digits as they look when they are cut out of a row of writing: with bits of what stands beside.

Guarantees:

- Each digit stays whole and in the middle; its label stays true.
- All randomness comes from torch's generator.

What a cut of old registers and forms holds besides its digit: the neighbours on both sides, cut off
where the picture ends, a full stop, rests of ruled lines, and the slant of the whole row.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor

# The canvas, in pixels of a 28-pixel image.
HEIGHT, WIDTH = 40, 64
_MIDDLE = WIDTH / 2
_NEIGHBOUR, _STOP, _RULE = 0.6, 0.25, 0.2
# The slant of a row, in degrees to the right: mean and standard deviation.
_SLANT = (12.0, 12.0)
# How far beyond the digit the picture may reach, in pixels.
_REACH = 9.0


def in_a_row(digits: Tensor) -> Tensor:
    """Return rows of writing with each of ``digits`` in the middle.

    Args:
        digits: float32 (N, 1, 28, 28) in [0, 1]; neighbours are taken from them too.

    Returns:
        Inks, float32 (N, 1, 40, 64) in [0, 1].
    """
    count = len(digits)
    left, right = _sides(digits)
    row = _placed(digits, torch.zeros_like(left), torch.zeros_like(left))
    for side in (-1, 1):
        others = digits[torch.randint(count, (count,))]
        others = others * (torch.rand(count, 1, 1, 1) < _NEIGHBOUR)
        inner, outer = (right, _sides(others)[0]) if side > 0 else (left, _sides(others)[1])
        shift = inner - outer + side * _uniform(count, -1.5, 4.0)
        row = torch.maximum(row, _placed(others, shift, _uniform(count, -2.5, 2.5)))
    row = torch.maximum(row, _full_stops(_MIDDLE - 14 + right))
    x, _ = _positions()
    start = _MIDDLE - 14 + left - _uniform(count, 0, _REACH)
    end = _MIDDLE - 13 + right + _uniform(count, 0, _REACH)
    row = row * ((x > start) & (x < end))
    for _ in range(2):
        row = torch.maximum(row, _rules(count))
    return _slanted(row)


def _positions() -> tuple[Tensor, Tensor]:
    """Return the middles of the canvas's pixels, across (64,) and down (40, 1)."""
    return torch.arange(WIDTH) + 0.5, torch.arange(HEIGHT)[:, None] + 0.5


def _uniform(count: int, low: float, high: float) -> Tensor:
    """Return a random number for each image, (N, 1, 1, 1)."""
    return torch.rand(count, 1, 1, 1) * (high - low) + low


def _sides(digits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and the last column of each digit, (N, 1, 1, 1); of a blank 28 and -1."""
    present = digits.amax(2, keepdim=True) > 0.4
    columns = torch.arange(28.0)
    first = torch.where(present, columns, 28.0).amin(3, keepdim=True)
    return first, torch.where(present, columns, -1.0).amax(3, keepdim=True)


def _placed(digits: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Return canvases with each digit moved from the middle by whole pixels."""
    x, y = _positions()
    across = (x - _MIDDLE - right.round()).expand(-1, 1, HEIGHT, -1)
    along = (y - HEIGHT / 2 - down.round()).expand(-1, 1, -1, WIDTH)
    # From pixels to the unit of the grid, in which a digit is 2 wide.
    grid = torch.cat((across, along), dim=1).permute(0, 2, 3, 1) / 14
    return F.grid_sample(digits, grid, mode="nearest", align_corners=False)


def _full_stops(right: Tensor) -> Tensor:
    """Return canvases some of which hold a dot at the foot of the digit that ends at ``right``."""
    count = len(right)
    x, y = _positions()
    across, down = x - right - _uniform(count, 1, 4), y - _uniform(count, 26, 32)
    radius = _uniform(count, 0.7, 2.0) * (torch.rand(count, 1, 1, 1) < _STOP)
    dots = (radius - torch.hypot(across, down) + 0.5).clamp(0, 1)
    return dots * (radius > 0)


def _rules(count: int) -> Tensor:
    """Return canvases some of which hold a bit of a line, upright beside the digit or level."""
    x, y = _positions()
    side = torch.where(_uniform(count, 0, 1) < 0.5, -1.0, 1.0)
    upright = _uniform(count, 0, 1) < 0.6
    beside = _MIDDLE + side * _uniform(count, 7, 16)
    level = torch.where(side > 0, _uniform(count, 27, 36), _uniform(count, 4, 10))
    distance = torch.where(upright, (beside - x).abs(), (level - y).abs())
    line = (_uniform(count, 0.5, 1.6) - distance + 0.5).clamp(0, 1)
    near = (x - _MIDDLE).abs() < _uniform(count, 8, 18)
    near = near & ((y - HEIGHT / 2).abs() < _uniform(count, 8, 18))
    strength = _uniform(count, 0.4, 1.0) * (_uniform(count, 0, 1) < _RULE)
    return line * near * strength


def _slanted(rows: Tensor) -> Tensor:
    mean, spread = _SLANT
    degrees = mean + spread * torch.randn(len(rows)).clamp(-3, 3)
    matrices = torch.eye(2, 3).repeat(len(rows), 1, 1)
    matrices[:, 0, 1] = torch.tan(torch.deg2rad(degrees)) * HEIGHT / WIDTH
    grid = F.affine_grid(matrices, list(rows.shape), align_corners=False)
    return F.grid_sample(rows, grid, align_corners=False)
