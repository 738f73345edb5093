"""Digits redrawn with another pen: the path of the stroke is kept, its width is chosen.

Guarantees:

- ``stroke_distances`` tells for every pixel how far it is from the middle line of the strokes.
- ``draw_with_pen`` draws a line of any width along that middle line, with soft edges; broad
  strokes become thin without breaking, and blots and pressure vanish.

The middle line is the medial axis by thinning (Zhang and Suen, "A fast parallel algorithm for
thinning digital patterns", CACM 1984), as scikit-image has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from digitnet.extras import needed

# Thinning works on pixels that are on or off; this much finer, it follows the grey edges.
_ZOOM = 3
# Distances are stored in these parts of a pixel.
STEPS_PER_PIXEL = 16


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
