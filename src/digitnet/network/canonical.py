"""Ink to the canonical 28×28 image: the only way there, in training and in every exported model.

Guarantees:

- Input is ink of any height and width, float (N, 1, H, W), bright strokes on 0; output is float
  (N, 1, 28, 28) in [0, 1]: the longer side of the digit is 20 pixels and its centre of mass lies
  where MNIST has it.
- Moving the digit, zeros around it, and scaling its brightness change nothing but rounding;
  enlarging it by a whole factor changes nothing for digits of 20 pixels or more.
- An image that is canonical already stays as it is, nearly: MNIST's test images change by
  0.01 of the range on average when they pass a second time.
- Blank ink gives a blank image.
- It has no weights, is differentiable in the ink, and exports to ONNX with its input's size open.

Resampling is exact area averaging, written as two matrix products, ``rows · ink · columnsᵀ``: entry
(u, i) of ``rows`` is the share of output pixel u's footprint that source pixel i covers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from digitnet.network.config import IMAGE_SIZE

# The longer side of a digit, as MNIST's authors scaled theirs.
BOX_SIZE = 20.0
# Where MNIST has the centre of mass, in edge coordinates (pixel i covers i to i + 1): the mean
# over its training images is (14.50, 14.51), with a standard deviation of 0.29.
CENTRE = 14.5
# A row whose brightest pixel is below the first is paper and above the second is digit; between
# them it counts as a part of a row, which finds soft edges to a fraction of a pixel.
PAPER, STROKE = 0.1, 0.5
_TINY = 1e-6


class Canonical(nn.Module):
    """Ink of any size to canonical images; see the module's guarantees."""

    def forward(self, ink: Tensor) -> Tensor:
        """Return canonical images, float (N, 1, 28, 28) in [0, 1], of ink, float (N, 1, H, W)."""
        return self.and_boxes(ink)[0]

    def and_boxes(self, ink: Tensor) -> tuple[Tensor, Tensor]:
        """Return also where the strokes lie: left, top, right, bottom, (N, 4)."""
        ink = _to_full_range(ink)
        rows, columns = (torch.arange(ink.shape[axis], dtype=ink.dtype, device=ink.device)
                         for axis in (2, 3))  # fmt: skip
        top, bottom = _extent(ink.amax(3), rows)
        left, right = _extent(ink.amax(2), columns)
        # A blank has its bottom above its top; one pixel keeps the division sound.
        tall, wide = (bottom - top).sum(1, keepdim=True), (right - left).sum(1, keepdim=True)
        side = torch.maximum(tall, wide).clamp(min=1.0)
        above = _area_weights(ink.sum(3), rows, top, side)
        beside = _area_weights(ink.sum(2), columns, left, side)
        # Averaging dims lines thinner than an output pixel; a thin pen writes black all the same.
        image = _to_full_range(above @ ink @ beside.transpose(2, 3))
        return image, torch.stack((left, top, right, bottom), dim=1).sum(2)


def _to_full_range(ink: Tensor) -> Tensor:
    """Scale each ink so that its brightest pixel is 1; a blank stays blank."""
    return ink.clamp(min=0.0) / ink.amax((2, 3), keepdim=True).clamp(min=_TINY)


def _extent(profile: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the digit begins and ends along one axis, (N, 2) each, in edge coordinates.

    Whole pixels and the fraction stand apart: added up they would be a float32 far from 0, which
    machines round differently.

    Args:
        profile: the brightest pixel of each row or column, (N, 1, L).
        position: the numbers of the rows or columns, (L,).
    """
    present = ((profile - PAPER) / (STROKE - PAPER)).clamp(0.0, 1.0).unsqueeze(2)
    # The largest value up to each position and from each position on: what lies before the first
    # stroke and behind the last one.
    earlier = (position.unsqueeze(0) <= position.unsqueeze(1)).to(profile.dtype)
    until = (present * earlier).amax(3)
    since = (present * earlier.transpose(0, 1)).amax(3)
    before, within = (until <= 0).to(profile.dtype), (since >= 1).to(profile.dtype)
    start = torch.cat((before, 1 - until - before), dim=1).sum(2)
    end = torch.cat((within, since - within), dim=1).sum(2)
    return start, end


def _area_weights(profile: Tensor, position: Tensor, start: Tensor, side: Tensor) -> Tensor:
    """Return the share of each output pixel's footprint in each source pixel, (N, 1, 28, L).

    Args:
        profile: the sum of each row or column, (N, 1, L).
        position: the numbers of the rows or columns, (L,).
        start: where the digit begins, whole pixels and the fraction, (N, 2).
        side: the longer side of the digit, (N, 1).
    """
    # In float64, which MPS does not have, and measured from the digit: in float32, places differ
    # from machine to machine by a few millionths of a pixel, and logits then by ten thousandths.
    exact = torch.float32 if profile.device.type == "mps" else torch.float64
    size = (BOX_SIZE / side.to(exact)).unsqueeze(2)
    whole, fraction = start.to(exact).unsqueeze(2).split(1, dim=1)  # type: ignore[no-untyped-call]
    source = (position.to(exact) - whole + (0.5 - fraction)) * size
    weight = profile.to(exact)
    mass = weight.sum(2, keepdim=True).clamp(min=_TINY)
    middle = (weight * source).sum(2, keepdim=True) / mass
    source = (source + (CENTRE - middle)).unsqueeze(2)
    output = torch.arange(IMAGE_SIZE, dtype=exact, device=profile.device).view(1, 1, -1, 1)
    # At least one source pixel wide: enlarging then interpolates between neighbours.
    half = (size.clamp(min=1.0) / 2).unsqueeze(3)
    reach = (size / 2).unsqueeze(3)
    place = output + 0.5
    overlap = torch.minimum(place + half, source + reach) - torch.maximum(
        place - half, source - reach
    )
    return (overlap.clamp(min=0.0) / (2 * half)).to(profile.dtype)
