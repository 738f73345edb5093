"""From signs to texts: what is decided, how sure it is, and numbers that must fit."""

import json
import math
from typing import Any

import numpy as np
import pytest

from digitnet.reading.checks import wanted
from digitnet.reading.finding import Signs
from digitnet.reading.prediction import Reading, remark
from digitnet.reading.writing import COMPANY, LIKENESS, Writing
from made_up_signs import signs, sure

THRESHOLD = 0.5
NAMES = tuple("0123456789")


def read(found: Signs, digits: Any = None, check: Any = None, **settings: Any) -> Reading:
    return Writing(found, THRESHOLD, NAMES, **settings).reading(wanted(digits, check))


def test_signs_become_a_text_in_reading_order() -> None:
    row = sure("2815")
    boxes = signs(*row).boxes[[2, 0, 3, 1]]
    reading = read(signs(*row, boxes=boxes))
    assert reading.text == "8521"
    assert reading.reason is None
    assert reading.confidence > 0.95
    below = signs(*row).boxes + np.array([[0, 60, 0, 60]] * 2 + [[0, 0, 0, 0]] * 2, np.float32)
    assert read(signs(*row, boxes=below)).text == "15\n28"


def test_a_sign_that_is_no_digit_is_a_question_mark() -> None:
    reading = read(signs(*sure("7?3")))
    assert reading.text == "7?3"
    assert [one.is_digit for one in reading.lines[0].digits] == [True, False, True]
    assert reading.lines[0].digits[1].reason == "not_a_digit"
    # Where the finder is not sure, the reader may refuse it.
    found = signs(*sure("733"), ood_score=np.array([-20, 15, -20], np.float32))
    assert read(found).text == "733"
    found.digit_share[1] = 0.2
    assert read(found).text == "7?3"


def test_digits_vouch_for_a_doubtful_one_and_letters_for_a_letter() -> None:
    doubtful = {"digit_share": np.array([0.99, 0.55, 0.99], np.float32)}
    scores = {"ood_score": np.array([-20, 4 + THRESHOLD, -20], np.float32)}
    assert read(signs(*sure("713"), **doubtful, **scores)).text == "713"
    among_letters = np.array([0.02, 0.55, 0.02], np.float32)
    scores = {"ood_score": np.array([9, 4 + THRESHOLD, 9], np.float32)}
    assert read(signs(*sure("713"), digit_share=among_letters, **scores)).text == "???"


@pytest.mark.parametrize(
    ("row", "presence", "shrunk", "text"),
    [
        ("4711", 0.9, 1.0, "47118"),
        ("4711", 0.9, 0.7, "47118"),
        ("4711", 0.9, 0.15, "4711"),
        ("4711", 0.99, 0.15, "47118"),
        ("47", 0.9, 0.15, "478"),
    ],
)
def test_beside_sure_signs_a_speck_is_no_digit(
    row: str, presence: float, shrunk: float, text: str
) -> None:
    found = signs(*sure(row), ("8", presence, 0.9))
    found.boxes[-1, :2] = found.boxes[-1, 2:] - shrunk * (found.boxes[-1, 2:] - found.boxes[-1, :2])
    assert read(found).text == text


def test_nothing_and_nothing_but_letters_say_so() -> None:
    nothing = read(signs())
    assert (nothing.text, nothing.lines, nothing.reason) == ("", (), "blank")
    assert (nothing.confidence, nothing.odds) == (1, math.inf)
    assert read(signs(("4", 0.2, 0.9))).confidence == pytest.approx(0.8)
    letters = read(signs(*sure("??")))
    assert (letters.text, letters.reason) == ("??", "no_digits")


def _odds(share: float, beyond: float) -> float:
    return LIKENESS[0] * math.log(share / (1 - share)) + LIKENESS[1] * beyond + LIKENESS[2]


def _likeness(odds: float, company: float) -> float:
    """Return how likely a sign with these odds is a digit, beside another one with those."""
    return 1 / (1 + math.exp(-odds - COMPANY * min(max(company, -5), 5)))


def test_the_confidence_is_the_product_of_what_was_decided() -> None:
    row = [("4", 0.9, 0.8), ("?", 0.95, 0.6), ("1", 0.3, 0.9)]
    writing = Writing(signs(*row), THRESHOLD, NAMES)
    odds = [_odds(0.999, -20.5), _odds(0.05, 3.5)]
    like = [_likeness(odds[0], odds[1]), _likeness(odds[1], odds[0])]
    expected = 0.9 * 0.8 * like[0] * 0.95 * (1 - like[1]) * 0.7
    assert writing.reading().confidence == pytest.approx(expected, rel=1e-4)
    assert read(signs(("4", 0.9, 0.45))).reason == "uncertain"


def test_odds_are_those_against_the_next_text() -> None:
    reading = read(signs(*sure("12"), ("7", 0.999, 0.8)))
    assert reading.odds == pytest.approx(0.8 / (0.2 / 9), rel=0.01)


def test_of_more_digits_than_wanted_the_weakest_is_left_out() -> None:
    row = [*sure("12"), ("3", 0.6, 0.9), *sure("4")]
    assert read(signs(*row)).text == "1234"
    fitting = read(signs(*row), digits=3)
    assert fitting.text == "124"
    assert fitting.confidence > 0.9
    assert read(signs(*row), digits=(3, 4)).text == "1234"


def test_of_fewer_digits_than_wanted_a_faint_one_is_taken_in() -> None:
    row = [*sure("12"), ("3", 0.2, 0.9), ("9", 0.1, 0.9)]
    assert read(signs(*row)).text == "12"
    assert read(signs(*row), digits=3).text == "123"


def test_what_cannot_fit_is_refused_and_what_was_seen_stays() -> None:
    refused = read(signs(*sure("123456")), digits=3)
    assert (refused.text, refused.reason, refused.accepted) == ("", "uncertain", False)
    assert refused.confidence == 0
    assert refused.lines[0].text == "123456"
    assert "123456" in remark(refused)
    assert read(signs(*sure("??")), digits=2).reason == "no_digits"
    assert read(signs(), digits=2).reason == "blank"


def test_a_check_digit_decides_between_digits() -> None:
    row = sure("79927398713")
    row[4] = ("1", 0.999, 0.6)
    found = signs(*row)
    found.probabilities[4] = 0.01
    found.probabilities[4, [1, 7]] = 0.55, 0.37
    assert read(found).text == "79921398713"
    fitting = read(found, check="luhn")
    assert fitting.text == "79927398713"
    assert fitting.odds > 10
    digit = fitting.lines[0].digits[4]
    assert (digit.digit, digit.label, digit.reason) == (7, "7", "ambiguous")
    assert digit.confidence == pytest.approx(0.37)
    assert digit.is_digit
    seen: list[str] = []
    assert read(found, digits=11, check=lambda text: bool(seen.append(text)) or text[4] == "7").text
    assert seen[0] == "79921398713"


def test_json_and_boxes_are_of_the_original() -> None:
    reading = read(signs(*sure("42")), scale=2.0)
    values = json.loads(json.dumps(reading.as_dict()))
    assert values["text"] == "42"
    assert values["lines"][0]["text"] == "42"
    box = values["lines"][0]["digits"][1]["box"]
    assert box == {"left": 60, "top": 20, "width": 40, "height": 60}
    assert json.loads(json.dumps(read(signs()).as_dict()))["odds"] is None


# ---- the one digit of a picture


def best(found: Signs) -> tuple[int | None, str | None]:
    return Writing(found, THRESHOLD, NAMES).best((40, 25))


def test_the_one_digit_is_read_among_specks_and_letters() -> None:
    assert best(signs()) == (None, "blank")
    assert best(signs(("3", 0.1, 0.9))) == (None, "blank")
    assert best(signs(("3", 0.2, 0.9))) == (0, "not_a_digit")
    assert best(signs(("3", 0.6, 0.9))) == (0, None)
    assert best(signs(*sure("?4?"))) == (1, None)
    assert best(signs(*sure("4"), ("1", 0.6, 0.5))) == (0, None)
    assert best(signs(*sure("??")))[1] == "not_a_digit"
    assert best(signs(("4", 0.99, 0.4))) == (0, "ambiguous")
    speck = signs(*sure("41"))
    speck.boxes[1] = 50, 10, 53, 16
    assert best(speck) == (0, None)


def test_two_plain_digits_are_several() -> None:
    place, reason = best(signs(*sure("47")))
    assert reason == "several"
    one = Writing(signs(*sure("47")), THRESHOLD, NAMES).prediction(place or 0, "several")
    assert not one.is_digit
    assert one.digit in (4, 7)


def test_a_second_digit_counts_even_if_alone_it_would_be_refused() -> None:
    strange = signs(*sure("47"), ood_score=np.array([-20, 1], np.float32))
    assert best(strange) == (0, "several")
    assert best(signs(*sure("4"), ("7", 0.999, 0.4))) == (0, "several")
    assert best(signs(*sure("4"), ("7", 0.999, 0.2))) == (0, None)


def test_of_a_crop_from_a_row_the_sign_in_the_middle_counts() -> None:
    for text, reason in (("471", None), ("???", "not_a_digit"), ("?7?", None)):
        found = Writing(signs(*sure(text)), THRESHOLD, NAMES)
        assert found.best((40, 25), crops=True) == (1, reason)
    assert best(signs(*sure("471")))[1] == "several"
    # Its neighbours are surer to be there.
    faint = signs(*sure("4"), ("7", 0.6, 0.9), *sure("1"))
    assert Writing(faint, THRESHOLD, NAMES).best((40, 25), crops=True) == (1, None)
