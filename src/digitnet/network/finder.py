"""The finder: from a grey page to where its signs are and which ink is whose.

Guarantees:

- Input is a page, float32 (N, 1, H, W), grey on any scale, dark on light or light on dark; H and W
  are free, from 32 pixels on. The network normalises it itself.
- ``Maps`` says for each pixel how likely it is ink of a sign and how likely clutter, for each
  second pixel where the centre of its sign lies, and for each fourth one how likely the centre of a
  digit or of another sign is there, and how large that sign is.
- ``find`` turns the maps of one page into the ink of each sign, in few operators that ONNX knows.

A sign is a digit, or a letter as large as one. Clutter is every other stroke: rules and frames,
punctuation, scribbles, what the edge of the picture cuts.

The network is a U-Net (Ronneberger, Fischer and Brox, MICCAI 2015) of residual blocks with
depthwise convolutions (Liu et al., "A ConvNet for the 2020s", CVPR 2022). Centres are peaks of a
map (Zhou, Wang and Krähenbühl, "Objects as points", 2019), and each pixel of ink votes for a centre
(Neven et al., "Instance segmentation by jointly optimizing spatial embeddings", CVPR 2019).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor, nn

# Channels at strides 2, 4, 8, 16 and 32; how many times as many a block has inside; and blocks on
# the way down. A block more at strides 2 and 4 costs as much time as all others together.
WIDTHS = (16, 32, 64, 64, 96)
INSIDE = (1.0, 1.5, 1.5, 2.0, 2.0)
DEPTHS = (0, 0, 2, 3, 2)
# Grey values below this standard deviation are noise: a page is not amplified beyond it.
LEAST_STD = 6.0
# The unit of the map of sizes: log2 of a sign's longer side over so many pixels.
SIZE_UNIT = 32.0
# Signs on one page, at most.
MAX_SIGNS = 64
# A centre this sure is a sign. Where none is, the surest counts if it reaches the second.
PRESENT, BARELY_PRESENT = 0.15, 0.05
# The focal loss leaves its map unsure of most centres. These two numbers, by which its logits are
# multiplied and to which they are added, make of it how often a sign is there, on simulated pages
# of validation writers.
PRESENCE = (3.57, 2.03)
# Two peaks of one sign: closer than this across and down, in units of the larger sign's side.
ONE_SIGN = (0.28, 0.55)
# How far from a centre, in units of the sign's side, a vote may fall and still count.
FARTHEST_VOTE = 0.6


class Maps(NamedTuple):
    """What the finder says of a page; logits before the sigmoid."""

    strokes: Tensor
    """(N, 2, H, W): logits of ink of a sign, and of clutter."""
    votes: Tensor
    """(N, 2, H / 2, W / 2): from a pixel to its sign's centre, across and down, in its sides."""
    centres: Tensor
    """(N, 2, H / 4, W / 4): logits of the centre of a digit, and of another sign."""
    sizes: Tensor
    """(N, 1, H / 4, W / 4): log2 of the longer side of the sign here, over 32 pixels."""


class Found(NamedTuple):
    """The signs of one page, surest first; K of them."""

    inks: Tensor
    """(K, 1, H, W), 0 to 1: the ink of each sign alone."""
    presence: Tensor
    """(K,), 0 to 1: how sure it is that a sign is there."""
    digit_share: Tensor
    """(K,), 0 to 1: how far it is taken for a digit and not for another sign."""
    strokes: Tensor
    """(2, H, W), 0 to 1: ink of signs, and clutter."""


class Finder(nn.Module):
    """Pages to maps; see the module's guarantees."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(1, WIDTHS[0], 5, stride=2)
        self.down = nn.ModuleList(
            _convolution(narrow, wide, 3, stride=2) for narrow, wide in pairwise(WIDTHS)
        )
        self.encoder = nn.ModuleList(
            nn.Sequential(*(_Block(width, level) for _ in range(depth)))
            for level, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True))
        )
        self.up = nn.ModuleList(nn.Conv2d(wide, narrow, 1) for narrow, wide in pairwise(WIDTHS))
        self.decoder = nn.ModuleList(
            _Block(width, level) for level, width in enumerate(WIDTHS[:-1])
        )
        self.fine = nn.Conv2d(WIDTHS[0], 2 * 4 + 2, 1)
        self.coarse = nn.Conv2d(WIDTHS[1], 2 + 1, 1)
        _expect_little(self)

    def forward(self, page: Tensor) -> Maps:
        """Return the maps of pages, float32 (N, 1, H, W)."""
        height, width = page.shape[2:]
        features = self.stem(_normalised(page))
        levels = []
        for level, blocks in enumerate(self.encoder):
            features = blocks(self.down[level - 1](features) if level else features)
            levels.append(features)
        for level in (3, 2, 1, 0):
            features = levels[level] + _doubled(self.up[level](features), levels[level])
            features = self.decoder[level](features)
            if level == 1:
                coarse = self.coarse(features)
        fine = self.fine(features)
        # Each pixel of stride 2 speaks for the four that it stands for.
        strokes = F.pixel_shuffle(fine[:, :8], 2)[:, :, :height, :width]
        return Maps(strokes, fine[:, 8:], coarse[:, :2], coarse[:, 2:])

    @property
    def num_parameters(self) -> int:
        """Number of trained weights and biases."""
        return sum(p.numel() for p in self.parameters())


def find(maps: Maps) -> Found:
    """Return the signs on a page, of its maps (N = 1)."""
    strokes = torch.sigmoid(maps.strokes[0])
    where, sides, kinds, presence = _peaks(maps.centres[0], maps.sizes[0, 0])
    mine = _owned(maps.votes[0], where, sides).to(strokes.dtype)
    height, width = strokes.shape[1:]
    mine = F.interpolate(mine.unsqueeze(1), scale_factor=2.0, mode="nearest")
    inks = mine[:, :, :height, :width] * strokes[:1]
    return Found(inks, presence, kinds[:, 0] / kinds.sum(1), strokes)


def _peaks(logits: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return place (K, 2) and longer side (K,) in pixels, both values (K, 2) and presence of signs.

    Args:
        logits: (2, h, w), of centres.
        sizes: (h, w).
    """
    width, centres = sizes.shape[1], torch.sigmoid(logits)
    strength = centres.amax(0).unsqueeze(0).unsqueeze(0)
    highest = F.max_pool2d(strength, 3, stride=1, padding=1)
    peaks = strength * (strength == highest).to(strength.dtype)
    scores, index = torch.topk(peaks.flatten(), MAX_SIGNS)
    sure = (scores > PRESENT) | ((scores > BARELY_PRESENT) & (scores == scores[:1]))
    place = index.to(scores.dtype)
    # A half keeps the quotient of whole numbers away from where rounding could turn it.
    row = torch.floor((place + 0.5) / width)
    where = torch.stack((place - row * width, row), dim=1) * 4 + 2
    sides = SIZE_UNIT * torch.exp(math.log(2) * sizes.flatten()[index])
    repeated = _repeated(where, sides, scores * sure.to(scores.dtype))
    kept = torch.nonzero(sure & ~repeated, as_tuple=True)[0]
    kinds = centres.flatten(1)[:, index].transpose(0, 1)
    presence = torch.sigmoid(PRESENCE[0] * logits.amax(0).flatten()[index] + PRESENCE[1])
    return where[kept], sides[kept], kinds[kept], presence[kept]


def _repeated(where: Tensor, sides: Tensor, scores: Tensor) -> Tensor:
    """Return which peaks, (K,), repeat a surer one."""
    x, y = (where / where.new_tensor(ONE_SIGN)).unbind(1)
    across, down = x.unsqueeze(0) - x.unsqueeze(1), y.unsqueeze(0) - y.unsqueeze(1)
    larger = torch.maximum(sides.unsqueeze(0), sides.unsqueeze(1))
    near = across * across + down * down < larger * larger
    surer = scores.unsqueeze(0) > scores.unsqueeze(1)
    return (near & surer).to(scores.dtype).amax(1) > 0


def _owned(votes: Tensor, where: Tensor, sides: Tensor) -> Tensor:
    """Return which pixels of stride 2 belong to which sign: bool (K, h, w).

    A pixel says how far, in its sign's own sides, its centre is away. It belongs to the sign for
    which that is least wrong.
    """
    height, width = votes.shape[1:]
    across = torch.arange(width, dtype=votes.dtype, device=votes.device) * 2 + 1
    down = torch.arange(height, dtype=votes.dtype, device=votes.device) * 2 + 1
    left = (across - where[:, :1]) / sides.unsqueeze(1)
    above = (down - where[:, 1:]) / sides.unsqueeze(1)
    wrong = (left.unsqueeze(1) + votes[0]) ** 2 + (above.unsqueeze(2) + votes[1]) ** 2
    # A page without signs still needs something to take the least of.
    nobody = votes[:1] * 0 + FARTHEST_VOTE**2
    least = torch.cat((wrong, nobody)).amin(0, keepdim=True)
    return wrong <= least


def _normalised(page: Tensor) -> Tensor:
    """Return pages with mean 0 and, unless they are nearly even, standard deviation 1/2.

    Means are taken row by row: one by one, as some runtimes add them up, the squares of a page's
    37,000 pixels make a float32 that is wrong by a thousandth.
    """
    page = page - page.mean(3, keepdim=True).mean(2, keepdim=True)
    std = (page**2).mean(3, keepdim=True).mean(2, keepdim=True).sqrt()
    return (page / (2 * std.clamp(min=LEAST_STD))).clamp(-4.0, 4.0)


def _doubled(features: Tensor, like: Tensor) -> Tensor:
    """Return features twice as large, cut to the size of ``like``."""
    doubled = F.interpolate(features, scale_factor=2.0, mode="nearest")
    return doubled[:, :, : like.shape[2], : like.shape[3]]


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class _Block(nn.Sequential):
    """What a pixel and its neighbours say, added to what is known: (N, C, H, W) to the same.

    Args:
        width: channels.
        level: 0 for stride 2, 1 for stride 4, and so on.
    """

    def __init__(self, width: int, level: int) -> None:
        size = 3 if level < 2 else 5
        depthwise = nn.Conv2d(width, width, size, padding=size // 2, groups=width, bias=False)
        inside = int(INSIDE[level] * width)
        wider, narrower = nn.Conv2d(width, inside, 1), nn.Conv2d(inside, width, 1)
        super().__init__(depthwise, nn.BatchNorm2d(width), wider, nn.ReLU(), narrower)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features and what the block adds to them."""
        changed: Tensor = super().forward(features)  # type: ignore[no-untyped-call]
        return features + changed


def _expect_little(finder: Finder) -> None:
    """Let an untrained network say that strokes and centres are rare, as they are."""
    strokes, centres = finder.fine.bias, finder.coarse.bias
    assert isinstance(strokes, Tensor)
    assert isinstance(centres, Tensor)
    with torch.no_grad():
        strokes[:8].fill_(-2.0)
        centres[:2].fill_(-4.0)
