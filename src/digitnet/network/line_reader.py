"""The line reader: from the strip of a line to what is written there, without cutting it up.

Guarantees:

- Input is a strip, float32 (N, 1, 32, W), grey on any scale, dark on light or light on dark; W is
  free, from 16 pixels on. The network normalises it itself.
- Output are logits (N, T, 12) for T = 2 * ceil(W / 4) columns from left to right: of the ten
  digits, of another sign, and of nothing new, for connectionist temporal classification (Graves et
  al., "Connectionist temporal classification", ICML 2006).
- Convolutions only, so that every runtime can compute it.
"""

from __future__ import annotations

from torch import Tensor, nn

from digitnet.network.cnn_layers import Residual
from digitnet.network.finder import LEAST_STD

# Channels at strides 1, 2 and 4, below those, and along the line.
WIDTHS = (16, 32, 64, 96, 128)
BLANK = 11
CLASSES = 12
# What a column sees along the line, in steps of columns: how a writer makes his 1s and 7s, say,
# shows in the digits around.
APART = (1, 2, 8)
# Each column of stride 4 speaks for two: narrow digits stand closer than four pixels.
SUBCOLUMNS = 2
_NEAR = (3, 3)


class LineReader(nn.Module):
    """Strips to columns; see the module's guarantees."""

    def __init__(self) -> None:
        super().__init__()
        one, two, four, low, long = WIDTHS
        self.eye = nn.Sequential(
            _conv(1, one, _NEAR),
            _conv(one, two, _NEAR, 2),
            _conv(two, two, _NEAR),
            _conv(two, four, _NEAR, 2),
            _conv(four, four, _NEAR),
            _conv(four, low, _NEAR, (2, 1)),
            _conv(low, low, _NEAR),
        )
        self.collapse = _conv(low, long, (4, 1), padded=False)
        self.along = nn.Sequential(
            *(Residual(*_conv(long, long, (1, 3), apart=apart)) for apart in APART)
        )
        self.drop = nn.Dropout1d(0.1)
        self.head = nn.Conv1d(long, SUBCOLUMNS * CLASSES, 1)

    def forward(self, strips: Tensor) -> Tensor:
        """Return logits of strips, (N, T, 12)."""
        return self.columns(normalised(strips))

    def columns(self, strips: Tensor) -> Tensor:
        """Return logits of strips that are normalised."""
        seen = self.along(self.collapse(self.eye(strips))).squeeze(2)
        logits: Tensor = self.head(self.drop(seen)).transpose(1, 2)
        return logits.reshape(logits.shape[0], -1, CLASSES)

    @property
    def num_parameters(self) -> int:
        """Number of trained weights and biases."""
        return sum(p.numel() for p in self.parameters())


def normalised(strips: Tensor) -> Tensor:
    """Return strips with mean 0 and, unless they are nearly even, standard deviation 1/2."""
    strips = strips - strips.mean((2, 3), keepdim=True)
    std = (strips**2).mean((2, 3), keepdim=True).sqrt()
    return (strips / (2 * std.clamp(min=LEAST_STD))).clamp(-4.0, 4.0)


def columns_of(width: int) -> int:
    """Return how many columns a strip of this width has."""
    return SUBCOLUMNS * -(-width // 4)


def _conv(
    inputs: int,
    outputs: int,
    size: tuple[int, int],
    stride: int | tuple[int, int] = 1,
    *,
    padded: bool = True,
    apart: int = 1,
) -> nn.Sequential:
    """Return a convolution of columns ``apart`` from each other, normalised, without negatives."""
    padding = (size[0] // 2, size[1] // 2 * apart) if padded else 0
    conv = nn.Conv2d(inputs, outputs, size, stride, padding, (1, apart), bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())
