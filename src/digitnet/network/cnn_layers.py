"""Layers that torch does not have, of which networks are built.

Guarantees:

- A separable convolution is computed, and exported, as one convolution outside training.
- What is shared between layers is saved and trained once.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor, nn

# Where the squares of 2×2 pooling can begin: at even or odd rows, even or odd columns.
PHASES = 4


class Residual(nn.Sequential):
    """Layers whose input is added to their output (He et al. 2016, "Deep residual learning")."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus what the layers make of it; both have one shape."""
        changed: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return x + changed


class SeparableConv2d(nn.Module):
    """A depthwise separable convolution: a filter for each input channel, then a mixture of them.

    Nothing comes between the two (Chollet, "Xception", CVPR 2017), so they are one convolution
    whose kernels are products. Outside training it is computed, and exported, as that; in training
    step by step, which takes a fifth to two fifths less time.

    Args:
        inputs: channels.
        outputs: channels.
        size: side of the filters in pixels.
        padding: zeros at each edge.
        bias: whether each output channel has one.
        symmetric: whether the mixture is a symmetric matrix; for an even number of channels.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        padding: int = 0,
        bias: bool = True,
        symmetric: bool = False,
    ) -> None:
        super().__init__()
        self.padding = padding
        self.filters: nn.Parameter | None = nn.Parameter(torch.empty(inputs, size, size))
        shape = (outputs + 1, outputs // 2) if symmetric else (outputs, inputs)
        self.mixture: nn.Parameter | None = nn.Parameter(torch.empty(shape))
        self.symmetric = symmetric
        # In tuples, so that they are no layers of this one, and are saved and trained once.
        self._filters_of: tuple[nn.Conv2d, ...] = ()
        self._mixture_of: tuple[SeparableConv2d, ...] = ()
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        # The products have the variance that He et al. 2015 derive for rectified inputs.
        nn.init.normal_(self.filters, std=1 / size)
        nn.init.normal_(self.mixture, std=math.sqrt(2 / inputs))

    def share_filters_of(self, source: nn.Conv2d) -> None:
        """Take the filters of a convolution of one channel instead of filters of its own."""
        self.filters, self._filters_of = None, (source,)

    def share_mixture_of(self, source: SeparableConv2d) -> None:
        """Take the mixture of another one instead of a mixture of its own."""
        self.mixture, self._mixture_of = None, (source,)

    def _parts(self) -> tuple[Tensor, Tensor]:
        """Return the filters, (inputs, 1, size, size), and the mixture, (outputs, inputs, 1, 1)."""
        filters = self._filters_of[0].weight[:, 0] if self._filters_of else self.filters
        mixture: Tensor | None = self._mixture_of[0].mixture if self._mixture_of else self.mixture
        assert filters is not None
        assert mixture is not None
        if self.symmetric:
            places = packing(len(filters), mixture.device)
            # Indexed as a flat row: only then does the ONNX exporter fold it into a constant.
            mixture = mixture.flatten()[places.flatten()].reshape(places.shape)
        return filters[:, None], mixture[:, :, None, None]

    @property
    def weight(self) -> Tensor:
        """The kernels, float32 (outputs, inputs, size, size)."""
        filters, mixture = self._parts()
        return mixture * filters[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 (N, outputs, H, W) of (N, inputs, H, W) with enough padding."""
        if self.training:
            filters, mixture = self._parts()
            filtered = F.conv2d(x, filters, padding=self.padding, groups=len(filters))
            return F.conv2d(filtered, mixture, self.bias)
        kernels = self.weight.contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, kernels, self.bias, padding=self.padding)


@functools.lru_cache(maxsize=8)
def packing(size: int, device: torch.device) -> Tensor:
    """Return where the entries of a symmetric matrix are packed, int64 (size, size).

    The packed ones are (size + 1, size / 2), row by row: "rectangular full packed format"
    (Gustavson et al. 2010), the lower triangle of the left half, and above it that of the right
    half, transposed. ``size`` is even.
    """
    half = size // 2
    rows, columns = np.tril_indices(size)
    left = columns < half
    down = np.where(left, rows + 1, columns - half)
    right = np.where(left, columns, rows - half)
    places = np.empty((size, size), np.int64)
    places[rows, columns] = places[columns, rows] = down * half + right
    # Whoever asks first may only infer, and the next may train.
    with torch.inference_mode(mode=False):
        return torch.from_numpy(places).to(device)


class PhasePool2d(nn.Module):
    """Max pooling 2×2, four times: its squares begin at even or odd rows, even or odd columns.

    Pooling at one phase keeps a pixel in four, and which one depends on where the ink happens to
    lie; with all four that matters less (Giusti et al. 2013, "Fast image scanning with deep
    max-pooling convolutional neural networks", who keep all of them to look at every place).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return (4 · N, C, H / 2, W / 2) of (N, C, H, W)."""
        lower = _moved(x, -2)
        moved = (x, _moved(x, -1), lower, _moved(lower, -1))
        return torch.cat([F.max_pool2d(maps, 2) for maps in moved])


def _moved(x: Tensor, dim: int) -> Tensor:
    """Return maps moved by a pixel; the last row or column comes twice, so no maximum changes."""
    size = x.shape[dim]
    return torch.cat((x.narrow(dim, 1, size - 1), x.narrow(dim, size - 1, 1)), dim)


class SqueezeExcite(nn.Module):
    """Channels weighed by what their means say (Hu et al. 2018, "Squeeze-and-excitation networks").

    Args:
        channels: how many there are.
        hidden: units between the means and the weights.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W), each channel times its weight between 0 and 1."""
        weights: Tensor = self.gate(x.mean(dim=(2, 3)))
        return x * weights[:, :, None, None]


class Flatten(nn.Module):
    """Every pixel of every channel, whose gradient comes back in the memory order of the pixels.

    Autograd returns it channel by channel, and layers that keep channels last then take slow paths:
    the recipe fast took a fifth longer.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C · H · W) of (N, C, H, W)."""
        if x.requires_grad:
            x.register_hook(_channels_last)  # type: ignore[no-untyped-call]
        return x.flatten(1)


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


class Mean(nn.Module):
    """The mean of each channel (Lin, Chen and Yan 2014, "Network in network")."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C) of (N, C, H, W)."""
        return x.mean(dim=(2, 3))


class MaxAndMean(nn.Module):
    """The maximum of each channel, then the mean of each."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 2 · C) of (N, C, H, W)."""
        return torch.cat((x.amax(dim=(2, 3)), x.mean(dim=(2, 3))), dim=1)
