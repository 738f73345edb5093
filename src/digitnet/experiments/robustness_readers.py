"""Who reads the pictures of the bench: digitnet, and a plain CNN behind invert and resize.

Guarantees: both answer with the same ``Readings``, so that nothing can treat them differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from digitnet.experiments.picture_sets import Picture
from digitnet.network.cnn import CNN, predict_logits
from digitnet.reading.pictures import decode
from digitnet.reading.recognizer import Recognizer
from digitnet.training.evaluation import softmax


@dataclass(frozen=True, eq=False)
class Readings:
    """What a reader says of N pictures.

    Args:
        digit: (N,), 0–9; -1 where it saw nothing at all.
        confidence: (N,), in [0, 1].
        strangeness: (N,), larger is less like a digit.
        rejected: (N,), whether it refused to call the picture a digit.
        several: (N,), whether it said that there are more digits than one.
        silent: (N,), whether it named a digit and nothing to beware of.
        image: (N, 28, 28), bright ink on 0: what the network saw.
    """

    digit: NDArray[np.int64]
    confidence: NDArray[np.float64]
    strangeness: NDArray[np.float64]
    rejected: NDArray[np.bool_]
    several: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    image: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TextReadings:
    """All that a recogniser reads in N pictures.

    Args:
        text: of each picture; rows are separated by a newline.
        confidence: (N,), in [0, 1], how likely the whole text is right.
        accepted: (N,), whether it is more likely right than wrong, and holds a digit.
    """

    text: tuple[str, ...]
    confidence: NDArray[np.float64]
    accepted: NDArray[np.bool_]


def read(recognizer: Recognizer, pictures: Sequence[Picture], straight: bool) -> Readings:
    """Return what a recogniser says of pictures, one or more; ``straight``: as a ``PictureSet``."""
    images = [np.asarray(each, np.uint8) for each in pictures] if straight else []
    found = recognizer.predict_inks(images) if straight else recognizer.predict_many(pictures)
    return Readings(
        digit=np.array([-1 if each.digit is None else each.digit for each in found], np.int64),
        confidence=np.array([each.confidence for each in found], np.float64),
        strangeness=np.array([each.ood_score for each in found], np.float64),
        rejected=np.array([not each.is_digit for each in found], np.bool_),
        several=np.array([each.reason == "several" for each in found], np.bool_),
        silent=np.array([each.is_digit and each.reason is None for each in found], np.bool_),
        image=np.stack([each.image for each in found]),
    )


def read_texts(recognizer: Recognizer, pictures: Sequence[Picture]) -> TextReadings:
    """Return what a recogniser reads in pictures, one or more."""
    found = recognizer.read_many(pictures)
    return TextReadings(
        text=tuple(each.text for each in found),
        confidence=np.array([each.confidence for each in found], np.float64),
        accepted=np.array([each.reason is None for each in found], np.bool_),
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
    images = pictures if straight else [invert_and_resize(decode(each)) for each in pictures]
    stacked = np.stack([np.asarray(each, np.uint8) for each in images])
    probabilities = softmax(predict_logits(model, torch.from_numpy(stacked)).numpy())
    confidence = probabilities.max(axis=1)
    return Readings(
        digit=probabilities.argmax(axis=1).astype(np.int64),
        confidence=confidence,
        strangeness=1 - confidence,
        rejected=np.zeros(len(images), np.bool_),
        several=np.zeros(len(images), np.bool_),
        silent=np.ones(len(images), np.bool_),
        image=stacked,
    )


def invert_and_resize(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 (28, 28) of grey pixels (H, W), as tutorials do it: the rival, never our way."""
    # Pictures that are lighter than the middle grey on average are taken for dark ink on paper.
    ink = 255 - picture if picture.mean() > 127 else picture
    return np.asarray(cv2.resize(ink, (28, 28), interpolation=cv2.INTER_AREA), np.uint8)
