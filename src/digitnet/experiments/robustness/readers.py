"""Who reads the pictures: digitnet's recogniser, and the plain CNN it is compared with.

Guarantees:

- Both answer with the same ``Readings``, so that whatever measures them cannot treat them apart.
- torch is loaded for the plain CNN only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from digitnet.experiments.robustness.sets import Route, Source
from digitnet.network.config import IMAGE_SIZE
from digitnet.reading.pictures import decode

if TYPE_CHECKING:
    from digitnet.reading.prediction import Prediction

# A grey value: pictures that are lighter on average are taken for dark ink on paper.
_MIDDLE_GREY = 127


@dataclass(frozen=True, eq=False)
class Readings:
    """What a reader says of N pictures."""

    digit: NDArray[np.int64]
    """(N,), 0–9; -1 where it saw nothing at all."""
    confidence: NDArray[np.float64]
    """(N,), in [0, 1]."""
    strangeness: NDArray[np.float64]
    """(N,), larger is less like a digit."""
    rejected: NDArray[np.bool_]
    """(N,), whether it refused to call the picture a digit."""

    @classmethod
    def join(cls, readings: Iterable[Self]) -> Self:
        """Return the readings of several batches, at least one, as one."""
        batches = list(readings)
        return cls(
            digit=np.concatenate([each.digit for each in batches]),
            confidence=np.concatenate([each.confidence for each in batches]),
            strangeness=np.concatenate([each.strangeness for each in batches]),
            rejected=np.concatenate([each.rejected for each in batches]),
        )


class Reader(Protocol):
    """Reads a batch of pictures."""

    def read(self, pictures: Sequence[Source], route: Route) -> Readings:
        """Read pictures, at least one, by a route."""
        ...


class Recognizes(Protocol):
    """The part of ``Recognizer`` that the bench calls."""

    def predict_many(self, pictures: Sequence[Source], /) -> list[Prediction]:
        """Read pictures."""
        ...

    def predict_inks(self, inks: Sequence[NDArray[np.uint8]], /) -> list[Prediction]:
        """Read inks."""
        ...


@dataclass(frozen=True)
class DigitnetReader:
    """digitnet's recogniser."""

    recognizer: Recognizes

    def read(self, pictures: Sequence[Source], route: Route) -> Readings:
        """Read pictures by the whole path, or give images to the model file as they are."""
        return _readings(self.predict(pictures, route))

    def predict(self, pictures: Sequence[Source], route: Route) -> list[Prediction]:
        """Return all that the recogniser says of them."""
        if route == "picture":
            return self.recognizer.predict_many(pictures)
        return self.recognizer.predict_inks(list(_stacked(pictures)))


def _readings(predictions: Sequence[Prediction]) -> Readings:
    digits = [-1 if p.digit is None else p.digit for p in predictions]
    return Readings(
        digit=np.array(digits, np.int64),
        confidence=np.array([p.confidence for p in predictions], np.float64),
        strangeness=np.array([p.ood_score for p in predictions], np.float64),
        rejected=np.array([not p.is_digit for p in predictions], np.bool_),
    )


class PlainReader:
    """A CNN of the common kind, behind what is commonly done to a picture: invert and resize.

    It refuses nothing; its strangeness is that of Hendrycks and Gimpel, "A baseline for detecting
    misclassified and out-of-distribution examples" (ICLR 2017): one minus its confidence.

    Args:
        run: the folder of a run of a network that takes 28 × 28 images.

    Raises:
        InputError: there is no such run, or it has no model.
        IntegrityError: its model file cannot be trusted.
    """

    def __init__(self, run: Path) -> None:
        from digitnet.training.checkpoint import load_model
        from digitnet.training.runs import open_run

        self._model = load_model(open_run(run).model_file)

    def read(self, pictures: Sequence[Source], route: Route) -> Readings:
        """Read pictures behind "invert and resize", or images as they are.

        Pictures are decoded as well as digitnet can, so that only finding the digit is compared.
        """
        import torch

        from digitnet.network.cnn import predict_logits
        from digitnet.training.evaluation import softmax

        found = route == "picture"
        images = _stacked([invert_and_resize(decode(p)) for p in pictures] if found else pictures)
        probabilities = softmax(predict_logits(self._model, torch.from_numpy(images)).numpy())
        confidence = probabilities.max(axis=1)
        return Readings(
            digit=probabilities.argmax(axis=1).astype(np.int64),
            confidence=confidence,
            strangeness=1 - confidence,
            rejected=np.zeros(len(images), np.bool_),
        )


def invert_and_resize(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 (28, 28) of grey pixels (H, W), as tutorials do it: the rival, never our way."""
    dark = 255 - picture if picture.mean() > _MIDDLE_GREY else picture
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return cv2.resize(dark, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _stacked(images: Sequence[Source]) -> NDArray[np.uint8]:
    """Return images that are arrays, (28, 28) each, as one: uint8 (N, 28, 28)."""
    return np.stack([np.asarray(each, np.uint8) for each in images])
