import numpy as np
import pytest

from digitnet.reading.prediction import Prediction, note, sentence
from digitnet.text import are_digits, shortened


@pytest.mark.parametrize(
    ("names", "digits"),
    [
        (tuple("0123456789"), True),
        (tuple("012"), True),
        (("0", "2"), False),
        (tuple("abc"), False),
        (tuple(map(str, range(11))), False),
    ],
)
def test_digits_are_called_by_their_numbers(names, digits):
    assert are_digits(names) == digits


def test_a_long_name_is_cut():
    assert shortened("Ankle boot") == "Ankle boot"
    assert shortened("Ankle boots for two") == "Ankle boots…"
    assert shortened("abc", 3) == "abc"


def answer(**changes):
    values = {
        "digit": 1,
        "confidence": 0.4,
        "probabilities": np.array([0.3, 0.4, 0.2], np.float32),
        "ood_score": -1.0,
        "is_digit": True,
        "reason": "ambiguous",
        "image": np.zeros((28, 28), np.uint8),
        "class_names": ("Bag", "Ankle boot", "Coat"),
    }
    return Prediction(**(values | changes))


def test_classes_are_told_by_their_names():
    unsure, strange = answer(), answer(is_digit=False, reason="not_a_digit")
    assert unsure.label == "Ankle boot"
    assert unsure.as_dict()["label"] == "Ankle boot"
    assert note(unsure) == "unsure; or Bag (30.0 %)"
    assert note(strange) == "not one of the classes; nearest Ankle boot (40.0 %)"
    assert "unlike one of the classes" in sentence(strange, 1.5)
    assert answer(class_names=tuple("012"), reason=None).label == "1"
