"""Who reads the pictures of the bench: digitnet's recogniser, and the plain CNN beside it.

Guarantees:

- Both answer with the same ``Readings``, so nothing that measures them can treat them differently.
- torch is loaded for the plain CNN only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from digitnet.experiments.picture_sets import Picture
from digitnet.reading.pictures import decode

if TYPE_CHECKING:
    from digitnet.network.cnn import CNN
    from digitnet.reading.prediction import Prediction
    from digitnet.reading.recognizer import Recognizer


@dataclass(frozen=True, eq=False)
class Readings:
    """What a reader says of N pictures.

    Args:
        digit: (N,), 0–9; -1 where it saw nothing at all.
        confidence: (N,), in [0, 1].
        strangeness: (N,), larger is less like a digit.
        rejected: (N,), whether it refused to call the picture a digit.
    """

    digit: NDArray[np.int64]
    confidence: NDArray[np.float64]
    strangeness: NDArray[np.float64]
    rejected: NDArray[np.bool_]


def answers(
    recognizer: Recognizer, pictures: Sequence[Picture], straight: bool
) -> list[Prediction]:
    """Return all that a recogniser says of pictures; ``straight`` as for ``PictureSet``."""
    if straight:
        return recognizer.predict_inks([np.asarray(each, np.uint8) for each in pictures])
    return recognizer.predict_many(pictures)


def read(recognizer: Recognizer, pictures: Sequence[Picture], straight: bool) -> Readings:
    """Return what a recogniser says of pictures, at least one."""
    found = answers(recognizer, pictures, straight)
    digits = [-1 if each.digit is None else each.digit for each in found]
    return Readings(
        digit=np.array(digits, np.int64),
        confidence=np.array([each.confidence for each in found], np.float64),
        strangeness=np.array([each.ood_score for each in found], np.float64),
        rejected=np.array([not each.is_digit for each in found], np.bool_),
    )


def read_plainly(model: CNN, pictures: Sequence[Picture], straight: bool) -> Readings:
    """Return what a common CNN says, behind what is commonly done to a picture: invert and resize.

    Pictures are decoded as well as digitnet can, so that only finding the digit is compared. It
    refuses nothing; its strangeness is that of Hendrycks and Gimpel, "A baseline for detecting
    misclassified and out-of-distribution examples" (ICLR 2017): one minus its confidence.

    Args:
        model: takes 28 × 28 images.
        pictures: at least one.
        straight: as for ``PictureSet``; otherwise they are inverted and resized.
    """
    import torch

    from digitnet.network.cnn import predict_logits
    from digitnet.training.evaluation import softmax

    images = pictures if straight else [invert_and_resize(decode(each)) for each in pictures]
    stacked = torch.from_numpy(np.stack([np.asarray(each, np.uint8) for each in images]))
    probabilities = softmax(predict_logits(model, stacked).numpy())
    confidence = probabilities.max(axis=1)
    return Readings(
        digit=probabilities.argmax(axis=1).astype(np.int64),
        confidence=confidence,
        strangeness=1 - confidence,
        rejected=np.zeros(len(images), np.bool_),
    )


def invert_and_resize(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 (28, 28) of grey pixels (H, W), as tutorials do it: the rival, never our way."""
    # Pictures that are lighter than the middle grey on average are taken for dark ink on paper.
    ink = 255 - picture if picture.mean() > 127 else picture
    return np.asarray(cv2.resize(ink, (28, 28), interpolation=cv2.INTER_AREA), np.uint8)
