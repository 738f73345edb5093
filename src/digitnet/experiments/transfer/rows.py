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
    nothing = torch.zeros(count)
    row = _placed(digits, nothing, nothing)
    for side in (-1, 1):
        others = digits[torch.randint(count, (count,))]
        others = others * (torch.rand(count, 1, 1, 1) < _NEIGHBOUR)
        inner, outer = (right, _sides(others)[0]) if side > 0 else (left, _sides(others)[1])
        shift = inner - outer + side * _uniform(count, -1.5, 4.0)
        row = torch.maximum(row, _placed(others, shift, _uniform(count, -2.5, 2.5)))
    row = torch.maximum(row, _full_stops(_MIDDLE - 14 + right))
    across = _centres(WIDTH)
    start = _MIDDLE - 14 + left - _uniform(count, 0, _REACH)
    end = _MIDDLE - 13 + right + _uniform(count, 0, _REACH)
    kept = (across > start[:, None]) & (across < end[:, None])
    row = row * kept[:, None, None, :]
    for _ in range(2):
        row = torch.maximum(row, _rules(count))
    return _slanted(row)


def _uniform(count: int, low: float, high: float) -> Tensor:
    return torch.rand(count) * (high - low) + low


def _centres(length: int) -> Tensor:
    """Return the middles of the pixels, (1, length)."""
    return (torch.arange(length) + 0.5)[None]


def _sides(digits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and the last column of each digit, (N,) each; of a blank one 28 and -1."""
    present = digits.amax((1, 2)) > 0.4
    columns = torch.arange(digits.shape[3])
    first = torch.where(present, columns, digits.shape[3]).amin(1)
    last = torch.where(present, columns, -1).amax(1)
    return first.float(), last.float()


def _placed(digits: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Return canvases with each digit moved from the middle by whole pixels."""
    columns, inside_columns = _source(WIDTH, right)
    rows, inside_rows = _source(HEIGHT, down)
    count, size = len(digits), digits.shape[2]
    wide = digits[:, 0].gather(2, columns[:, None, :].expand(count, size, WIDTH))
    both = wide.gather(1, rows[:, :, None].expand(count, HEIGHT, WIDTH))
    return (both * inside_rows[:, :, None] * inside_columns[:, None, :])[:, None]


def _source(length: int, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Return which pixel of 28 each of ``length`` shows, (N, length), and whether there is one."""
    start = (length - 28) // 2 + shift.round().long()
    places = torch.arange(length)[None] - start[:, None]
    return places.clamp(0, 27), (places >= 0) & (places < 28)


def _full_stops(right: Tensor) -> Tensor:
    """Return canvases some of which hold a dot at the foot of the digit that ends at ``right``."""
    count = len(right)
    x, y = right + _uniform(count, 1, 4), _uniform(count, 26, 32)
    radius = _uniform(count, 0.7, 2.0) * (torch.rand(count) < _STOP)
    across = (_centres(WIDTH) - x[:, None])[:, None, :]
    down = (_centres(HEIGHT) - y[:, None])[:, :, None]
    distance = (across**2 + down**2).sqrt()
    dots = (radius[:, None, None] - distance + 0.5).clamp(0, 1)
    return (dots * (radius > 0)[:, None, None])[:, None]


def _rules(count: int) -> Tensor:
    """Return canvases some of which hold a bit of a line, upright beside the digit or level."""
    side = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    upright = torch.rand(count) < 0.6
    beside = _MIDDLE + side * _uniform(count, 7, 16)
    level = torch.where(side > 0, _uniform(count, 27, 36), _uniform(count, 4, 10))
    across, down = _centres(WIDTH), _centres(HEIGHT)
    at_column = (beside[:, None] - across).abs()[:, None, :].expand(-1, HEIGHT, -1)
    at_row = (level[:, None] - down).abs()[:, :, None].expand(-1, -1, WIDTH)
    distance = torch.where(upright[:, None, None], at_column, at_row)
    line = (_uniform(count, 0.5, 1.6)[:, None, None] - distance + 0.5).clamp(0, 1)
    ends = _uniform(count, 8, 18)[:, None]
    near = ((across - _MIDDLE).abs() < ends)[:, None, :] & (
        (down - HEIGHT / 2).abs() < _uniform(count, 8, 18)[:, None]
    )[:, :, None]
    strength = _uniform(count, 0.4, 1.0) * (torch.rand(count) < _RULE)
    return (line * near * strength[:, None, None])[:, None]


def _slanted(rows: Tensor) -> Tensor:
    count = len(rows)
    mean, spread = _SLANT
    slant = torch.tan(torch.deg2rad(mean + spread * torch.randn(count).clamp(-3, 3)))
    matrices = torch.eye(2, 3).repeat(count, 1, 1)
    matrices[:, 0, 1] = slant * HEIGHT / WIDTH
    grid = F.affine_grid(matrices, list(rows.shape), align_corners=False)
    return F.grid_sample(rows, grid, align_corners=False)
