"""A line read twice: what both say together, digits that were missed, numbers that must fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digitnet.reading import line_reading
from digitnet.reading.checks import wanted
from digitnet.reading.finding import Signs
from digitnet.reading.line_reading import read_lines, rough_ink
from digitnet.reading.line_texts import BLANK, SIGNS
from digitnet.reading.prediction import Ink, Prediction, Reading
from digitnet.reading.writing import Writing, as_picked
from made_up_signs import signs, sure

NAMES = tuple("0123456789")
PIXELS = np.full((50, 330), 230, np.uint8)


def saying(text: str, other: str = "", share: float = 0.9) -> Callable[[Any], NDArray[np.float64]]:
    """Return a line reader that reads a text whatever it sees, or less surely another one."""

    def columns(strip: NDArray[np.uint8]) -> NDArray[np.float64]:
        rows = np.full((2 * -(-strip.shape[1] // 4), 12), 1e-5)
        rows[:, BLANK] = 1
        for place, sign in enumerate(text):
            at = int((place + 0.5) / len(text) * len(rows))
            rows[at, BLANK] = 1e-5
            rows[at, SIGNS.index(sign)] = share
            rows[at, SIGNS.index((other or text)[place])] += 1 - share
        return np.log(rows / rows.sum(1, keepdims=True))

    return columns


def look(ink: Ink) -> Prediction:
    """Return a prediction of whatever: a 3, rather."""
    chances = np.full(10, 0.05, np.float32)
    chances[3] = 0.55
    assert ink.pixels.ndim == 2
    return Prediction(3, 0.55, chances, 0.0, True, None, np.zeros((28, 28), np.uint8))


def read(
    found: Signs, columns: Any, digits: Any = None, check: Any = None, pixels: Any = PIXELS
) -> Reading:
    writing = Writing(found, 0.5, NAMES)
    return read_lines(writing, pixels, columns, look, wanted(digits, check))


def test_where_both_agree_the_text_is_surer_than_where_they_do_not() -> None:
    agreed = read(signs(*sure("1234")), saying("1234"))
    assert agreed.text == "1234"
    assert agreed.reason is None
    doubtful = signs(("1", 0.99, 0.99), ("2", 0.99, 0.5), ("3", 0.99, 0.99))
    apart = read(doubtful, saying("173"))
    assert apart.text == "173"
    assert apart.confidence < agreed.confidence
    assert [one.digit for one in apart.lines[0].digits] == [1, 7, 3]
    assert apart.odds < agreed.odds


def test_a_sign_without_doubt_stays_where_the_line_reader_is_unsure() -> None:
    assert read(signs(*sure("123")), saying("173", "123", share=0.6)).text == "123"


def test_a_digit_that_was_missed_has_a_box_between_its_neighbours() -> None:
    reading = read(signs(*sure("15")), saying("135"))
    assert reading.text == "135"
    boxes = [one.box for one in reading.lines[0].digits]
    assert all(box is not None for box in boxes)
    lefts = [box.left for box in boxes if box]
    assert lefts == sorted(lefts)
    missed = reading.lines[0].digits[1]
    assert (missed.digit, missed.is_digit, missed.reason) == (3, True, None)
    assert all(
        0 <= box.left < box.right <= 330 and 0 <= box.top < box.bottom for box in boxes if box
    )


def test_one_that_was_cut_in_two_is_one_digit() -> None:
    found = signs(("1", 0.99, 0.9), ("1", 0.6, 0.6), ("5", 0.99, 0.99))
    reading = read(found, saying("15"))
    assert reading.text == "15"
    assert len(reading.lines[0].digits) == 2


def test_letters_stay_letters() -> None:
    reading = read(signs(*sure("??")), saying("??"))
    assert (reading.text, reading.reason) == ("??", "no_digits")


def test_nothing_found_is_blank_and_the_line_reader_is_not_asked() -> None:
    def never(_strip: Any) -> Any:
        raise AssertionError

    assert read(signs(), never).reason == "blank"


def test_a_line_too_long_is_read_by_its_signs() -> None:
    boxes = signs(*sure("47")).boxes
    boxes[1, [0, 2]] += 1500
    wide = np.full((50, 2000), 230, np.uint8)
    reading = read(signs(*sure("47"), boxes=boxes), saying("11"), pixels=wide)
    assert reading.text == "47"
    assert reading.confidence > 0.5
    assert 1 < reading.odds < np.inf
    doubtful = signs(*[(digit, 0.6, 0.55) for digit in "47"], boxes=boxes)
    reading = read(doubtful, saying("11"), pixels=wide)
    assert reading.odds == pytest.approx(reading.confidence / (1 - reading.confidence))
    by_signs = Writing(doubtful, 0.5, NAMES).reading(wanted(2))
    assert read(doubtful, saying("11"), digits=2, pixels=wide).confidence == by_signs.confidence


def test_one_digit_that_was_taken_for_another_has_the_box_of_its_sign() -> None:
    boxes = np.array([[200, 100, 220, 150]], np.float32)
    found = signs(("1", 0.99, 0.4), boxes=boxes)
    reading = read(found, saying("7", share=0.999), pixels=np.full((250, 400), 230, np.uint8))
    (digit,) = reading.lines[0].digits
    assert (digit.digit, digit.box) == (7, (200, 100, 220, 150))


def test_another_sign_on_bare_paper_is_named_like_a_digit() -> None:
    blank = Prediction(
        None, 0.0, np.full(10, 0.1, np.float32), 0.0, False, "blank", np.zeros((28, 28), np.uint8)
    )
    seen = as_picked(blank, -2)
    assert (seen.digit, seen.is_digit, seen.reason) == (0, False, "not_a_digit")


def test_lines_are_read_one_by_one() -> None:
    boxes = signs(*sure("1234")).boxes
    boxes[2:, [0, 2]] -= 60
    boxes[2:, [1, 3]] += 100
    asked = iter((saying("12"), saying("34")))

    def columns(strip: NDArray[np.uint8]) -> NDArray[np.float64]:
        return next(asked)(strip)

    high = np.full((160, 330), 230, np.uint8)
    reading = read(signs(*sure("1234"), boxes=boxes), columns, pixels=high)
    assert reading.text == "12\n34"
    product = np.prod([line.confidence for line in reading.lines])
    assert reading.confidence == pytest.approx(product)


def test_the_likeliest_number_that_fits_is_returned() -> None:
    found = signs(*sure("7992739871"))
    columns = saying("7992739871", "7992739873", share=0.7)
    plain = read(found, columns)
    fit = read(found, columns, check="luhn")
    assert plain.text == "7992739871"
    assert fit.text in ("", "7992739873")
    doubtful = signs(*sure("799273987"), ("1", 0.99, 0.6))
    assert read(doubtful, saying("79927398713"), check="luhn").text == "79927398713"
    assert read(doubtful, saying("79927398713"), digits=11).text == "79927398713"


def test_a_number_that_nothing_fits_is_refused() -> None:
    reading = read(signs(*sure("12")), saying("12"), check=lambda text: text == "98")
    assert reading.text == ""
    assert not reading.accepted


def test_question_marks_are_no_part_of_a_number_that_must_fit() -> None:
    reading = read(signs(*sure("1?2")), saying("1?2"), digits=2)
    assert reading.text == "12"


def test_rough_ink_is_bright_on_nothing_for_both_polarities() -> None:
    pixels = np.full((60, 80), 220, np.uint8)
    pixels[20:40, 30:34] = 40
    for picture in (pixels, 255 - pixels):
        ink = rough_ink(picture, (20.0, 10.0, 50.0, 50.0))
        assert ink.pixels.shape == (40, 30)
        assert ink.pixels[15, 12] == 1
        assert ink.pixels[0, 0] == 0
    assert rough_ink(pixels, (500.0, 500.0, 600.0, 600.0)).pixels.size == 1
    assert max(rough_ink(np.zeros((900, 900), np.uint8), (0, 0, 900, 900)).pixels.shape) <= 160


def test_what_was_fitted_is_a_weight_each() -> None:
    assert len(line_reading.DOUBTS) == 4
    assert min(line_reading.DOUBTS) >= 0
