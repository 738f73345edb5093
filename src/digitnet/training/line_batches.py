"""Batches of strips of lines, and what is written in them.

Guarantees:

- Batch ``i`` of a seed is the same whenever and wherever it is drawn.
- The strips of a batch are about equally wide, and padded with nothing to the width of the widest.
- They are drawn ahead by another process while the network learns. Of each sheet there are several
  strips, each other in light, cut and shape.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from digitnet.network.line_reader import columns_of, normalised
from digitnet.synthesis.page_numbers import Labelled, LineMaker, changed
from digitnet.training.elsewhere import Elsewhere
from digitnet.training.page_batches import page_seed

# Batches that are made together, so that their strips can be sorted by width.
TOGETHER = 8
# How often a strip is learned from: as it was drawn, then each time looking otherwise.
TIMES = 3


@dataclass(frozen=True, eq=False)
class LineBatch:
    """Strips of one step and what is written in them; N strips."""

    strips: Tensor
    """float32 (N, 1, 32, W), normalised, 0 behind the end of each."""
    columns: Tensor
    """int64 (N,), how many columns of each count."""
    labels: Tensor
    """int64, those of all strips, one after the other."""
    lengths: Tensor
    """int64 (N,), how many labels each has."""

    @property
    def count(self) -> int:
        """How many strips there are."""
        return len(self.strips)


class LineBatches:
    """Batches of the endless stream of lines.

    Args:
        maker: draws the lines.
        batch_size: strips in a batch.
        seed: of the stream.
    """

    def __init__(self, maker: LineMaker, batch_size: int, seed: int) -> None:
        self.maker, self.batch_size, self.seed = maker, batch_size, seed
        self._stream: Elsewhere[list[Labelled]] | None = None
        self._next = 0

    def batch(self, indices: Tensor) -> LineBatch:
        """Return the strips at ``indices``, a batch of consecutive ones, and begin the next."""
        number = int(indices[0]) // self.batch_size
        if self._stream is None or number != self._next:
            self.close()
            stream = (self.maker, self.seed, number, self.batch_size)
            self._stream = Elsewhere(all_lines, *stream)
        self._next = number + 1
        return line_batch(self._stream.next())

    def close(self) -> None:
        """End the process that draws."""
        if self._stream:
            self._stream.close()
            self._stream = None


def all_lines(maker: LineMaker, seed: int, first: int, size: int) -> Iterator[list[Labelled]]:
    """Yield the strips of all batches from number ``first`` on."""
    for group in itertools.count(first // TOGETHER):
        batches = lines_together(maker, seed, group, size)
        skipped = first - group * TOGETHER
        yield from batches[max(skipped, 0) :]


def lines_together(maker: LineMaker, seed: int, group: int, size: int) -> list[list[Labelled]]:
    """Return ``TOGETHER`` batches."""
    random = np.random.default_rng((seed, group))
    count = TOGETHER * size
    drawn: list[Labelled] = []
    for number in itertools.count(group * count):
        drawn += maker.lines(page_seed(seed, number))
        if len(drawn) * TIMES >= count:
            break
    looks = [(changed(strip, random), labels) for _ in range(TIMES - 1) for strip, labels in drawn]
    strips = sorted((drawn + looks)[:count], key=lambda each: each[0].shape[1])
    batches = [strips[start : start + size] for start in range(0, count, size)]
    return [batches[number] for number in random.permutation(len(batches))]


def line_batch(strips: list[Labelled]) -> LineBatch:
    """Return strips as a batch."""
    widths = [strip.shape[1] for strip, _ in strips]
    padded = torch.zeros(len(strips), 1, strips[0][0].shape[0], -(-max(widths) // 4) * 4)
    for row, (strip, _) in zip(padded, strips, strict=True):
        grey = torch.from_numpy(strip).float()[None, None]
        row[:, :, : strip.shape[1]] = normalised(grey)[0]
    labels: list[Any] = [label for _, each in strips for label in each]
    return LineBatch(
        strips=padded,
        columns=torch.tensor([columns_of(width) for width in widths]),
        labels=torch.tensor(labels),
        lengths=torch.tensor([len(each) for _, each in strips]),
    )
