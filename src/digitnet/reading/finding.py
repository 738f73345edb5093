"""Signs on a picture: where they are, and what the network makes of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.ink.finder import find_ink
from digitnet.reading.model_file import ANSWER, ModelFile


@dataclass(frozen=True, eq=False)
class Signs:
    """Signs found on a picture, in no order; arrays of K rows.

    Attributes:
        boxes: float32 (K, 4), left, top, right, bottom in pixels of the picture.
        presence: float32 (K,), how likely a sign is there.
        digit_share: float32 (K,), how likely it is a digit and not another sign.
        probabilities: float32 (K, classes).
        ood_score: float32 (K,).
        images: float32 (K, 28, 28), what the network saw.
    """

    boxes: NDArray[np.float32]
    presence: NDArray[np.float32]
    digit_share: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    ood_score: NDArray[np.float32]
    images: NDArray[np.float32]


def find_signs(model: ModelFile, picture: NDArray[np.uint8]) -> Signs:
    """Return the signs on a picture, uint8 (H, W): one at most."""
    ink = find_ink(picture, crop=model.metadata.get("crops") == "true")
    probabilities, scores, images = model.run(ANSWER, ink.pixels[None, None])
    count = int(ink.box is not None)
    sure = np.ones(count, np.float32)
    boxes = np.array([ink.box or (0, 0, 0, 0)], np.float32)[:count]
    return Signs(boxes, sure, sure, probabilities[:count], scores[:count], images[:count, 0])
