"""One look where text and sign are sure, several where they are not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from digitnet.reading.looks import (
    _ALL,
    DOUBTED,
    FAMILIAR,
    LOOKS,
    MOST_LINES,
    PLAIN,
    Looks,
    agreed_sign,
    agreed_text,
)
from digitnet.reading.prediction import Line, Prediction, Reading
from test_strokes import one_sign

THRESHOLD = -2.0


def said(text: str, confidence: float) -> Reading:
    """Return a reading of rows separated by a space."""
    rows = [tuple(one_sign(int(digit), -9.0) for digit in row) for row in text.split()]
    lines = tuple(Line(row, confidence) for row in rows)
    reason = "blank" if not lines else "uncertain" if confidence < 0.5 else None
    return Reading(lines, confidence, 3.0, reason)  # type: ignore[arg-type]


def seen(first: Any, *others: Any) -> Callable[[float], Any]:
    """Return what shows the first at the usual size, and the others on the other pages."""
    shown = dict(zip((1.0, *LOOKS), (first, *others), strict=True))
    return lambda zoom: shown[zoom]


def once(first: Any) -> Callable[[float], Any]:
    """Return what may be looked at once."""
    return lambda zoom: first if zoom == 1 else pytest.fail("It was looked at again.")


def sign(digit: int, ood_score: float, confidence: float = 0.9) -> Prediction:
    return replace(one_sign(digit, ood_score), confidence=confidence)


def refused(digit: int, ood_score: float, reason: Any = "not_a_digit") -> Prediction:
    return replace(sign(digit, ood_score), is_digit=False, reason=reason)


def test_each_look_is_taken_once() -> None:
    taken: list[float] = []
    looks = Looks(np.zeros((9, 9), np.uint8), lambda zoom: taken.append(zoom) or object())  # type: ignore[arg-type,func-returns-value,return-value]
    assert looks.writing(1.0) is looks.writing(1.0)
    assert looks.writing(0.5) is not looks.writing(1.0)
    assert taken == [1.0, 0.5]


@pytest.mark.parametrize(
    "first", [said("42", DOUBTED), said("", 0.4), said(" ".join("1" * (MOST_LINES + 1)), 0.2)]
)
def test_what_is_sure_blank_or_a_page_is_looked_at_once(first: Reading) -> None:
    assert agreed_text(once(first)) is first


@pytest.mark.parametrize(
    ("others", "text", "confidence", "reason"),
    [
        ([("42", 0.6), ("42", 0.65), ("42", 0.6)], "42", 2.45 / _ALL, None),
        ([("17", 0.4), ("17", 0.45), ("17", 0.5)], "17", 1.35 / _ALL, None),
        ([("17", 0.2), ("19", 0.29), ("17", 0.2)], "42", 0.6 / _ALL, "uncertain"),
        ([("17", 0.6), ("42", 0.2), ("17", 0.6)], "17", 1.2 / _ALL, "uncertain"),
        ([("42", 1.0), ("42", 1.0), ("42", 1.0)], "42", 1.0, None),
    ],
)
def test_the_text_counts_that_the_looks_give_most(
    others: list[tuple[str, float]], text: str, confidence: float, reason: str | None
) -> None:
    reading = agreed_text(seen(said("42", 0.6), *(said(*each) for each in others)))
    assert reading.text == text
    assert reading.confidence == pytest.approx(confidence)
    assert reading.lines[0].confidence == reading.confidence
    assert reading.reason == reason


def test_a_refusal_gives_way_to_a_text_that_fits_and_stays_where_none_does() -> None:
    none = said("42", 0.0).refused("no number of 3 digits fits")
    reading = agreed_text(lambda zoom: said("421", 0.9) if zoom < 1 else none)
    assert (reading.text, reading.accepted) == ("421", True)
    assert agreed_text(lambda _: none) is none


@pytest.mark.parametrize(
    "first",
    [
        sign(3, THRESHOLD - FAMILIAR, PLAIN),
        refused(3, -9.0, "several"),
        replace(refused(3, 5.0), digit=None, reason="blank"),
    ],
)
def test_a_plain_digit_several_and_a_blank_are_looked_at_once(first: Prediction) -> None:
    assert agreed_sign(once(first), THRESHOLD) is first


def test_a_sign_is_a_digit_if_most_looks_say_so_and_then_the_one_that_they_say_most() -> None:
    found = agreed_sign(seen(sign(7, -3), sign(1, -5), sign(1, -4), refused(4, 1)), THRESHOLD)
    assert (found.digit, found.is_digit, found.reason, found.ood_score) == (1, True, None, -3)
    found = agreed_sign(seen(refused(4, 1), sign(1, -5), sign(7, -4), sign(7, -3)), THRESHOLD)
    assert (found.digit, found.is_digit, found.reason, found.ood_score) == (7, True, None, -3)


@pytest.mark.parametrize("reason", ["not_a_digit", "several"])
def test_a_sign_that_few_looks_take_for_a_digit_is_none(reason: str) -> None:
    strange = refused(6, 1, reason)
    found = agreed_sign(seen(sign(1, -3), sign(1, -5), strange, refused(8, 2)), THRESHOLD)
    assert (found.digit, found.is_digit, found.reason, found.ood_score) == (1, False, reason, 1)


def test_a_sign_that_later_looks_do_not_see_is_refused() -> None:
    blank = replace(refused(0, 5.0), digit=None, reason="blank")
    found = agreed_sign(seen(sign(3, -3), blank, blank, blank), THRESHOLD)
    assert (found.digit, found.is_digit, found.reason) == (3, False, "not_a_digit")
