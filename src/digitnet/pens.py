"""Digits redrawn with another pen: the path of the stroke is kept, its width is chosen.

Guarantees:

- ``stroke_distances`` tells for every pixel how far it is from the middle line of the strokes.
- ``draw_with_pen`` draws a line of any width along that middle line, with soft edges; broad
  strokes become thin without breaking, and blots and pressure vanish.
- ``keep_their_shape`` tells which images stay the same digit when they are drawn like that.

The middle line is the medial axis by thinning (Zhang and Suen, "A fast parallel algorithm for
thinning digital patterns", CACM 1984), as scikit-image has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from numpy.typing import NDArray
from torch import Tensor

from digitnet.extras import needed

# Thinning works on pixels that are on or off; this much finer, it follows the grey edges.
_ZOOM = 3
# Distances are stored in these parts of a pixel.
STEPS_PER_PIXEL = 16
# Widths in pixels among which the pen that wrote a digit is looked for.
_WIDTHS = tuple(1.0 + 0.5 * i for i in range(14))
# Images compared at a time, which bounds memory.
_AT_ONCE = 2000
# Ink that a drawing may lack, as the mean of any nine pixels: less is not missed.
_MISSING = 0.25


def stroke_distances(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return each pixel's distance to the middle line of the nearest stroke.

    Args:
        images: uint8 (N, H, W), light strokes on black.

    Returns:
        uint8 (N, H, W) in sixteenths of a pixel, at most 255; a blank image is 255 throughout.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    import cv2

    with needed():
        from skimage.morphology import skeletonize
    distances = np.full_like(images, 255)
    for image, out in zip(images, distances, strict=True):
        large = cv2.resize(image, None, fx=_ZOOM, fy=_ZOOM, interpolation=cv2.INTER_CUBIC)
        line = skeletonize(large > 127)  # type: ignore[no-untyped-call]
        if line.any():
            out[:] = _distances(line, cv2)
    return distances


def _distances(line: NDArray[np.bool_], cv2: Any) -> NDArray[np.uint8]:
    """Return the distance to ``line``, three times finer than the result, as stored."""
    exact = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, 5) / _ZOOM
    # The middle of each block of pixels: a mean would blunt the sharp valley along the line.
    middle = exact[_ZOOM // 2 :: _ZOOM, _ZOOM // 2 :: _ZOOM]
    stored: NDArray[np.uint8] = np.minimum(middle * STEPS_PER_PIXEL, 255).astype(np.uint8)
    return stored


def draw_with_pen(distances: Tensor, width: Tensor) -> Tensor:
    """Return images drawn along the middle lines.

    Args:
        distances: uint8 (N, H, W) of ``stroke_distances``.
        width: pen width in pixels, float (N,).

    Returns:
        float32 (N, 1, H, W) in [0, 1]; edges are one pixel soft.
    """
    pixels = distances.unsqueeze(1).float() / STEPS_PER_PIXEL
    return (width.view(-1, 1, 1, 1) / 2 - pixels + 0.5).clamp(0.0, 1.0)


def keep_their_shape(images: Tensor, distances: Tensor) -> Tensor:
    """Tell which images a pen along their middle lines gives back.

    A loop that ink has filled has no middle line of a loop: a 6 drawn along it is an L, a bold 3
    has no bar. So each image is drawn with the pen that fits it best, and no spot of it may lack.

    Args:
        images: uint8 (N, H, W), light strokes on black.
        distances: uint8 (N, H, W) of ``stroke_distances``.

    Returns:
        bool (N,).
    """
    starts = range(0, len(images), _AT_ONCE)
    parts = [slice(start, start + _AT_ONCE) for start in starts]
    return torch.cat([_missing(images[part], distances[part]) <= _MISSING for part in parts])


def _missing(images: Tensor, distances: Tensor) -> Tensor:
    """Return the ink (N,) that the drawing lacks where it lacks most, as a mean of 3 × 3 pixels."""
    written = images.unsqueeze(1).float() / 255
    widths = torch.tensor(_WIDTHS)
    wrong = [_difference(written, distances, width) for width in widths]
    best = widths[torch.stack(wrong).argmin(0)]
    # Half a pixel more: lines whose width changes are not missing anything.
    lacking = (written - draw_with_pen(distances, best + 0.5)).clamp(min=0)
    return F.avg_pool2d(lacking, 3, 1, 1).amax((1, 2, 3))


def _difference(written: Tensor, distances: Tensor, width: Tensor) -> Tensor:
    drawn = draw_with_pen(distances, width.expand(len(written)))
    return (drawn - written).abs().sum((1, 2, 3))
