"""Ink of the strokes of a pen: sound whatever was drawn, and the same at any place and size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitnet import Recognizer
from digitnet.errors import InputError
from digitnet.reading.prediction import Box, Line, Prediction, Reading
from digitnet.reading.strokes import as_picture, from_strokes, judged
from serving import SEVEN, recognizer

FINITE = st.floats(-1e6, 1e6)
DRAWINGS = st.lists(st.lists(st.tuples(FINITE, FINITE), max_size=5), max_size=4)
FIVE = [[(0.1, 0.0), (0.05, 0.45), (0.5, 0.5), (0.55, 0.85), (0.0, 1.0)], [(0.1, 0.0), (0.6, 0.0)]]


@given(DRAWINGS)
@settings(max_examples=60)
def test_any_drawing_gives_a_sound_ink(strokes: Any) -> None:
    ink = from_strokes(strokes)
    assert ink.box is None
    assert ink.pixels.dtype == np.float32
    assert ink.pixels.min() >= 0
    assert ink.pixels.max() == (1 if any(strokes) else 0)


@pytest.mark.parametrize("strokes", [[], [[]], [[], []], (), iter(())])
def test_no_points_are_a_blank(strokes: Any) -> None:
    assert not from_strokes(strokes).pixels.any()


def test_a_line_is_as_long_and_as_broad_as_promised() -> None:
    ink = from_strokes([[(0.0, 0.0), (0.0, 3.0)]]).pixels
    rows, columns = (np.flatnonzero(ink.max(axis) >= 0.5) for axis in (1, 0))
    # 100 pixels, half the pen's width at either end.
    assert np.ptp(rows) + 1 == pytest.approx(110, abs=1)
    assert np.ptp(columns) + 1 == pytest.approx(10, abs=1)
    middle = ink[len(ink) // 2]
    assert middle.sum() == pytest.approx(10, abs=1)
    # Paper all around.
    assert not any(edge.any() for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]))


def test_corners_and_ends_are_round() -> None:
    bent = from_strokes([[(0.0, 1.0), (0.0, 0.0), (1.0, 0.0)]]).pixels
    box = bent[bent.max(1) >= 0.5][:, bent.max(0) >= 0.5]
    assert box[0, 0] < 0.5
    assert box[3, 3] == 1


def test_a_drawing_is_the_same_anywhere_and_at_any_size() -> None:
    here = from_strokes(FIVE).pixels
    there = from_strokes([[(x * 256 - 512, y * 256 + 1024) for x, y in s] for s in FIVE]).pixels
    np.testing.assert_array_equal(here, there)


def test_numbers_of_any_size_are_drawn() -> None:
    here = from_strokes(FIVE).pixels
    for factor in (2.0**-900, 2.0**1023):
        there = from_strokes([[(x * factor, y * factor) for x, y in s] for s in FIVE]).pixels
        np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("strokes", [[[(3.0, 4.0)]], [[(3.0, 4.0)] * 3, [(3.0, 4.0)]]])
def test_a_point_is_a_round_dot(strokes: Any) -> None:
    dot = from_strokes(strokes).pixels
    assert dot.max() == 1
    assert abs(np.ptp(np.nonzero(dot.max(0))) - np.ptp(np.nonzero(dot.max(1)))) <= 1
    np.testing.assert_allclose(dot.sum(0).max(), dot.sum(1).max(), rtol=0.1)


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        ([[(1.0, float("nan"))]], "Stroke 0 holds NaN"),
        ([[(1.0, 2.0)], [(float("inf"), 2.0)]], "Stroke 1 holds NaN or infinity"),
        ([[(1.0, 2.0, 3.0, 4.0)]], "shape"),
        ([[(1.0, 2.0, 3.0)]], "pressures from 3 to 3"),
        ([[1.0, 2.0]], "shape"),
        ([[(1.0, 2.0), (3.0,)]], "not a list of points"),
        ([["ab"]], "not a list of points"),
        ([[(10**400, 1)]], "not a list of points"),
        ([5], "shape"),
        ([[[], []]], "shape"),
        (5, "Expected a list of strokes.*got int"),
    ],
)
def test_what_is_not_a_drawing_is_refused(strokes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_strokes(strokes)


def test_strokes_may_come_one_after_the_other() -> None:
    read = recognizer().read_strokes
    assert read(iter(SEVEN)).as_dict() == read(SEVEN).as_dict()  # type: ignore[arg-type]


def test_pressure_makes_the_pen_broader() -> None:
    def width(pressure: float) -> float:
        ink = from_strokes([[(0.0, 0.0, pressure), (0.0, 1.0, pressure)]]).pixels
        return float(ink[len(ink) // 2].sum())

    assert [width(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([5, 10, 15], abs=0.01)
    np.testing.assert_array_equal(
        from_strokes([[(x, y, 0.5) for x, y in s] for s in FIVE]).pixels, from_strokes(FIVE).pixels
    )


@given(DRAWINGS, st.none() | st.floats(1e-6, 1e6))
@settings(max_examples=60, deadline=None)
def test_any_drawing_gives_a_picture_of_bounded_size(strokes: Any, pen: float | None) -> None:
    drawing = as_picture(strokes, pen)
    assert drawing.pixels.dtype == np.uint8
    assert max(drawing.pixels.shape) <= 2049
    assert drawing.pixels.min() < 128 or not any(strokes)
    # Paper all around.
    edges = (drawing.pixels[0], drawing.pixels[-1], drawing.pixels[:, 0], drawing.pixels[:, -1])
    assert min(edge.min() for edge in edges) == 255


@pytest.mark.parametrize("pen", [0, -1, float("nan"), float("inf"), "3", [1]])
def test_a_pen_has_a_width(pen: Any) -> None:
    with pytest.raises(InputError, match="pen's width"):
        as_picture(FIVE, pen)


@pytest.mark.parametrize("draw", [from_strokes, as_picture])
def test_what_goes_to_and_fro_forever_is_refused(draw: Any) -> None:
    long = [[(0, 0)], [(0, 0)], [(0, 0)], [(k % 2, 1 - k % 2) for k in range(30_000)]]
    with pytest.raises(InputError, match=r"The strokes go to and fro for .* pixels"):
        draw(long)


def test_many_points_are_drawn_as_few_are() -> None:
    line = np.linspace(0, 1, 5000)
    many = from_strokes([np.column_stack((line, line)).tolist()]).pixels
    np.testing.assert_allclose(many, from_strokes([[(0, 0), (1, 1)]]).pixels, atol=1e-6)


def test_boxes_of_the_largest_numbers_are_whole_numbers() -> None:
    end = 1.79e308
    reading = Recognizer(threads=1).read_strokes([[(0.98 * end, 0.9 * end), (0.98 * end, end)]])
    boxes = [one.box for line in reading.lines for one in line.digits]
    assert boxes
    assert all(box.top < 0.95 * end < box.bottom for box in boxes if box)


def test_boxes_of_a_drawing_are_in_its_own_units() -> None:
    moved = [[(100 * x + 4000, 100 * y - 700) for x, y in s] for s in FIVE]
    reading = Recognizer(threads=1).read_strokes(moved)
    assert reading.text == "5"
    left, top, right, bottom = reading.lines[0].digits[0].box or (0, 0, 0, 0)
    assert (left, top) == pytest.approx((4000, -700), abs=12)
    assert (right, bottom) == pytest.approx((4060, -600), abs=12)


def scribbled() -> list[list[tuple[float, float]]]:
    """A spiral, in which a finder sees a 6."""
    turns = np.linspace(0, 8 * np.pi, 120)
    return [[(float(t * np.cos(t)), float(t * np.sin(t))) for t in turns]]


def test_a_part_of_a_scribble_is_no_digit() -> None:
    reading = Recognizer(threads=1).read_strokes(scribbled())
    assert reading.text == "?"
    assert reading.reason == "no_digits"
    assert 0 <= reading.confidence <= 1


def one_sign(digit: int, ood_score: float, *, confidence: float = 0.8) -> Prediction:
    probabilities = np.full(10, (1 - confidence) / 9, np.float32)
    probabilities[digit] = confidence
    image = np.zeros((28, 28), np.uint8)
    box = Box(10 * digit, 0, 10 * digit + 8, 12)
    return Prediction(digit, confidence, probabilities, ood_score, True, None, image, box)


@pytest.mark.parametrize(
    ("digits", "confidence", "strangeness", "text"),
    [
        ((6,), 0.9, -8.0, "6"),
        ((6,), 0.9, -2.9, "6"),
        ((6,), 0.9, -1.9, "?"),
        ((6,), 0.9, 4.0, "?"),
        ((6, 1), 0.8, -9.0, "4"),
        ((6, 1), 0.8, -3.0, "61"),
        ((6, 1), 0.97, -9.0, "61"),
        ((), 0.5, -9.0, "4"),
        ((), 0.5, -4.0, ""),
    ],
)
def test_strokes_are_judged_whole_where_that_can_tell(
    digits: tuple[int, ...], confidence: float, strangeness: float, text: str
) -> None:
    lines = (Line(tuple(one_sign(digit, -6.0) for digit in digits), confidence),)
    reading = Reading(lines if digits else (), confidence, 4.0, None)
    found = judged(reading, lambda: one_sign(4, strangeness), ood_threshold=-2.5)
    assert found.text == text
    if text == "4" and digits:
        assert found.lines[0].digits[0].box == Box(10, 0, 68, 12)
