import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitnet.text import (
    are_digits,
    count_of,
    duration,
    escaped,
    listing,
    percent,
    points,
    share,
    shortened,
)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1.0, ">99.9 %"), (0.9995, ">99.9 %"), (0.5, "50.0 %"), (0.0004, "<0.1 %"), (0.0, "<0.1 %")],
)
def test_no_probability_is_certain(probability, text):
    assert percent(probability) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "100.00 %"),
        (0.99999, ">99.99 %"),
        (0.9948, "99.48 %"),
        (1e-6, "<0.01 %"),
        (0, "0.00 %"),
    ],
)
def test_only_all_are_100_percent_and_only_none_are_0(value, text):
    assert share(value) == text


@given(st.floats(0, 1), st.integers(0, 3))
def test_a_share_is_rounded_by_less_than_its_last_decimal(value, decimals):
    shown = float(share(value, decimals).strip("<>% "))
    assert abs(shown - 100 * value) <= 1.0001 * 10**-decimals


def test_points_have_no_sign():
    assert points(-0.0021) == points(0.0021) == "0.21 points"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.83, "4.8 s"), (9.97, "10 s"), (48.2, "48 s"), (252, "4 min 12 s"), (3790, "1 h 3 min")],
)
def test_times_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_nouns_follow_their_number():
    assert count_of(1, "epoch") == "1 epoch"
    assert count_of(1234, "picture") == "1,234 pictures"
    assert count_of(2, "miss", "misses") == "2 misses"
    assert [listing(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        *("", "a", "a and b", "a, b and c")
    ]


def test_control_codes_are_written_out():
    assert escaped("a\x1b[31m\n\udcff ö") == r"a\x1b[31m\n\udcff ö"
    assert escaped("a\n\tb", kept="\n") == "a\n\\tb"


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
