"""What the page of a picture shows, as numbers.

Guarantees: all of it comes from the recogniser that gave the answer; nothing is random.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from digitnet.data.catalogue import load_dataset
from digitnet.network.config import IMAGE_SIZE
from digitnet.reading import pictures
from digitnet.reading.explain.words import sentence
from digitnet.reading.ink import Ink
from digitnet.reading.recognizer import Prediction, Recognizer
from digitnet.text import are_digits

# A patch covers a stroke's width and more; half of it is laid over the patch before.
PATCH, STRIDE = 5, 2
NEIGHBOURS = 6


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A training digit that the network finds like the picture.

    Args:
        image: uint8 (28, 28).
        label: 0-9.
        distance: Euclidean, between the outputs of the last hidden layer.
    """

    image: NDArray[np.uint8]
    label: int
    distance: float


@dataclass(frozen=True, eq=False)
class Evidence:
    """Every step from a picture to its answer, and what the answer hangs on.

    Args:
        picture: as it was decoded.
        ink: what was found in it, its box in pixels of the original.
        prediction: the answer.
        words: the answer in one line.
        importance: float32 (28, 28) in [-1, 1], by ``occlusion``; zeros for a blank.
        neighbours: the nearest training digits, the nearest first; none for a blank, and none of a
            network that reads other things than digits.
    """

    picture: pictures.Picture
    ink: Ink
    prediction: Prediction
    words: str
    importance: NDArray[np.float32]
    neighbours: tuple[Neighbour, ...]


def gather(recognizer: Recognizer, picture: pictures.PictureSource) -> Evidence:
    """Return the evidence on a picture.

    Raises:
        InputError: the picture cannot be read.
    """
    loaded = pictures.load(picture)
    found = recognizer.ink_of(loaded)
    prediction = replace(recognizer.predict_ink(found.pixels), box=found.box)
    importance = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.float32)
    neighbours: tuple[Neighbour, ...] = ()
    if prediction.reason != "blank":
        importance = occlusion(recognizer, prediction.image, prediction.digit)
        if are_digits(recognizer.class_names):
            neighbours = nearest(recognizer, recognizer.features([found.pixels])[0])
    words = sentence(prediction, recognizer.ood_threshold)
    return Evidence(loaded, found, prediction, words, importance, neighbours)


def occlusion(recognizer: Recognizer, image: NDArray[np.uint8], digit: int) -> NDArray[np.float32]:
    """Return by how much the probability of ``digit`` falls when a part of an image is covered.

    Patches of 5×5 pixels, one every 2 pixels, are set to paper one after the other; a pixel's value
    is the mean over the patches that cover it (Zeiler and Fergus, "Visualizing and understanding
    convolutional networks", ECCV 2014). What is left is read as ink, so covering an end of the
    digit also moves and enlarges the rest, as it would had it never been written.

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


def nearest(recognizer: Recognizer, features: NDArray[np.float32]) -> tuple[Neighbour, ...]:
    """Return the training digits of the shipped sample whose features are nearest.

    Args:
        recognizer: gave the features, and gives those of the sample: once, which takes a second.
        features: float32 (F,), what the last hidden layer said to the ink.
    """
    images, labels, known = _training_digits(recognizer)
    distances = np.linalg.norm(known - features, axis=1)
    chosen = np.argsort(distances, kind="stable")[:NEIGHBOURS]
    return tuple(Neighbour(images[i], int(labels[i]), float(distances[i])) for i in chosen)


_Digits = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]
_known: weakref.WeakKeyDictionary[Recognizer, _Digits] = weakref.WeakKeyDictionary()


def _training_digits(recognizer: Recognizer) -> _Digits:
    """Return images, labels and features, (N, F), of the sample, as this recogniser sees them."""
    if recognizer not in _known:
        sample = load_dataset("sample")
        images, labels = sample.train_images, sample.train_labels
        _known[recognizer] = images, labels, recognizer.features(images)
    return _known[recognizer]


def _patches() -> list[tuple[slice, slice]]:
    """Return the places of the patches; those at the border reach beyond it by a half."""
    places = [
        slice(max(0, start), start + PATCH) for start in range(-(PATCH // 2), IMAGE_SIZE, STRIDE)
    ]
    return [(rows, columns) for rows in places for columns in places]
