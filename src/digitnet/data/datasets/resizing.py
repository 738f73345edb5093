"""Images of another size than 28 × 28, made so by ``Canonical``: the only way there.

Guarantees:

- The same input gives the same bytes, in any batch, with any number of threads, on any machine:
  computed in float64, and halves go up, so that no rounding in the last place can show.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from digitnet.extras import needed
from digitnet.network.config import IMAGE_SIZE

# Inks of one size are computed together, so many at a time.
_BATCH = 500
# A grey value that is a half but for float64's rounding counts as one.
_HALF = 0.5 + 1e-6


def canonical_images(inks: NDArray[np.floating] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return canonical images, uint8 (N, 28, 28), of inks (N, H, W), bright strokes on 0.

    Brightness is scaled so that the brightest pixel of each ink is full ink; a blank stays blank.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    with needed():
        import torch

        from digitnet.network.canonical import Canonical
    canonical = Canonical()
    images = np.empty((len(inks), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    with torch.inference_mode():
        for start in range(0, len(inks), _BATCH):
            batch = torch.from_numpy(inks[start : start + _BATCH, None].astype(np.float64))
            seen = canonical(batch)
            images[start : start + _BATCH] = (seen[:, 0] * 255 + _HALF).numpy().astype(np.uint8)
    return images


def canonical_pictures(inks: Sequence[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Return canonical images, uint8 (N, 28, 28), of inks (H, W) of different sizes."""
    images = [canonical_images(ink[None]) for ink in inks]
    return np.concatenate([np.zeros((0, IMAGE_SIZE, IMAGE_SIZE), np.uint8), *images])
