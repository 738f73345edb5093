"""Why a picture was read as it was, in numbers: occlusion map and nearest training digits.

Guarantees: everything comes from the recogniser that gave the answer; nothing is random.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.pictures import Picture, PictureSource, load
from digitnet.reading.prediction import Prediction, sentence
from digitnet.reading.recognizer import Recognizer
from digitnet.text import are_digits

IMAGE_SIZE = 28
# A patch covers a stroke's width and more; half of it overlaps the patch before.
PATCH, STRIDE = 5, 2
NEIGHBOURS = 6

# Returns training images, uint8 (N, 28, 28), and their labels, (N,).
TrainingDigits = Callable[[], tuple[NDArray[np.uint8], NDArray[np.int64]]]


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A training digit that looks like the picture to the network.

    Attributes:
        image: uint8 (28, 28).
        label: 0-9.
        distance: Euclidean, between the outputs of the last hidden layer.
    """

    image: NDArray[np.uint8]
    label: int
    distance: float


@dataclass(frozen=True, eq=False)
class Evidence:
    """Every step from a picture to its answer, and what the answer depends on.

    Attributes:
        picture: as it was decoded.
        strokes: float32 (2, h, w) in [0, 1], where the finder sees ink of signs, and clutter.
        prediction: the answer.
        words: the answer in one line.
        importance: float32 (28, 28) in [-1, 1], by ``occlusion``; zeros for a blank.
        neighbours: the nearest training digits, the nearest first; none for a blank, nor for a
            network that reads other things than digits.
    """

    picture: Picture
    strokes: NDArray[np.float32]
    prediction: Prediction
    words: str
    importance: NDArray[np.float32]
    neighbours: tuple[Neighbour, ...]


def gather(
    recognizer: Recognizer, picture: PictureSource, training_digits: TrainingDigits
) -> Evidence:
    """Return the evidence on a picture.

    Args:
        recognizer: reads it.
        picture: as for ``Recognizer.predict``.
        training_digits: called when they are needed, once for a recogniser.

    Raises:
        InputError: the picture cannot be read.
    """
    loaded = load(picture)
    prediction = recognizer.prediction_of(loaded)
    importance = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.float32)
    neighbours: tuple[Neighbour, ...] = ()
    if prediction.digit is not None:
        importance = occlusion(recognizer, prediction.image, prediction.digit)
        if are_digits(recognizer.class_names):
            features = recognizer.features([prediction.image])[0]
            neighbours = nearest(recognizer, features, training_digits)
    words = sentence(prediction, recognizer.ood_threshold)
    strokes = recognizer.strokes_of(loaded)
    return Evidence(loaded, strokes, prediction, words, importance, neighbours)


def occlusion(recognizer: Recognizer, image: NDArray[np.uint8], digit: int) -> NDArray[np.float32]:
    """Return by how much the probability of ``digit`` falls when a part of an image is covered.

    Patches of 5×5 pixels, one every 2 pixels, are set to paper one after the other; a pixel's value
    is the mean over the patches that cover it (Zeiler and Fergus, "Visualizing and understanding
    convolutional networks", ECCV 2014). What is left is read as ink, so covering an end of the
    digit also moves and enlarges the rest, as if it had never been written.

    Args:
        recognizer: reads the covered images.
        image: uint8 (28, 28), canonical.
        digit: 0-9.

    Returns:
        float32 (28, 28) in [-1, 1]; negative where covering makes the digit more probable.
    """
    whole = image.astype(np.float32) / 255
    patches = [patch for patch in _patches() if whole[patch].any()]
    covered = np.repeat(whole[None], len(patches) + 1, axis=0)
    for one, patch in zip(covered[1:], patches, strict=True):
        one[patch] = 0
    before, *after = (p.probabilities[digit] for p in recognizer.predict_inks(covered))
    fall, times = np.zeros(whole.shape, np.float32), np.zeros(whole.shape, np.float32)
    for patch in _patches():
        times[patch] += 1
    for patch, probability in zip(patches, after, strict=True):
        fall[patch] += before - probability
    return fall / times


def nearest(
    recognizer: Recognizer, features: NDArray[np.float32], training_digits: TrainingDigits
) -> tuple[Neighbour, ...]:
    """Return the training digits whose features are nearest.

    Args:
        recognizer: gave the features, and gives those of the training digits, which takes a second;
            they are kept until another recogniser is asked.
        features: float32 (F,), output of the last hidden layer for the ink.
        training_digits: returns them.
    """
    images, labels, known = _known(recognizer, training_digits)
    distances = np.linalg.norm(known - features, axis=1)
    chosen = np.argsort(distances, kind="stable")[:NEIGHBOURS]
    return tuple(Neighbour(images[i], int(labels[i]), float(distances[i])) for i in chosen)


@functools.lru_cache(maxsize=1)
def _known(
    recognizer: Recognizer, training_digits: TrainingDigits
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]:
    """Return training images, their labels and their features."""
    images, labels = training_digits()
    return images, labels, recognizer.features(images)


def _patches() -> list[tuple[slice, slice]]:
    """Return the patches; those at the border reach beyond it by a half."""
    spans = [
        slice(max(0, start), start + PATCH) for start in range(-(PATCH // 2), IMAGE_SIZE, STRIDE)
    ]
    return [(rows, columns) for rows in spans for columns in spans]
