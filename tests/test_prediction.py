from dataclasses import replace
from typing import Any

import numpy as np

from digitnet.reading.prediction import Line, Prediction, Reading, note, remark, sentence


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


def test_classes_are_called_by_their_names():
    unsure, strange = answer(), answer(is_digit=False, reason="not_a_digit")
    assert unsure.label == "Ankle boot"
    assert unsure.as_dict()["label"] == "Ankle boot"
    assert note(unsure) == "unsure; or Bag (30.0 %)"
    assert note(strange) == "not one of the classes; nearest Ankle boot (40.0 %)"
    assert "unlike one of the classes" in sentence(strange, 1.5)
    assert answer(class_names=tuple("012"), reason=None).label == "1"


def prediction(*first: tuple[int, float], **changes: Any) -> Prediction:
    probabilities = np.zeros(10, np.float32)
    for digit, probability in first:
        probabilities[digit] = probability
    values: dict[str, Any] = {
        "digit": first[0][0],
        "confidence": first[0][1],
        "probabilities": probabilities,
        "ood_score": -2.0,
        "is_digit": True,
        "reason": None,
        "image": np.zeros((28, 28), np.uint8),
    }
    return Prediction(**(values | changes))


def test_sentences_say_what_was_read_and_why_not() -> None:
    sure = prediction((7, 0.98), (1, 0.01))
    assert sentence(sure, 1.5) == "read as 7 (98.0 %); runner-up 1 (1.0 %)"
    assert note(sure) == ""
    unsure = prediction((4, 0.45), (9, 0.41), reason="ambiguous")
    assert "with doubt" in sentence(unsure, 1.5)
    assert "9 (41.0 %)" in sentence(unsure, 1.5)
    assert note(unsure) == "unsure; or 9 (41.0 %)"
    strange = replace(sure, is_digit=False, reason="not_a_digit", ood_score=3.21)
    for part in ("refused", "3.21", "limit 1.50", "7 (98.0 %)", "1 (1.0 %)"):
        assert part in sentence(strange, 1.5)
    assert note(strange) == "not a digit; nearest 7 (98.0 %)"
    blank = replace(sure, digit=None, is_digit=False, reason="blank")
    assert "no ink" in sentence(blank, 1.5)
    assert note(blank) == "no ink found"
    several = replace(sure, is_digit=False, reason="several")
    assert "digitnet read" in note(several)
    assert "Recognizer.read" in sentence(several, 1.5)


def test_a_reading_says_what_to_beware_of() -> None:
    three = prediction((3, 0.9))
    lines = Line((three, three), 0.9), Line((three,), 0.89)
    reading = Reading(lines, 0.8, 12.0, None)
    assert reading.text == "33\n3"
    assert remark(reading) == ""
    assert remark(replace(reading, turned=90)) == "read after turning it by 90°"
    assert remark(replace(reading, reason="uncertain", confidence=0.4)) == "unsure (40.0 %)"
    assert "nothing" in remark(replace(reading, lines=(), reason="blank"))
    assert "no digit" in remark(replace(reading, reason="no_digits"))
    refused = reading.refused("no number of 5 digits fits")
    assert (refused.text, refused.reason, refused.accepted) == ("", "uncertain", False)
    assert remark(refused) == "no number of 5 digits fits; seen: 33 3"
    assert refused.as_dict()["refusal"] == "no number of 5 digits fits"
    first = refused.as_dict()["lines"][0]
    assert (first["text"], first["confidence"]) == ("33", 0.9)
    assert repr(replace(reading, turned=180)) == "<Reading '33\\n3' confidence=0.8000 turned=180>"
