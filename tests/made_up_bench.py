"""A recogniser for tests of the bench: it answers at once, and always the same."""

from __future__ import annotations

import dataclasses

import numpy as np

from digitnet.reading.pictures import decode


@dataclasses.dataclass(frozen=True)
class Answer:
    """As much of a prediction as the bench looks at."""

    digit: int | None
    confidence: float = 0.9
    ood_score: float = 0.0
    is_digit: bool = True
    reason: str | None = None
    image: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((28, 28), np.uint8))


@dataclasses.dataclass(frozen=True)
class Text:
    """As much of a reading as the bench looks at."""

    text: str
    confidence: float
    reason: str | None


class Fives:
    """A recogniser to whom every picture is a 5, and the darker the stranger."""

    class_names = tuple("0123456789")

    def predict_many(self, pictures):
        return [self._answer(decode(each)) for each in pictures]

    def read_many(self, pictures):
        return [self._text(decode(each)) for each in pictures]

    def _text(self, picture):
        """Read 5, or 55 where the picture is broad; what is black is uncertain."""
        text = "55" if picture.shape[1] > 2 * picture.shape[0] else "5"
        sure = bool(picture.any())
        return Text(text, 0.9 if sure else 0.3, None if sure else "uncertain")

    def predict_inks(self, inks):
        return [self._answer(each) for each in inks]

    def _answer(self, picture):
        assert picture.dtype == np.uint8
        strange = 255.0 - float(picture.mean())
        return Answer(5, ood_score=strange, is_digit=strange < 250)


class Blank(Fives):
    """A recogniser to whom every picture is blank."""

    def _answer(self, picture):
        return Answer(None, is_digit=False, reason="blank")
