"""Batches of synthetic pages, and what the finder is to say of them.

Guarantees:

- Page ``i`` of a seed is the same whenever and wherever it is drawn in batches of one size.
- The pages of a batch have one shape. They are drawn ahead by another process while the network
  learns, which changes none of them.
- Targets live on the same grids as ``network.finder.Maps``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from digitnet.network.finder import SIZE_UNIT
from digitnet.synthesis.page_scenes import SHAPES, Page, PageMaker
from digitnet.training.device import CPU
from digitnet.training.elsewhere import Elsewhere

_Arrays: TypeAlias = dict[str, NDArray[Any]]

# Standard deviation of the bump around a centre, in units of the sign's longer side, and its least
# in cells of 4 pixels.
_BUMP, _LEAST_BUMP = 0.075, 0.6
# Some batches are of small pages: so pictures of a few pixels look when they are enlarged.
_SMALL, _SMALL_SHARE = ((80, 80), (96, 96), (96, 160), (128, 128)), 0.2


@dataclass(frozen=True, eq=False)
class PageBatch:
    """Pages of one step and the truth about them; N pages of one shape."""

    pages: Tensor
    """float32 (N, 1, H, W), grey."""
    strokes: Tensor
    """float32 (N, 2, H, W) in 0 to 1: ink of signs, and clutter."""
    owned: Tensor
    """float32 (N, 1, H / 2, W / 2): 1 where a pixel is ink of a sign."""
    votes: Tensor
    """float32 (N, 2, H / 2, W / 2): from there to the sign's centre, in its longer sides."""
    centres: Tensor
    """float32 (N, 2, H / 4, W / 4): bumps around centres of digits, and of other signs."""
    sizes: Tensor
    """float32 (N, 1, H / 4, W / 4): log2 of the longer side over 32 pixels."""

    @property
    def count(self) -> int:
        """How many pages there are."""
        return len(self.pages)

    def to(self, device: torch.device) -> PageBatch:
        """Return the same on a device."""
        return PageBatch(*(getattr(self, each.name).to(device) for each in fields(self)))


class PageBatches:
    """Batches of the endless stream of pages.

    Args:
        maker: draws page ``i`` of the stream.
        batch_size: pages in a batch.
        seed: of the stream.
        device: where batches are made.
    """

    def __init__(
        self, maker: PageMaker, batch_size: int, seed: int, device: torch.device = CPU
    ) -> None:
        self.maker, self.batch_size, self.seed, self.device = maker, batch_size, seed, device
        self._stream: Elsewhere[_Arrays] | None = None
        self._next = 0

    def batch(self, indices: Tensor) -> PageBatch:
        """Return the pages at ``indices``, a batch of consecutive ones, and begin the next ones."""
        first = int(indices[0])
        if self._stream is None or first != self._next:
            self.close()
            stream = (self.maker, self.seed, first, self.batch_size)
            self._stream = Elsewhere(all_drawn, *stream)
        self._next = first + self.batch_size
        return batch_of(self._stream.next()).to(self.device)

    def close(self) -> None:
        """End the process that draws."""
        if self._stream:
            self._stream.close()
            self._stream = None


def all_drawn(maker: PageMaker, seed: int, first: int, count: int) -> Iterator[_Arrays]:
    """Yield the arrays of all batches from page ``first`` on."""
    for start in itertools.count(first, count):
        yield drawn(maker, seed, start, count)


def drawn(maker: PageMaker, seed: int, first: int, count: int) -> _Arrays:
    """Return the arrays of the pages from ``first`` on; see ``batch_of``."""
    random = np.random.default_rng((seed, first))
    shapes = _SMALL if random.random() < _SMALL_SHARE else SHAPES
    shape = shapes[random.integers(len(shapes))]
    pages = [maker.page(page_seed(seed, first + i), shape) for i in range(count)]
    greys = np.stack([page.grey for page in pages])
    # Light on dark is as good as dark on light.
    turned = random.random(count) < 0.5
    greys[turned] = 255 - greys[turned]
    targets = [_targets(page) for page in pages]
    strokes = np.stack([np.rint(page.ink * 255).astype(np.uint8) for page in pages])
    names = ("owned", "votes", "centres", "sizes")
    return {"pages": greys, "strokes": strokes} | {
        name: np.stack([target[i] for target in targets]) for i, name in enumerate(names)
    }


def page_seed(seed: int, index: int) -> int:
    """Return the seed of one page of the stream of ``seed``."""
    return (seed * 1_000_003 + index) % 2**63


def batch_of(arrays: _Arrays) -> PageBatch:
    """Return the batch of such arrays."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return PageBatch(
        pages=tensors["pages"].unsqueeze(1).float(),
        strokes=tensors["strokes"].float() / 255,
        **{name: tensors[name].float() for name in ("owned", "votes", "centres", "sizes")},
    )


def _targets(page: Page) -> tuple[NDArray[np.float16], ...]:
    """Return owned, votes, centres and sizes of a page, on their grids."""
    height, width = page.grey.shape
    middle = (page.boxes[:, :2] + page.boxes[:, 2:]) / 2
    sides = np.maximum((page.boxes[:, 2:] - page.boxes[:, :2]).max(1, initial=0), 1.0)
    owner = page.owner[::2, ::2]
    owned = owner >= 0
    votes = np.zeros((2, *owner.shape), np.float32)
    rows, columns = np.nonzero(owned)
    whose = owner[rows, columns]
    votes[0, rows, columns] = (middle[whose, 0] - (2 * columns + 1)) / sides[whose]
    votes[1, rows, columns] = (middle[whose, 1] - (2 * rows + 1)) / sides[whose]
    centres = np.zeros((2, -(-height // 4), -(-width // 4)), np.float32)
    sizes = np.zeros((1, *centres.shape[1:]), np.float32)
    nearest = np.zeros(centres.shape[1:], np.float32)
    for label, (x, y), side in zip(page.labels, middle, sides, strict=True):
        bump, window = _bump(centres.shape[1:], x, y, side)
        kind = centres[int(label > 9)][window]
        np.maximum(kind, bump, out=kind)
        closer = bump > nearest[window]
        nearest[window][closer] = bump[closer]
        sizes[0][window][closer] = np.log2(side / SIZE_UNIT)
    return tuple(a.astype(np.float16) for a in (owned[None], votes, centres, sizes))


def _bump(
    shape: tuple[int, ...], x: float, y: float, side: float
) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
    """Return a Gaussian around a centre, its top 1, and the cells that it covers."""
    width = max(_BUMP * side / 4, _LEAST_BUMP)
    reach = int(np.ceil(3 * width))
    column, row = int(x / 4), int(y / 4)
    rows = np.arange(max(row - reach, 0), min(row + reach + 1, shape[0]))
    columns = np.arange(max(column - reach, 0), min(column + reach + 1, shape[1]))
    # Around the cell of the centre, so that one cell is the top.
    down = np.exp(-((rows - row) ** 2) / (2 * width**2))
    across = np.exp(-((columns - column) ** 2) / (2 * width**2))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return np.outer(down, across).astype(np.float32), window
